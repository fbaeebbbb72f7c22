"""Weights and checkpoints in files that are complete or absent."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from cifar_lab.data.leakage import dataset_of
from cifar_lab.models.former import present_digest
from cifar_lab.models.wrapping import load_plain_state, unwrap
from cifar_lab.training.plain_files import load_plain, write_checked
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import TrainingState
from cifar_lab.utils.console import say
from cifar_lab.utils.files import copy_atomically, user_path
from cifar_lab.utils.plain import plain
from cifar_lab.utils.wording import counted

CHECKPOINT_FORMAT = "cifar-lab checkpoint 1"
WEIGHTS_NAMES = ("model_state_dict", "state_dict", "model")  # in a custom checkpoint


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Save the model's `state_dict` (parameters and buffers), on the CPU, atomically.

    For a model in a wrapper, such as `nn.DataParallel`, it is that of the network inside.

    Raises:
        ValueError: The `state_dict` holds an object that can't be loaded without running code.
        OSError: The file can't be written.

    Example:
        >>> import cifar_lab as lab
        >>> lab.save_weights(lab.build_model("mlp"), "weights.pt")
    """
    write_checked(path, weights_of(model))


def weights_of(model: nn.Module) -> dict[str, Any]:
    """Return the `state_dict` of the network inside any wrapper, on the CPU."""
    weights = unwrap(model).state_dict()
    for name, value in weights.items():
        if torch.is_tensor(value):
            weights[name] = value.detach().cpu()
    return weights


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a `state_dict` into the model, running no code from the file.

    The model, and the one that was saved, may be in different wrappers. The file may also be a
    checkpoint: that of `fit`, or a dict with the `state_dict` under one of `WEIGHTS_NAMES`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, holds no `state_dict`, or another model's.

    Example:
        >>> import cifar_lab as lab, torch
        >>> trained, model = lab.build_model("mlp"), lab.build_model("mlp")
        >>> torch.save(trained.state_dict(), "weights.pt")  # or lab.save_weights
        >>> lab.load_weights(model, "weights.pt")
        >>> all(map(torch.equal, trained.parameters(), model.parameters()))
        True
    """
    path = user_path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"No weights at {path}. Train the model first, or correct the path."
        )
    weights = load_plain(
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
    """Return the `state_dict` in a checkpoint; anything else as it is."""
    if not isinstance(content, Mapping):
        return content
    if content.get("format") == CHECKPOINT_FORMAT:  # as `TrainingState.leave_final_weights`
        state = content["state"]
        return state["best_weights"] or state["average"] or state["model"]
    for name in WEIGHTS_NAMES:
        if isinstance(content.get(name), Mapping):
            return content[name]
    return content


def save_checkpoint(path: str | Path, state: TrainingState, run: Mapping[str, Any]) -> None:
    """Save all that resuming needs; keep the previous checkpoint as `PATH.previous`.

    Args:
        path: The checkpoint.
        state: The run's state.
        run: The other facts that the run depends on (seed, precision, ...), as plain values.

    Raises:
        ValueError: The state holds an object that can't be loaded; the old checkpoint stays.
        OSError: The file can't be written, or the disk is full.
    """
    path = user_path(path)
    content = {
        "format": CHECKPOINT_FORMAT,
        "recipe": plain(state.recipe.to_dict()),
        "run": plain(run),
        "state": state.state_dict(),
    }

    def keep_previous() -> None:
        if path.exists():
            copy_atomically(path, _previous(path))

    write_checked(path, content, then=keep_previous)


@dataclass(frozen=True)
class Checkpoint:
    """The file in which a run is saved, and from which it is resumed.

    Attributes:
        path: The file; None for a run that is not saved.
        run: The other facts that the run depends on (seed, precision, ...), as plain values.
    """

    path: str | Path | None
    run: Mapping[str, Any] = field(default_factory=dict)

    def begin(self, state: TrainingState, *, resume: bool) -> None:
        """Load the saved state, if there is one; see `begin_or_resume`."""
        if self.path is not None:
            begin_or_resume(self.path, state, self.run, resume=resume)

    def save(self, state: TrainingState) -> None:
        """Save all that resuming needs; see `save_checkpoint`."""
        if self.path is not None:
            save_checkpoint(self.path, state, self.run)


def begin_or_resume(
    path: str | Path, state: TrainingState, run: Mapping[str, Any], *, resume: bool
) -> None:
    """Load the state from the checkpoint; leave it as it is where there is no checkpoint yet.

    A recipe with more epochs than the checkpoint's, and equal otherwise, trains the run on.

    Raises:
        FileExistsError: There is a checkpoint, and `resume` is False.
        IsADirectoryError: The path is that of a folder.
        ValueError: The file is damaged, no checkpoint, or that of another recipe, run or model.
    """
    path = user_path(path)
    for temporary in path.parent.glob(f".{glob.escape(path.name)}*"):  # left by a killed process
        temporary.unlink()
    if not path.exists():
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file for the checkpoint in it.")
    if not resume:
        raise FileExistsError(
            f"{path} already holds a run. Resume it (resume=True, --resume), give another file, or "
            "move it away to start from scratch."
        )
    remedy = f"Move it away to start from scratch{_previous_hint(path)}."
    content = load_plain(path, f"{path} is damaged or no checkpoint of a training run. {remedy}")
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise ValueError(f"{path} is no checkpoint of a training run. {remedy}")
    try:
        # `from_dict` gives settings that the file is too old to have their defaults.
        there = Recipe.from_dict(content["recipe"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is of another version of cifar_lab: {error}. {remedy}") from error
    trains_on = state.recipe.extends(there)
    here = (there if trains_on else state.recipe).to_dict() | plain(run)
    saved = there.to_dict() | _run_of(content)
    differences = [
        f"{name} is {value!r} here, {saved[name]!r} there"
        for name, value in here.items()
        if name in saved and value != saved[name]  # files of earlier versions lack some facts
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
    if trains_on:
        state.stopped = False  # an end that a callback asked for counts no more
        if not state.finished:
            _say_trained_on(path, state, there)


def _say_trained_on(path: Path, state: TrainingState, before: Recipe) -> None:
    epochs = state.recipe.epochs
    schedule = ""
    if state.recipe.schedule != "constant" and state.scheduler is None:
        schedule = f" From here on the learning rate follows the schedule of {epochs} epochs."
    say(
        f"Training on: {path} holds {counted(len(state.history), 'epoch')} of a run of "
        f"{before.epochs}, which now gets {epochs}.{schedule}"
    )


def saved_precision(path: str | Path | None) -> str | None:
    """Return the precision in which a checkpoint's run began; None where no file tells it."""
    if path is None or not user_path(path).is_file():
        return None
    try:
        content = torch.load(user_path(path), map_location="cpu", weights_only=True)
        return str(content["run"]["precision"])
    except Exception:  # a damaged file makes torch.load raise almost anything; `begin` says so
        return None


