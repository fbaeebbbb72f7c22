"""Errors written for the person who reads them: what was wrong, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DatasetUnavailableError(RuntimeError):
    """An error for files of a dataset that are missing and could not be downloaded."""


class CorruptedDataError(RuntimeError):
    """An error for a file of a dataset that is there but is not the official one."""


class LeakedTestImagesError(ValueError):
    """An error for test images that were about to be used before the final evaluation."""


class TrainingDivergedError(RuntimeError):
    """An error for a loss that became NaN or infinite."""


# Errors that a user can fix: commands show the message alone, without a traceback.
USER_ERRORS = (
    ValueError,
    TypeError,
    OSError,
    ImportError,
    CorruptedDataError,
    DatasetUnavailableError,
    TrainingDivergedError,
)


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not in a registry; it suggests the nearest names."""
    known = sorted(known)
    lower = {one.lower(): one for one in known}
    matches = difflib.get_close_matches(str(name).lower(), lower, n=3, cutoff=0.4)
    near = [lower[match] for match in matches]
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return ValueError(f"Unknown {kind} {name!r}. {hint}Known: {', '.join(known)}.")
