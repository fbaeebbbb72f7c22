"""Datasets that Kaggle attaches to a notebook: folders that can be read, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

INPUT = Path("/kaggle/input")  # one folder for each dataset that was added to the notebook
DEEPEST = 6  # folders deep: Kaggle's own, the dataset's, and what its author packed


def attached(name: str) -> Iterator[Path]:
    """Return the files of that name in attached datasets, those nearest to the top first.

    Args:
        name: Official name of a file or an archive. Authors of datasets often leave out the
            official folder around it.
    """
    for depth in range(1, DEEPEST + 1):
        yield from sorted(path for path in INPUT.glob("*/" * depth + name) if path.is_file())
