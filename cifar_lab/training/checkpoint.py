"""Weights and checkpoints in files that are whole or not there at all."""

from __future__ import annotations

import glob
import io
import pickle
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cifar_lab.data.leakage import dataset_of
from cifar_lab.models.wrapping import load_plain_state, unwrap
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import TrainingState
from cifar_lab.utils.files import copy_atomically, user_path, write_atomically
from cifar_lab.utils.plain import plain

CHECKPOINT_FORMAT = "cifar-lab checkpoint 1"
_builders = {"scalar": np.float64().__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
# What numbers of numpy are in a file, beside weights: such as the accuracy that they reached.
NUMPY_NUMBERS: list[Any] = [
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bhilqBHILQefd"},
    *(
        (build, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, build in _builders.items()
    ),
]
WEIGHTS_NAMES = ("model_state_dict", "state_dict", "model")  # in a checkpoint of the user's own


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Save the model's `state_dict` (parameters and buffers), on the CPU, atomically.

    Of a model in a wrapper (`nn.DataParallel`, `torch.compile`, `AveragedModel`) it is that of the
    network inside.

    Raises:
        ValueError: it holds something that could not be loaded again without running code.
        OSError: the file can't be written.
    """
    _write_checked(path, weights_of(model))


def weights_of(model: nn.Module) -> dict[str, Any]:
    """The `state_dict` of the network inside, on the CPU."""
    weights = unwrap(model).state_dict()
    for name, value in weights.items():
        if torch.is_tensor(value):
            weights[name] = value.detach().cpu()
    return weights


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a `state_dict` into the model, running no code from the file.

    The model and the one that the weights are of may be in wrappers, each in its own. A checkpoint
    is taken too: of `fit`, or a dict with the `state_dict` under "model_state_dict", "state_dict"
    or "model".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or no `state_dict`, or it is of another model.
    """
    path = user_path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"No weights at {path}. Train the model first, or correct the path."
        )
    weights = _load_plain(
        path,
        f"{path} is damaged or holds more than weights; expected a state_dict saved with "
        "torch.save(model.state_dict(), path). Save it again, or train again.",
    )
    try:
        load_plain_state(model, _weights_in(weights))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not fit this {type(unwrap(model)).__name__}: {error} "
            "Build the model that the weights were saved from."
        ) from error


def _weights_in(content: Any) -> Any:
    """The `state_dict` in a checkpoint; anything else as it is."""
    if not isinstance(content, Mapping):
        return content
    if content.get("format") == CHECKPOINT_FORMAT:  # what the run would leave, ended here
        state = content["state"]
        return state["best_weights"] or state["average"] or state["model"]
    for name in WEIGHTS_NAMES:
        if isinstance(content.get(name), Mapping):
            return content[name]
    return content


def save_checkpoint(path: str | Path, state: TrainingState, run: Mapping[str, Any]) -> None:
    """Save all that resuming needs. The checkpoint before stays, as `PATH.previous`.

    Args:
        path: the checkpoint.
        state: of the run.
        run: what else the run depends on (seed, precision, ...), as plain values.

    Raises:
        ValueError: it holds something that could not be loaded again; the checkpoint before stays.
        OSError: the file can't be written, or the disk is full.
    """
    path = user_path(path)
    content = {
        "format": CHECKPOINT_FORMAT,
        "recipe": plain(state.recipe.to_dict()),
        "run": plain(run),
        "state": state.state_dict(),
    }

    def keep_the_one_before() -> None:
        if path.exists():
            copy_atomically(path, _previous(path))

    _write_checked(path, content, then=keep_the_one_before)


def to_bytes(content: Any) -> bytes:
    """What `torch.save` writes of tensors and plain values, read back without running code.

    Raises:
        ValueError: it holds something else, which the message names.
    """
    file = _serialised(content)
    _check_readable(file)
    return file.getvalue()


