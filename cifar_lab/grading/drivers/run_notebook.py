"""Runs a notebook's cells from top to bottom on the stand-in, then looks at the model it made."""

from __future__ import annotations

import copy
import importlib.metadata
import io
import os
import random
import re
import shutil
import sys
import traceback
import types
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import child
import no_gpu
import numpy as np
import standin
import torch
from loading_model import load_weights
from torch import nn
from watching import Watch, digest

import cifar_lab

COLAB_FOLDER = "/content"
COLAB_PATH = re.compile(rf"(?<![\w/:.}}-]){COLAB_FOLDER}(?![\w-])[^\n'\"]*")
SOURCE_LINES, ERROR_CHARACTERS = 12, 2_000
NOT_COPIED = {".pt", ".pth", ".pt2", ".ckpt", ".ipynb"}  # with weights at hand nothing is trained


def main() -> None:
    """Run all cells, look at the model and answer."""
    arguments = child.arguments()
    cells = arguments["cells"]
    _copy_files(child.readable("submission"))
    _imitate_colab(arguments["version"])
    submitted: list[Any] = []
    _take_submissions(submitted)
    torch.set_num_threads(1)
    no_gpu.install()
    torch.compile = _as_it_is  # minutes of compiling, for a few batches
    nn.Module.compile = lambda self, *arguments, **options: None
    uses_torchvision = any("torchvision" in cell["source"] for cell in cells)
    standin.install(
        arguments["num_classes"], arguments["variant"], arguments["batches"], uses_torchvision
    )
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = False
    watch = Watch()
    shell = _shell()
    watch.start()
    answer: dict[str, Any] = {"error": _run(shell, _at_home(cells))}
    watch.stop()
    answer["watch"] = watch.report()
    arrays: dict[str, np.ndarray] = {}
    if answer["error"] is None:
        model = submitted[-1] if submitted else _handed_in(shell.user_ns)
        answer["model"], arrays = _look_at(model, bool(submitted), arguments)
    child.answer(answer, **arrays)


def _shell() -> Any:
    """IPython as a notebook has it, without a kernel around it."""
    os.environ["MPLBACKEND"] = "Agg"
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=settings)
    shell.run_line_magic("colors", "nocolor")
    shell.register_magic_function(lambda line: None, "line", "matplotlib")
    for name in ("bash", "shell"):  # of Colab: packages to install, files to list
        shell.register_magic_function(lambda line, cell: None, "cell", name)
    return shell


