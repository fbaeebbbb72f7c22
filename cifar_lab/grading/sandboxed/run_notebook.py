"""Runs a notebook's cells from top to bottom on the stand-in, then looks at the model it made."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import child
import numpy as np
import torch
from torch import Tensor, nn

import cifar_lab
from cifar_lab.models.export import export_program
from cifar_lab.models.wrapping import unwrap

from . import downloads, no_gpu, own_modules, platforms, seen, standin
from .examine_model import Subject, take_looks
from .loading_model import load_weights, shapes_of, ties_of
from .model_gradients import reached_in_training
from .model_size import size_of_module
from .watching import Watch, digest

SOURCE_LINES, ERROR_CHARACTERS = 12, 2_000
INSTALLS = re.compile(r"\b(?:pip3?|uv|conda|mamba|apt|apt-get)\b.*\binstall\b")
LIBRARY_FOLDERS = {"site-packages", "dist-packages"}


def main() -> None:
    """Run the cells, watch, and answer with what was seen and with the model as a program."""
    arguments = child.arguments()
    sys.modules.pop("child", None)  # a student's file may be called so
    _copy_files(child.readable("submission"), arguments["helpers"])
    platforms.imitate(arguments["version"])
    submitted: list[Any] = []
    _take_submissions(submitted)
    torch.set_num_threads(1)
    torch.compile = _as_it_is  # minutes of compiling, for a few batches
    nn.Module.compile = lambda self, *arguments, **options: None
    classes, variant = arguments["num_classes"], arguments["variant"]
    standin.install(classes, variant, arguments["length"])
    downloads.install(standin.draw(classes, variant), standin.class_names(classes))
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = False
    watch = Watch(classes, variant)
    shell = _shell()
    sources = [cell["source"] for cell in arguments["cells"]]
    platforms.make_folders(sources)
    with no_gpu.stand_in(pretend=arguments["pretend_gpu"]):
        watch.start()
        error = _run(shell, arguments["cells"])
        watch.stop()
        report = watch.report()
        arguments["image_size"] = seen.image_size(report)
        arguments["normalisation"] = seen.normalisation(report)
        if not arguments["weights_are_named"]:
            arguments["preferred"] = seen.preferred_files(report)
        model = submitted[-1] if submitted else _handed_in(shell.user_ns, watch, arguments)
        found, arrays = _look_at(model, bool(submitted), arguments)
    child.answer({"error": error, "watch": report, "model": found}, **arrays)


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
    for name in ("bash", "sh", "shell"):
        shell.register_magic_function(platforms.run_commands, "cell", name)
    for name in ("pip", "conda", "uv"):
        shell.register_magic_function(lambda line: None, "line", name)
    run = shell.system
    shell.system = lambda command: None if INSTALLS.search(command) else run(command)
    os.environ["PIP_NO_INDEX"] = "1"  # also where a process starts it: nothing is installed here
    return shell


def _run(shell: Any, cells: list[dict[str, Any]]) -> dict[str, Any] | None:
    """None where every cell ran; else which failed, and how. Behind it none is run."""
    for place, cell in enumerate(cells, 1):
        result = shell.run_cell(platforms.moved(cell["source"]), store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None and not cell["may_fail"]:
            line = _failing_line(cell["source"], error)
            return {
                "cell": place,
                "cells": len(cells),
                "line": line,
                "kind": type(error).__name__,
                "text": str(error)[:ERROR_CHARACTERS],
                "source": _lines_around(cell["source"].splitlines(), line),
                "in_library": _was_raised_in_a_library(error),
            }
    return None


def _was_raised_in_a_library(error: BaseException) -> bool:
    places = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    places = [place for place in places if not place.startswith("<frozen")]
    return bool(places) and not LIBRARY_FOLDERS.isdisjoint(Path(places[-1]).parts)


def _failing_line(source: str, error: BaseException) -> int:
    """The number of the cell's line that failed, or else of its first."""
    for frame in traceback.extract_tb(error.__traceback__):
        is_cell = frame.filename.startswith("<ipython-input") or "ipykernel_" in frame.filename
        if is_cell and frame.line and frame.line in source:
            return frame.lineno or 1
    return 1