def _write_checked(
    path: str | Path, content: Any, *, then: Callable[[], None] = lambda: None
) -> None:
    """Write it to a file, read that back, call `then`, and only then put it in place."""

    def check(temporary: Path) -> None:
        _check_readable(temporary)
        then()

    # In memory first: of a full disk torch.save says nothing that names the disk.
    file = _serialised(content)
    write_atomically(path, lambda target: target.write(file.getbuffer()), check=check)


def _serialised(content: Any) -> io.BytesIO:
    file = io.BytesIO()
    try:
        torch.save(content, file)
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # a lambda, a lock, ...
        raise _unreadable(str(error)) from error
    file.seek(0)
    return file


def _check_readable(file: Path | io.BytesIO) -> None:
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        kinds = re.findall(r"GLOBAL ([\w.]*\w)", str(error))
        raise _unreadable(f"it holds a {kinds[0]}" if kinds else str(error)) from error


def _unreadable(reason: str) -> ValueError:
    return ValueError(
        f"This can't be saved so that it loads again: {reason}. Expected tensors, numbers, texts, "
        "and lists and dicts of them: look at what the model's state_dict holds beside its tensors "
        "(get_extra_state)."
    )


def begin_or_resume(
    path: str | Path, state: TrainingState, run: Mapping[str, Any], *, resume: bool
) -> None:
    """Bring the state to where the checkpoint was saved; without one, leave it at the start.

    Raises:
        FileExistsError: there is a checkpoint, and `resume` is false.
        ValueError: it is damaged, no checkpoint, or of another recipe, run or model.
    """
    path = user_path(path)
    for unfinished in path.parent.glob(
        f".{glob.escape(path.name)}*"
    ):  # of a process that was killed
        unfinished.unlink()
    if not path.exists():
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file for the checkpoint in it.")
    if not resume:
        raise FileExistsError(
            f"{path} holds a run already. Go on with it (resume=True, --resume), or give another "
            "file, or move it away to start anew."
        )
    remedy = f"Move it away to start anew{_previous_hint(path)}."
    content = _load_plain(path, f"{path} is damaged or no checkpoint of a training run. {remedy}")
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise ValueError(f"{path} is no checkpoint of a training run. {remedy}")
    here = state.recipe.to_dict() | plain(run)
    try:
        # Read as a recipe, one of before a setting was there has that setting's default.
        there = Recipe.from_dict(content["recipe"]).to_dict() | content["run"]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is of another version of cifar_lab: {error}. {remedy}") from error
    differences = [
        f"{name} is {value!r} here, {there[name]!r} there"
        for name, value in here.items()
        if name in there and value != there[name]  # one of before it was noted says nothing of it
    ]
    if differences:
        raise ValueError(
            f"{path} is of another run: {'; '.join(differences)}. Resume with the same model, "
            "recipe, seed, images, labels and precision, or move it away."
        )
    try:
        state.load_state_dict(content["state"])
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not fit this {type(unwrap(state.model)).__name__}: {error} "
            "Resume with the model that the run began with."
        ) from error


def is_of(path: str | Path, recipe: Recipe, dataset: str, architecture: str) -> bool:
    """Whether going on from the checkpoint makes sense by that recipe, on that data, that model.

    True for a file that can't be read as well: `begin_or_resume` says what is wrong with it, and
    with one of the same dataset's other images.
    """
    try:
        content = torch.load(user_path(path), map_location="cpu", weights_only=True)
        there = Recipe.from_dict(content["recipe"])
        run = {"images": "", "model": architecture, **content["run"]}
        return (there, run["model"]) == (recipe, architecture) and (
            dataset_of(run["images"]) in ("", dataset)
        )
    except Exception:  # a damaged file makes torch.load raise almost anything
        return True


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _previous_hint(path: Path) -> str:
    previous = _previous(path)
    if not previous.exists():
        return ""
    return f", or go on from the one saved before it: rename {previous.name} to {path.name}"


def _load_plain(path: str | Path, message: str) -> Any:
    """Tensors and plain values from a file, running no code from it; `message` if it holds else."""
    allowed = getattr(torch.serialization, "safe_globals", nullcontext)(NUMPY_NUMBERS)
    try:
        with allowed:
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch.load raise almost anything
        raise ValueError(message) from error
