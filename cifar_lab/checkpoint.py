"""Files that are whole or not there at all."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import torch
from torch import nn


def write_atomically(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    Whoever reads `path` finds the old content or the new, never a part, whenever the process ends.

    Raises:
        OSError: the folder can't be written; what was at `path` is still there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's is for the owner alone
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or holds more than weights; expected a state_dict saved with "
            "torch.save(model.state_dict(), path). Save it again, or train again."
        ) from error
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not fit this {type(model).__name__}: {error} "
            "Build the model that the weights were saved from."
        ) from error