def _lines_around(lines: list[str], failed: int) -> str:
    """The lines around one, which is marked."""
    first = max(0, min(failed, len(lines)) - SOURCE_LINES // 2)
    shown = enumerate(lines[first : first + SOURCE_LINES], first + 1)
    return "\n".join(f"{'>' if number == failed else ' '} {line}" for number, line in shown)


def _copy_files(folder: Path, names: list[str]) -> None:
    """The notebook's own helpers lie beside it, where it can also write."""
    for name in names:
        source, target = folder / name, Path.cwd() / name
        if not source.is_file() or source.is_symlink():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".py":
            text = source.read_bytes().decode("utf-8-sig", errors="surrogateescape")
            platforms.make_folders([text])
            target.write_bytes(platforms.moved(text).encode("utf-8", errors="surrogateescape"))
        else:
            shutil.copyfile(source, target)
    own_modules.prefer(Path.cwd())


def _as_it_is(model: Any = None, **options: Any) -> Any:
    """In `torch.compile`'s place, which is also called without a model, as a decorator."""
    return model if model is not None else lambda function: function


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


def _handed_in(variables: dict[str, Any], watch: Watch, arguments: Mapping[str, Any]) -> Any:
    """The network that is meant where none was submitted.

    The one that the stored weights fit: `model` first, then others by their names; without weights
    `model`, or else the network that was trained last.
    """
    networks = _networks(variables)
    model = variables.get("model")
    if isinstance(model, nn.Module):
        networks.insert(0, model)
    if arguments["weights"]:
        for each in networks:
            if _fits(each, arguments["preferred"]):
                return each
    if model is not None:
        return model
    trained = {id(parameter) for parameter in watch.last_parameters}
    for each in networks:
        if trained and {id(parameter) for parameter in each.parameters()} >= trained:
            return each
    return None


def _networks(variables: dict[str, Any]) -> list[nn.Module]:
    """The networks among a notebook's variables, also in lists and dicts, and in what holds one."""
    found: list[nn.Module] = []
    for name, value in variables.items():
        if name.startswith("_"):  # IPython's own
            continue
        inside = list(value.values()) if isinstance(value, dict) else value
        candidates = list(inside) if isinstance(inside, list | tuple) else [value]
        for each in candidates:  # a trainer or a result may hold its model as an attribute
            kept = vars(each).values() if hasattr(each, "__dict__") else ()
            others = () if isinstance(each, nn.Module | type) or callable(each) else kept
            found += [one for one in (each, *others) if isinstance(one, nn.Module)]
    return found


def _fits(model: nn.Module, preferred: list[str]) -> bool:
    return _stored_for(unwrap(model), preferred) is not None


def _stored_for(model: nn.Module, preferred: list[str]) -> dict[str, Tensor] | None:
    """The stored weights, if they fit; where they don't, the check of the weights says so."""
    state = model.state_dict()
    try:
        loaded = load_weights(shapes_of(state), preferred, ties_of(state))
    except Exception:  # a damaged file makes torch.load raise almost anything
        return None
    return loaded.tensors if loaded.fits else None


def _look_at(
    model: Any, is_submitted: bool, arguments: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the model is; and, where it is asked for, the program that computes it, or all looks."""
    found: dict[str, Any] = {
        "found": model is not None,
        "type": type(model).__name__,
        "is_module": isinstance(model, nn.Module),
        "submitted": is_submitted,
    }
    if not found["is_module"]:
        return found, {}
    model = unwrap(model)
    found["type"] = type(model).__name__
    state = model.state_dict()
    found["digest"] = digest(state.values())
    found["trained"] = digest(model.parameters())
    found["shapes"] = {name: list(tensor.shape) for name, tensor in state.items()}
    found["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    model.cpu().eval()
    found["reached_in_training"] = reached_in_training(model, arguments["image_size"])
    if arguments["then"] == "nothing":
        return found, {}
    model.zero_grad(set_to_none=True)
    if arguments["weights"]:
        stored = _stored_for(model, arguments["preferred"])
        if stored is not None:
            model.load_state_dict(stored)
    if arguments["then"] == "look":
        looks, arrays = take_looks(_as_it_is_now(model, arguments), arguments)
        return found | {"looks": looks}, arrays
    try:
        program = export_program(model, arguments["image_size"])
    except Exception as error:
        found["export_error"] = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        return found, {}
    return found, {"program": np.frombuffer(program, dtype=np.uint8)}


def _as_it_is_now(model: nn.Module, arguments: Mapping[str, Any]) -> Subject:
    size = arguments["image_size"]
    images = torch.zeros(2, 3, size, size)
    count: Callable[[], dict[str, int]] = lambda: size_of_module(model, images)  # noqa: E731
    return Subject(model, model.state_dict(), count, size)