@dataclass(frozen=True)
class SavedRun:
    """The run that a checkpoint is of, without its tensors.

    Attributes:
        recipe: Says how it is trained.
        run: The other facts that it depends on; files of earlier versions lack some.
        epochs: The number of epochs that are done.
    """

    recipe: Recipe
    run: Mapping[str, Any]
    epochs: int

    def is_of(self, recipe: Recipe, dataset: str, architecture: str) -> bool:
        """Return whether it is of this recipe, dataset and architecture; see `is_of`."""
        return (
            (self.recipe == recipe or recipe.begins_as(self.recipe))
            and self.run.get("model", architecture) == architecture
            and dataset_of(self.run.get("images", "")) in ("", dataset)
        )


def saved_run(checkpoint: str | Path | IO[bytes]) -> SavedRun | None:
    """Return the run that a checkpoint is of; None where it can't be resumed.

    Args:
        checkpoint: The file, or its content.
    """
    source = user_path(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
        epochs = len(content["state"]["history"])
        return SavedRun(Recipe.from_dict(content["recipe"]), _run_of(content), epochs)
    except Exception:  # a damaged file makes torch.load raise almost anything
        return None


def is_of(path: str | Path, recipe: Recipe, dataset: str, architecture: str) -> bool:
    """Return whether the checkpoint is of this recipe, dataset and architecture, or unreadable.

    The recipe may have more epochs where the checkpoint's run is the beginning of its own, as at a
    constant learning rate. `begin_or_resume` explains why a file is unreadable, and also compares
    the images themselves.
    """
    saved = saved_run(path)
    return saved is None or saved.is_of(recipe, dataset, architecture)


def _run_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that a checkpoint's run depends on, with today's architecture digest."""
    run = dict(content["run"])
    if "model" in run:
        run["model"] = present_digest(run["model"])
    return run


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _previous_hint(path: Path) -> str:
    previous = _previous(path)
    if not previous.exists():
        return ""
    return f", or resume from the one saved before it: rename {previous.name} to {path.name}"
