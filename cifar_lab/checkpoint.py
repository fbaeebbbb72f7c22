"""Weights and checkpoints in files that are whole or not there at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cifar_lab.files import copy_atomically, write_atomically
from cifar_lab.guard import dataset_of
from cifar_lab.recipe import Recipe
from cifar_lab.state import TrainingState

CHECKPOINT_FORMAT = "cifar-lab checkpoint 1"


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Save the model's `state_dict` (parameters and buffers), on the CPU, atomically."""
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    write_atomically(path, lambda file: torch.save(weights, file))


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a `state_dict` into the model, running no code from the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or no `state_dict`, or it is of another model.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"No weights at {path}. Train the model first, or correct the path."
        )
    weights = _load_plain(
        path,
        f"{path} is damaged or holds more than weights; expected a state_dict saved with "
        "torch.save(model.state_dict(), path). Save it again, or train again.",
    )
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not fit this {type(model).__name__}: {error} "
            "Build the model that the weights were saved from."
        ) from error


def save_checkpoint(path: str | Path, state: TrainingState, run: Mapping[str, Any]) -> None:
    """Save all that going on needs. The checkpoint before stays, as `PATH.previous`.

    Args:
        path: the checkpoint.
        state: of the run.
        run: what else the run depends on (seed, precision, ...), as plain values.
    """
    path = Path(path)
    content = {
        "format": CHECKPOINT_FORMAT,
        "recipe": state.recipe.to_dict(),
        "run": dict(run),
        "state": state.state_dict(),
    }
    if path.exists():
        copy_atomically(path, _previous(path))
    write_atomically(path, lambda file: torch.save(content, file))


def begin_or_resume(
    path: str | Path, state: TrainingState, run: Mapping[str, Any], *, resume: bool
) -> None:
    """Bring the state to where the checkpoint was saved; without one, leave it at the start.

    Raises:
        FileExistsError: there is a checkpoint, and `resume` is false.
        ValueError: it is damaged, no checkpoint, or of another recipe, run or model.
    """
    path = Path(path)
    for unfinished in path.parent.glob(f".{path.name}*"):  # of a process that was killed
        unfinished.unlink()
    if not path.exists():
        return
    if not resume:
        raise FileExistsError(
            f"{path} holds a run already. Go on with it (resume=True, --resume), or give another "
            "file, or move it away to start anew."
        )
    remedy = f"Move it away to start anew{_previous_hint(path)}."
    content = _load_plain(path, f"{path} is damaged or no checkpoint of a training run. {remedy}")
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise ValueError(f"{path} is no checkpoint of a training run. {remedy}")
    here = state.recipe.to_dict() | dict(run)
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
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} does not fit this {type(state.model).__name__}: {error} "
            "Resume with the model that the run began with."
        ) from error


def is_of(path: str | Path, recipe: Recipe, dataset: str, architecture: str) -> bool:
    """Whether going on from the checkpoint makes sense by that recipe, on that data, that model.

    True for a file that can't be read as well: `begin_or_resume` says what is wrong with it, and
    with one of the same dataset's other images.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
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
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch.load raise almost anything
        raise ValueError(message) from error