def _run(shell: Any, cells: list[dict[str, Any]]) -> dict[str, Any] | None:
    """None where every cell ran; else which failed, and how."""
    for place, cell in enumerate(cells, 1):
        result = shell.run_cell(cell["source"], store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None and not cell["may_fail"]:
            return {
                "cell": place,
                "cells": len(cells),
                "kind": type(error).__name__,
                "text": str(error)[:ERROR_CHARACTERS],
                "source": _failing_lines(cell["source"], error),
            }
    return None


def _failing_lines(source: str, error: BaseException) -> str:
    """The cell around the line that failed, which is marked, or else its beginning."""
    lines, failed = source.splitlines(), 1
    for frame in traceback.extract_tb(error.__traceback__):
        is_cell = frame.filename.startswith("<ipython-input") or "ipykernel_" in frame.filename
        if is_cell and frame.line and frame.line in source:
            failed = frame.lineno or 1
            break
    first = max(0, min(failed, len(lines)) - SOURCE_LINES // 2)
    shown = enumerate(lines[first : first + SOURCE_LINES], first + 1)
    return "\n".join(f"{'>' if number == failed else ' '} {line}" for number, line in shown)


def _copy_files(folder: Path) -> None:
    """The notebook's own helpers lie beside it, where it can also write."""
    if not folder.is_dir():
        return
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix not in NOT_COPIED:
            target = Path.cwd() / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    sys.path.insert(0, str(Path.cwd()))


def _imitate_colab(installed: str) -> None:
    """Cells that only a Colab machine needs do nothing, and the package counts as installed."""
    colab = types.ModuleType("google.colab")
    for name in (
        "drive",
        "files",
        "output",
        "userdata",
        "auth",
        "runtime",
        "patches",
        "data_table",
    ):
        part = types.ModuleType(f"google.colab.{name}")
        part.__getattr__ = _do_nothing
        setattr(colab, name, part)
        sys.modules[f"google.colab.{name}"] = part
    google = types.ModuleType("google")
    google.colab = colab
    google.__path__ = []
    sys.modules.setdefault("google", google)
    sys.modules["google.colab"] = colab
    find = importlib.metadata.version

    def version(name: str) -> str:
        return installed if name in ("cifar-lab", "cifar_lab") else find(name)

    importlib.metadata.version = version


def _at_home(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells with Colab's folder in the work folder, and with the Drive's that they name."""
    Path("drive", "MyDrive").mkdir(parents=True, exist_ok=True)
    text = "\n".join(cell["source"] for cell in cells)
    makes_its_own = "mkdir" in text or "makedirs" in text
    for path in COLAB_PATH.findall(text):
        folder = Path(f".{path.removeprefix(COLAB_FOLDER)}")
        with suppress(OSError):  # what is no path: the cell itself will tell
            folder.parent.mkdir(parents=True, exist_ok=True)
            if "/drive/" in path and not folder.suffix and not makes_its_own:
                folder.mkdir(exist_ok=True)

    def move(path: re.Match[str]) -> str:
        return f"{Path.cwd()}{path[0].removeprefix(COLAB_FOLDER)}"

    return [{**cell, "source": COLAB_PATH.sub(move, cell["source"])} for cell in cells]


def _as_it_is(model: Any = None, **options: Any) -> Any:
    """In `torch.compile`'s place, which is also called without a model, as a decorator."""
    return model if model is not None else lambda function: function


def _handed_in(variables: dict[str, Any]) -> Any:
    """The variable `model`, or else the one network of the stored weights' names and shapes."""
    model = variables.get("model")
    try:
        weights = load_weights(model.state_dict() if isinstance(model, nn.Module) else ())
    except Exception:  # the check of the weights says so
        return model
    found = [model]
    for name, value in variables.items():
        if name.startswith("_"):  # IPython's own
            continue
        inside = list(value.values()) if isinstance(value, dict) else value
        found += inside if isinstance(inside, list | tuple) else [value]
    stored = {name: tensor.shape for name, tensor in weights.items()}
    for each in found:
        if isinstance(each, nn.Module):
            shapes = {name: tensor.shape for name, tensor in each.state_dict().items()}
            if shapes == stored:
                return each
    return model


def _do_nothing(name: str) -> Any:
    """For Colab's functions; Python's own attributes of a module are not made up."""
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *arguments, **options: None


def _take_submissions(submitted: list[Any]) -> None:
    """`cifar_lab.submit` only says here which model it is that the student hands in."""

    def submit(result: Any, **options: Any) -> Path:
        submitted.append(result if isinstance(result, nn.Module) else result.model)
        return Path("submission")

    def check_submission(*arguments: Any, **options: Any) -> None:
        print("The checks run on this notebook now.")

    for module in (cifar_lab, getattr(cifar_lab, "submission", cifar_lab)):
        module.submit = submit
        module.check_submission = check_submission


def _look_at(
    model: Any, is_submitted: bool, arguments: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the model is; and, where it is asked for, the program that computes it."""
    seen: dict[str, Any] = {
        "found": model is not None,
        "type": type(model).__name__,
        "is_module": isinstance(model, nn.Module),
        "submitted": is_submitted,
    }
    if not seen["is_module"]:
        return seen, {}
    state = model.state_dict()
    seen["digest"] = digest(state.values())
    seen["trained"] = digest(model.parameters())
    seen["shapes"] = {name: list(tensor.shape) for name, tensor in state.items()}
    seen["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    if not arguments["export"]:
        return seen, {}
    model = copy.deepcopy(model).cpu().eval()
    if arguments["weights"]:
        try:
            model.load_state_dict(load_weights(model.state_dict()))
        except Exception as error:  # a damaged file makes torch.load raise almost anything
            seen["weights_error"] = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
    try:
        program = export(model)
    except Exception as error:
        seen["export_error"] = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        return seen, {}
    return seen, {"program": np.frombuffer(program, dtype=np.uint8)}


def export(model: nn.Module) -> bytes:
    """The model as a program for any number of images, or else for two."""
    images = torch.zeros(2, 3, 32, 32)
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(model, (images,), dynamic_shapes=({0: batch},))
        except Exception:
            program = torch.export.export(model, (images,))
        file = io.BytesIO()
        torch.export.save(program, file)
    return file.getvalue()
