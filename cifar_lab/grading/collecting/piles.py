"""What an export has of each student, before it is put into one folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cifar_lab.grading.collecting.students import Person


@dataclass(frozen=True)
class Source:
    """A file or a folder of a student's.

    Attributes:
        path: Where it is.
        given: Name in the export.
        file: Name of a file in the student's folder; None for a folder, whose content goes there.
        is_ours: Whether it was unpacked here, so that it may be moved.
        date: When it was submitted, as numbers; empty where that is not known.
    """

    path: Path
    given: str
    file: str | None
    is_ours: bool
    date: tuple[int, ...] = ()


@dataclass
class Pile:
    """All that came from one student.

    Attributes:
        site: Site that exported it; "" for a plain folder or archive.
        folder: Name for the student's folder; somebody else's may be the same.
        people: People whose work it is.
        sources: Files and folders.
        late: Whether the site says that it was late.
        problem: Reason why it can't be graded; "" where it can.
        in_place: Folder that is graded where it is.
    """

    site: str
    folder: str
    people: list[Person]
    sources: list[Source] = field(default_factory=list)
    late: bool = False
    problem: str = ""
    in_place: Path | None = None


@dataclass
class Piles:
    """All piles of a class, and what is in none.

    Attributes:
        of: Piles, by what tells students apart.
        ignored: Pairs of a name in the export and the reason why it is in no pile.
    """

    of: dict[tuple[str, ...], Pile] = field(default_factory=dict)
    ignored: list[tuple[str, str]] = field(default_factory=list)
