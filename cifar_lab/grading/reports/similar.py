"""Submissions that are alike: the same weights, or code cells that are the same but for names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from cifar_lab.grading.likeness import code_cell_digest, given_cell_digests
from cifar_lab.grading.submissions.submission import Submission
from cifar_lab.grading.verdicts import Grade, SubmissionError

# A cell that more of the class have is most likely what was taught, unless the same people, not
# too large a part of the class, have several.
FEW, FEW_SHARE = 4, 0.05
SEVERAL_CELLS, LARGE_SHARE = 3, 1 / 3
MOST_GROUPS = 30
MOST_LINES, LONGEST_LINE = 30, 160  # of a cell that is shown


@dataclass(frozen=True)
class Shared:
    """Cells that some students have in common, and nobody else.

    Attributes:
        students: Names of the submissions.
        digests: Digests of the cells.
    """

    students: tuple[str, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Likeness:
    """What is alike in a class.

    Attributes:
        weights: Names of the submissions with the same weights, in groups.
        cells: Groups of students with cells in common, those with the most first.
        compared: Number of submissions whose cells were compared.
        few: Number of students up to which every cell in common is listed.
        common: Number of cells that are not listed, since more students have them.
    """

    weights: tuple[tuple[str, ...], ...]
    cells: tuple[Shared, ...]
    compared: int
    few: int
    common: int


def likeness(grades: Sequence[Grade]) -> Likeness:
    """Return what is alike, apart from what the course handed out and what many have."""
    of_weights: dict[str, list[str]] = defaultdict(list)
    of_cell: dict[str, list[str]] = defaultdict(list)
    given, compared = given_cell_digests(), 0
    for grade in sorted(grades, key=lambda grade: grade.submission):
        weights, cells = grade.facts.get("weights_sha256"), grade.facts.get("code_cells")
        if isinstance(weights, str):
            of_weights[weights].append(grade.submission)
        if isinstance(cells, list):
            compared += 1
            for digest in dict.fromkeys(map(str, cells)):
                if digest not in given:
                    of_cell[digest].append(grade.submission)
    few = max(FEW, ceil(FEW_SHARE * len(grades)))
    by_students: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for digest, names in of_cell.items():
        if len(names) > 1:
            by_students[tuple(names)].append(digest)
    every = [Shared(names, tuple(digests)) for names, digests in by_students.items()]
    shared = [one for one in every if len(one.students) <= few or _is_ring(one, len(grades))]
    shared.sort(key=lambda one: (-len(one.digests), len(one.students), one.students))
    return Likeness(
        weights=tuple(tuple(names) for names in of_weights.values() if len(names) > 1),
        cells=tuple(shared),
        compared=compared,
        few=few,
        common=sum(len(one.digests) for one in every) - sum(len(one.digests) for one in shared),
    )


def _is_ring(shared: Shared, students: int) -> bool:
    """Return whether the same people have several cells in common, and are few of the class."""
    few_of_all = len(shared.students) <= LARGE_SHARE * students
    return len(shared.digests) >= SEVERAL_CELLS and few_of_all


def texts_of(folder: Path, digests: Iterable[str]) -> Mapping[str, str]:
    """Return the texts of a submission's cells by their digests, as far as they can be read."""
    wanted = set(digests)
    try:
        cells = Submission(folder).cells
    except (SubmissionError, OSError):
        return {}
    found: dict[str, str] = {}
    for cell in cells:
        if cell.kind == "code" and len(found) < len(wanted):
            digest = code_cell_digest(cell.source)
            if digest in wanted:
                found.setdefault(str(digest), excerpt(cell.source))
    return found


def excerpt(source: str) -> str:
    """Return the beginning of a cell."""
    lines = source[: 2 * MOST_LINES * LONGEST_LINE].strip("\n").splitlines()
    cut = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines]
    left = len(cut) - MOST_LINES
    return "\n".join(cut[:MOST_LINES]) + (f"\n… and {left} more lines" if left > 0 else "")
