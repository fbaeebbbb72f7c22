"""Which row of a gradebook is whose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from cifar_lab.grading.collecting.students import Person, Student
from cifar_lab.grading.gradebook.book import Gradebook

CHECKED_BY_NAME = ("moodle", "brightspace")  # another number may be the same: of a group
SURE_KINDS = {"canvas", "moodle", "sid", "email"}  # a file with such a column has this very id
MOODLE_PERSON = re.compile(r"\D*?(\d+)")


class Matching:
    """Which row is whose.

    Args:
        book: Gradebook.
        students: All submissions.

    Attributes:
        by_name: Whether names decide, since the file has none of the submissions' numbers.
    """

    def __init__(self, book: Gradebook, students: Sequence[Student]) -> None:
        self._book = book
        self._indexes: dict[tuple[str, int], dict[str, list[int]]] = {}
        people = {
            (student.folder, place): person
            for student in students
            for place, person in enumerate(student.people)
        }
        self._rows = {key: self._by_id(person) for key, person in people.items()}
        kinds = {kind for person in people.values() for kind in person.ids}
        has_ids = any(book.id_columns(kind) for kind in kinds & SURE_KINDS)
        self.by_name = not has_ids and not any(self._rows.values())
        if self.by_name:
            self._rows = {key: self._by_name(person) for key, person in people.items()}
        self._claims = Counter(row for rows in self._rows.values() for row in rows)

    @property
    def taken(self) -> set[int]:
        """Rows that some submission may be meant by."""
        return set(self._claims)

    def row_of(self, student: Student, place: int) -> tuple[int | None, str]:
        """Return the row of one of a submission's people; else None, and the reason."""
        rows = self._rows[student.folder, place]
        if not rows:
            return None, f"nobody in the file has this {'name' if self.by_name else 'number'}"
        if len(rows) > 1:
            return None, f"several rows: {', '.join(map(self._book.title_of, sorted(rows)))}"
        (row,) = rows
        if self._claims[row] > 1:
            return None, f"several submissions for {self._book.title_of(row)}"
        return row, ""

    def _by_id(self, person: Person) -> set[int]:
        """Return the rows that have one of a person's ids."""
        found: set[int] = set()
        for kind, value in person.ids.items():
            for column in self._book.id_columns(kind):
                rows = self._index(kind, column).get(_plain_id(kind, value), [])
                found |= {row for row in rows if self._may_be(person, kind, row)}
        return found

    def _index(self, kind: str, column: int) -> dict[str, list[int]]:
        """Return the rows by the ids in a column."""
        if (kind, column) not in self._indexes:
            index = self._indexes[kind, column] = {}
            for row in self._book.students:
                if value := _plain_id(kind, self._book.value(row, column)):
                    index.setdefault(value, []).append(row)
        return self._indexes[kind, column]

    def _may_be(self, person: Person, kind: str, row: int) -> bool:
        """Return whether a row may be meant, where a number could be that of something else."""
        name = self._book.name_in(row)
        if kind not in CHECKED_BY_NAME or not name or not person.name:
            return True
        return bool(set(words_of(name)) & set(words_of(person.name)))

    def _by_name(self, person: Person) -> set[int]:
        if not person.name:
            return set()
        words, together = words_of(person.name), joined(person.name)
        return {
            row
            for row in self._book.students
            if (name := self._book.name_in(row))
            and (words_of(name) == words or joined(name) == together)
        }


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in an order that doesn't depend on which comes first."""
    return tuple(sorted(re.findall(r"\w+", name.casefold())))


def joined(name: str) -> str:
    """Return a name as Canvas writes it into files' names."""
    return re.sub(r"\W", "", name.casefold())


def _plain_id(kind: str, value: str) -> str:
    """Return an id as it is compared."""
    value = value.strip().casefold()
    if kind == "moodle":
        found = MOODLE_PERSON.fullmatch(value)
        return found[1] if found else ""
    return value.removeprefix("#")  # Brightspace's mark
