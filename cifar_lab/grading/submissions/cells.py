"""The cells of a notebook's file, and which of several files is the notebook."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.grading.submissions.folder import OWNER, are_copies, latest, plain_name
from cifar_lab.grading.verdicts import SubmissionError
from cifar_lab.utils.files import BYTE_ORDER_MARK_TOO

MIB = 2**20
MOST_NOTEBOOK_MIB = 64
MOST_COMPARED = 5  # notebooks whose cells are compared
MOST_COUNT = 10**9


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook.

    Attributes:
        kind: Kind of the cell, "code", "markdown" or "raw".
        source: Text of the cell.
        count: Execution count; None where the cell was not run.
        outputs: Outputs as the notebook stores them.
        tags: Tags in the metadata.
        metadata: All metadata.
    """

    kind: str
    source: str
    count: int | None
    outputs: tuple[dict[str, Any], ...]
    tags: tuple[str, ...]
    metadata: dict[str, Any]

    @property
    def runs(self) -> bool:
        """Whether it is code that does anything."""
        return self.kind == "code" and bool(self.source.strip())

    @property
    def may_fail(self) -> bool:
        """Whether the notebook continues where the cell fails, as Jupyter does."""
        return "raises-exception" in self.tags


def read_cells(path: Path) -> tuple[Cell, ...]:
    """Return a notebook's cells, whichever program saved it.

    Raises:
        SubmissionError: It can't be read, or there is nothing to run in it.
    """
    try:
        if path.stat().st_size > MOST_NOTEBOOK_MIB * MIB:
            raise ValueError(f"it has more than {MOST_NOTEBOOK_MIB} MiB")
        content = json.loads(path.read_bytes().decode(BYTE_ORDER_MARK_TOO))
        if not isinstance(content, dict) or content.get("nbformat") != 4:
            raise ValueError("it is not a notebook of format 4")
        cells = tuple(_cell(cell) for cell in content["cells"])
        if not any(cell.runs for cell in cells):
            raise ValueError("it has no code cell")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise SubmissionError(
            OWNER,
            f"{path.name} can't be read as a notebook: {what[:300]}.",
            "Open it in Jupyter or Colab, run it, save it and hand it in again as .ipynb.",
        ) from error
    return cells


def _cell(content: dict[str, Any]) -> Cell:
    source, metadata, outputs = map(content.get, ("source", "metadata", "outputs"))
    metadata = metadata if isinstance(metadata, dict) else {}
    count, tags = content.get("execution_count"), metadata.get("tags")
    return Cell(
        kind=str(content["cell_type"]),
        source="".join(map(str, source)) if isinstance(source, list) else str(source or ""),
        count=count if isinstance(count, int) and abs(count) < MOST_COUNT else None,
        outputs=tuple(filter(_is_object, outputs)) if isinstance(outputs, list) else (),
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        metadata=metadata,
    )


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


@dataclass(frozen=True)
class _Seen:
    """A digest of a notebook's cells, and how much of it was run."""

    digest: str
    executed: int
    with_outputs: int


def choose_notebook(paths: Sequence[Path], named: str | None = None) -> Path | None:
    """Return the one that several notebooks are copies of; None where they are different work.

    Of notebooks with the same cells it is the one of which most was run; of names that differ as
    copies do, the latest; or else the one that the manifest names.
    """
    if len(paths) < 2:
        return paths[0] if paths else None
    seen = {path: _look(path) for path in paths} if len(paths) <= MOST_COMPARED else {}
    paths = _without_duplicates(paths, seen)
    if len(paths) == 1:
        return paths[0]
    if are_copies(paths):
        return latest([path for path in paths if seen.get(path)] or paths)
    wanted = None if named is None else plain_name(Path(named))[0]
    matching = [path for path in paths if plain_name(path)[0] == wanted]
    return matching[0] if len(matching) == 1 else None


def _look(path: Path) -> _Seen | None:
    try:
        cells = read_cells(path)
    except SubmissionError:
        return None
    text = json.dumps([(cell.kind, cell.source.strip()) for cell in cells])
    executed = sum(cell.count is not None for cell in cells)
    with_outputs = sum(bool(cell.outputs) for cell in cells)
    return _Seen(hashlib.sha256(text.encode()).hexdigest(), executed, with_outputs)


def _without_duplicates(paths: Sequence[Path], seen: dict[Path, _Seen | None]) -> list[Path]:
    """Leave one of the notebooks with the same cells, and each that can't be read."""
    best: dict[str, Path] = {}

    def worth(path: Path) -> tuple[int, int, int, str]:
        one = seen[path]
        assert one is not None
        return -one.executed, -one.with_outputs, len(plain_name(path)[1]), path.name

    for path in paths:
        one = seen.get(path)
        key = str(path) if one is None else one.digest
        best[key] = path if one is None else min(path, best.get(key, path), key=worth)
    return list(best.values())
