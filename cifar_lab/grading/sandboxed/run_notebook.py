"""A run of a notebook's cells from top to bottom on fake images, and a look at its model."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import child
import numpy as np
import torch
from torch import Tensor, nn

import cifar_lab
from cifar_lab.experiments import submission
from cifar_lab.models.export import export_program
from cifar_lab.models.wrapping import unwrap

from . import downloads, fake_images, no_gpu, own_modules, platforms, seen
from .cells import Cells
from .examine_model import Subject, take_looks
from .failures import ERROR_CHARACTERS, clean
from .loading_model import load_weights, shapes_of, ties_of
from .model_gradients import reached_in_training
from .model_size import size_of_module
from .watching import Watch, digest

INSTALLS = re.compile(r"\b(?:pip3?|uv|conda|mamba|apt|apt-get)\b.*\binstall\b")
# Where the notebook runs, in the work folder: `../checkpoints` is a place to write to as well.
ROOM = Path("coursework", "assignment")


def main() -> None:
    """Run the cells, watch, and answer with what was seen and with the model as a program."""
    arguments = child.arguments()
    sys.modules.pop("child", None)  # a student's file may be called so
    submitted: list[Any] = []
    shell = _shell()  # before the student's files: one of them may be called IPython.py
    _prepare(arguments, submitted)
    watch = Watch(arguments["num_classes"], arguments["variant"])
    platforms.make_folders([cell["source"] for cell in arguments["cells"]])
    cells = Cells(shell, arguments["cells"], watch.report, arguments["seconds"])
    with no_gpu.replaced_by_cpu(pretend=arguments["pretend_gpu"]):
        watch.start()
        cells.run(go_on=arguments["go_on"])
        watch.stop()
        report = watch.report()
        arguments["image_size"] = seen.image_size(report)
        arguments["normalisation"] = seen.normalisation(report)
        if not arguments["weights_are_named"]:
            arguments["preferred"] = seen.preferred_files(report)
        # Where a cell failed, it may have kept the network from getting its name.
        others = watch.called.networks() if cells.error is not None else []
        model = submitted[-1] if submitted else _handed_in(shell.user_ns, others, watch, arguments)
        found, arrays = _look_at(model, bool(submitted), arguments)
    answer = {"watch": report, "model": found, **cells.failures()}
    child.answer(json.loads(clean(json.dumps(answer, ensure_ascii=False))), **arrays)


def _prepare(arguments: Mapping[str, Any], submitted: list[Any]) -> None:
    """Lay out the files, replace what a run must not or can't have, and set the seeds.

    Args:
        arguments: Arguments of the run.
        submitted: List to which the models that the notebook submits are added.
    """
    classes, variant = arguments["num_classes"], arguments["variant"]
    _copy_files(child.readable("submission"), arguments["helpers"], Path(arguments["folder"]))
    platforms.imitate(arguments["version"])
    _take_submissions(submitted)
    torch.set_num_threads(1)
    torch.compile = _as_it_is  # minutes of compiling, for a few batches
    nn.Module.compile = lambda self, *arguments, **options: None
    fake_images.install(classes, variant, arguments["length"])
    downloads.install(fake_images.draw(classes, variant), fake_images.class_names(classes))
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = False


def _shell() -> Any:
    """Return IPython as a notebook has it, without a kernel around it."""
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


def _copy_files(folder: Path, names: list[str], place: Path) -> None:
    """Put the notebook's own helpers around it, where it can also write.

    Args:
        folder: Folder of the submission.
        names: Paths of the helpers in it.
        place: Path of the notebook's folder in it.
    """
    room = Path.cwd() / ROOM
    (room / place).mkdir(parents=True)
    os.chdir(room / place)
    for name in names:
        source, target = folder / name, room / name
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
    if place.parts:  # an editor may take the whole folder for the place to import from
        sys.path.append(str(room))


def _as_it_is(model: Any = None, **options: Any) -> Any:
    """Return the model; like `torch.compile`, it is also called without one, as a decorator."""
    return model if model is not None else lambda function: function


def _take_submissions(submitted: list[Any]) -> None:
    """Have `cifar_lab.submit` only say which model it is that the student hands in."""

    def submit(result: Any, **options: Any) -> Path:
        submitted.append(result if isinstance(result, nn.Module) else result.model)
        return Path("submission")

    def check_submission(*arguments: Any, **options: Any) -> None:
        print("The checks run on this notebook now.")

    cifar_lab.submit = submission.submit = submit
    cifar_lab.check_submission = check_submission


def _handed_in(
    variables: dict[str, Any],
    others: Sequence[nn.Module],
    watch: Watch,
    arguments: Mapping[str, Any],
) -> Any:
    """Return the network that is meant where none was submitted.

    The one that the stored weights fit: `model` first, then others by their names; without weights
    `model`, or else the network that was trained last.

    Args:
        variables: Variables of the notebook.
        others: Networks that no variable needs to hold.
        watch: Watch over the training.
        arguments: Arguments of the run.
    """
    networks = [*_networks(variables), *others]
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
    """Return the networks among a notebook's variables, in lists, dicts and attributes too."""
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
    """Return the stored weights, if they fit; the check of the weights says where they don't."""
    state = model.state_dict()
    try:
        loaded = load_weights(shapes_of(state), preferred, ties_of(state))
    except Exception:  # a damaged file makes torch.load raise almost anything
        return None
    return loaded.tensors if loaded.fits else None


def _look_at(
    model: Any, is_submitted: bool, arguments: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Describe the model; as asked, add the program that computes it, or all looks at it."""
    found: dict[str, Any] = {
        "found": model is not None,
        "type": type(model).__name__,
        "is_module": isinstance(model, nn.Module),
        "submitted": is_submitted,
    }
    if not found["is_module"]:
        return found, {}
    model = unwrap(model)
    found |= _description(model)
    model.cpu().eval()
    found["reached_in_training"] = reached_in_training(model, arguments["image_size"])
    if arguments["then"] == "nothing":
        return found, {}
    model.zero_grad(set_to_none=True)
    stored = _stored_for(model, arguments["preferred"]) if arguments["weights"] else None
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


def _description(model: nn.Module) -> dict[str, Any]:
    """Return a network's type, its size, and digests by which two runs are compared."""
    state = model.state_dict()
    return {
        "type": type(model).__name__,
        "digest": digest(state.values()),
        "trained": digest(model.parameters()),
        "shapes": {name: list(tensor.shape) for name, tensor in state.items()},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _as_it_is_now(model: nn.Module, arguments: Mapping[str, Any]) -> Subject:
    size = arguments["image_size"]
    images = torch.zeros(2, 3, size, size)
    count: Callable[[], dict[str, int]] = lambda: size_of_module(model, images)  # noqa: E731
    return Subject(model, model.state_dict(), count, size)
