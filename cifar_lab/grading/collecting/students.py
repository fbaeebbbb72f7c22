"""Students and their files, as they were collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.utils.errors import unknown_name


@dataclass(frozen=True)
class Person:
    """Somebody who is named in an export.

    Attributes:
        name: Name, as the site writes it.
        ids: Numbers and addresses, by their kind: "canvas", "moodle", "brightspace", "sid",
            "email", or "folder" for the name that a folder or an archive was given.
    """

    name: str
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Student:
    """A student's submission; of a group, one submission with several people.

    Attributes:
        folder: Name of the submission in the results and tables, unique in the class.
        path: Folder with the files.
        name: Name, as the site writes it.
        ids: Ids of the first of the people, as in `Person`.
        files: Maps each file's name in the export to its name in the folder; empty where the folder
            is graded where it is.
        others: The others of a group.
        late: Whether the site says that it was late.
        problem: Reason why it can't be graded; "" where it can.
    """

    folder: str
    path: Path
    name: str
    ids: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Person, ...] = ()
    late: bool = False
    problem: str = ""

    @property
    def people(self) -> tuple[Person, ...]:
        """All whose work it is."""
        return Person(self.name, self.ids), *self.others

    @property
    def names(self) -> set[str]:
        """All that it may be called by."""
        found = {self.folder}
        for person in self.people:
            found |= {person.name, *person.ids.values()}
        return {name for name in found if name}


@dataclass(frozen=True)
class Collected:
    """A class's submissions.

    Attributes:
        students: Students, in the order of their folders' names.
        ignored: Pairs of a name in the export and the reason why it belongs to no submission.
        sites: Sites whose layout was met.
    """

    students: tuple[Student, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    sites: tuple[str, ...] = ()

    @property
    def is_in_place(self) -> bool:
        """Whether every submission is graded where it is."""
        return not any(student.files or student.problem for student in self.students)

    def find(self, name: str) -> Student:
        """Return the student with a name: of the folder, or on the site, or a number there.

        Raises:
            ValueError: Nobody is called that, or several are.
        """
        by_folder = [one for one in self.students if one.folder == name]
        found = by_folder or [one for one in self.students if _is_among(name, one.names)]
        if len(found) > 1:
            raise ValueError(
                f"{name!r} may be {' or '.join(repr(one.folder) for one in found)}; give that name."
            )
        if not found:
            raise unknown_name("student", name, (shown_name(one.folder) for one in self.students))
        return found[0]


def _is_among(name: str, names: Iterable[str]) -> bool:
    return name.casefold() in {one.casefold() for one in names}
