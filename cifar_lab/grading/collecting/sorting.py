"""Sorting an export: from a folder or an archive to one pile for each student."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

from cifar_lab.grading.collecting.archive_kinds import archive_kind, archive_stem
from cifar_lab.grading.collecting.archives import top_names, unpack
from cifar_lab.grading.collecting.entries import OF_TOOLS
from cifar_lab.grading.collecting.gradescope import METADATA, Submitter, read_metadata
from cifar_lab.grading.collecting.layouts import GRADESCOPE, Entry, named_folder, read_name
from cifar_lab.grading.collecting.names import safe_name
from cifar_lab.grading.collecting.piles import Pile, Piles, Source
from cifar_lab.grading.collecting.students import Person
from cifar_lab.grading.collecting.unpack_limits import OF_CLASS, ArchiveError
from cifar_lab.grading.isolation.files import walk
from cifar_lab.grading.submissions.folder import (
    ENVIRONMENT_MARKS,
    MADE_BY_TOOLS,
    MOST_WRAPPINGS,
    NOTEBOOK_SUFFIX,
    is_left_out,
    unwrapped,
)

RESULTS_LOCK = ".cifar-lab-grades.lock"  # in a folder of results
MOST_LOOKED_AT = 20_000  # files and folders of a student's, in search of a notebook
OF_SITES = OF_TOOLS | {"index.html"}  # beside the students' folders
TOOLS = MADE_BY_TOOLS | {
    ".git",
    ".svn",
    ".hg",
    ".ipynb_checkpoints",
    ".vscode",
    ".idea",
    ".cache",
    ".trash",
    ".trashes",
    ".fseventsd",
    ".spotlight-v100",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
}


class Sorter:
    """Sorts what a course site exported by student.

    Args:
        scratch: Folder that archives are unpacked into; it need not be there.
        results: Folder of the results, which is no submission; None for none.

    Attributes:
        piles: Piles so far.
    """

    def __init__(self, scratch: Path, results: Path | None) -> None:
        self.piles = Piles()
        self._scratch = scratch
        self._results = None if results is None else results.resolve()
        self._losses: list[tuple[str, str]] = []
        self._levels: set[str] = set()  # names of folders that hold the students'
        self._numbers = itertools.count()

    def read(self, path: Path) -> None:
        """Sort a folder's or an archive's content.

        Raises:
            FileNotFoundError: There is nothing.
            ValueError: It is no folder and no archive, or can't be unpacked.
        """
        if path.is_dir():
            self._read_folder(*_innermost(path, "", is_ours=False), is_ours=False)
        elif not path.exists():
            raise FileNotFoundError(f"There is no folder {path}, and no archive.")
        elif archive_kind(path) in (None, "other"):
            raise ValueError(
                f"{path} is neither a folder nor an archive that can be unpacked here (zip, tar, "
                "tar.gz)."
            )
        else:
            self._read_archive(path, "")
        self._note_losses()

    def _read_archive(self, archive: Path, given: str) -> None:
        """Unpack an archive of a class, and sort its content."""
        folder = self._scratch / f"class{next(self._numbers)}"
        try:
            unpacked = unpack(archive, folder, OF_CLASS)
        except ArchiveError as error:
            raise ValueError(f"{archive} {error}.") from error
        for one in unpacked.refused:
            self.piles.ignored.append((given + one.name, one.reason))
            if one.is_loss:
                self._losses.append((given + one.name, one.reason))
        inner, given = _innermost(folder, given, is_ours=True)
        if _is_one_submission(inner):
            raise ValueError(
                f"{archive} holds one submission, not a class's. Put it into a folder, and grade "
                "that folder."
            )
        self._read_folder(inner, given, is_ours=True)

    def _note_losses(self) -> None:
        """Mark submissions of which a part stayed packed in the class's archive."""
        for given, reason in self._losses:
            above, _, name = given.rpartition("/")
            entry = read_name(name, is_folder=False) if above in self._levels else None
            piles = [] if entry is None else [self._pile(entry)]
            for pile in (*piles, *self.piles.of.values()):
                folders = [one.given for one in pile.sources if one.file is None]
                if pile in piles or any(given.startswith(f"{one}/") for one in folders):
                    pile.problem = f"{given}: {reason}"

    def _read_folder(self, folder: Path, given: str, *, is_ours: bool) -> None:
        self._levels.add(given.rstrip("/"))
        paths = sorted(folder.iterdir())
        if not is_ours:
            for path in _archives_of_class(paths):
                paths.remove(path)
                self._read_archive(path, f"{given}{path.name}/")
        submitters = self._submitters(folder, given)
        names = {path.name for path in paths}
        for path in paths:
            name = given + path.name
            if path.is_dir():
                if path.name in submitters:
                    self._add_of_gradescope(path, name, submitters.pop(path.name), is_ours)
                else:
                    self._add_folder(path, name, is_ours)
            elif path.is_file() and not path.is_symlink():
                self._add_file(path, name, is_ours, names)
            else:
                self._ignore(name, "a link, or no ordinary file")
        for missing in submitters:
            self._ignore(given + missing, f"named in {METADATA}, and not there")

    def _ignore(self, given: str, reason: str) -> None:
        self.piles.ignored.append((given, reason))

    def _submitters(self, folder: Path, given: str) -> dict[str, list[Submitter]]:
        path = folder / METADATA
        if not path.is_file():
            return {}
        try:
            return read_metadata(path)
        except (OSError, ValueError) as error:
            self._ignore(given + METADATA, f"can't be read: {error}")
            return {}

    def _add_of_gradescope(
        self, path: Path, given: str, submitters: list[Submitter], is_ours: bool
    ) -> None:
        people = []
        for one in submitters or [{}]:
            ids = {kind: one[kind] for kind in ("sid", "email") if one.get(kind)}
            people.append(Person(one.get("name") or path.name, ids))
        number = people[0].ids.get("sid") or path.name.rpartition("_")[2]
        pile = Pile(GRADESCOPE, named_folder(people[0].name, number), people)
        pile.sources.append(Source(path, given, None, is_ours))
        self.piles.of[GRADESCOPE, given] = pile

    def _add_folder(self, path: Path, given: str, is_ours: bool) -> None:
        entry = read_name(path.name, is_folder=True)
        if entry is not None:
            self._add(entry, path, given, is_ours)
        elif path.resolve() == self._results:
            pass  # said at the end, as the folder of the results
        elif reason := _why_no_submission(path):
            self._ignore(given, reason)
        else:
            pile = Pile("", safe_name(path.name), [Person(path.name, {"folder": path.name})])
            if is_ours or _needs_unpacking(path):
                pile.sources.append(Source(path, given, None, is_ours))
            else:
                pile.in_place = path
            self.piles.of["", given] = pile

    def _add_file(self, path: Path, given: str, is_ours: bool, names: set[str]) -> None:
        entry = read_name(path.name, is_folder=False)
        stem = archive_stem(path.name)
        if entry is not None:
            self._add(entry, path, given, is_ours)
        elif path.name == METADATA:
            pass  # it was read
        elif not _is_no_systems(path):
            self._ignore(given, "the site's own, or the system's")
        elif archive_kind(path) is None:
            self._ignore(given, "no folder, and its name is not of a course site")
        elif stem in names:
            self._ignore(given, f"packed, and the folder {stem} beside it is graded")
        else:
            pile = Pile("", safe_name(stem), [Person(stem, {"folder": stem})])
            pile.sources.append(Source(path, given, path.name, is_ours))
            self.piles.of["", given] = pile

    def _add(self, entry: Entry, path: Path, given: str, is_ours: bool) -> None:
        pile = self._pile(entry)
        pile.late |= entry.late
        if entry.reason:
            self._ignore(given, entry.reason)
        else:
            pile.sources.append(Source(path, given, entry.file, is_ours, entry.date))

    def _pile(self, entry: Entry) -> Pile:
        person = Person(entry.name, entry.ids)
        return self.piles.of.setdefault(entry.key, Pile(entry.site, entry.folder, [person]))


def _innermost(folder: Path, given: str, *, is_ours: bool) -> tuple[Path, str]:
    """Return the folder, or the one that it consists of: sites and people pack a folder.

    A user's own folder that holds one folder is a class of one, unless a site's names are in it.
    """
    for _ in range(MOST_WRAPPINGS):
        inside = list(filter(_is_no_systems, folder.iterdir()))
        if len(inside) != 1 or not inside[0].is_dir() or _entry(inside[0]) is not None:
            break
        further = list(inside[0].iterdir())
        of_site = any(_entry(path) or path.name == METADATA for path in further)
        packed = is_ours and not any(map(_is_loose_notebook, further))
        if not of_site and not (packed and any(_may_be_of_student(path) for path in further)):
            break
        folder, given = inside[0], f"{given}{inside[0].name}/"
    return folder, given


def _entry(path: Path) -> Entry | None:
    return read_name(path.name, is_folder=path.is_dir())


def _may_be_of_student(path: Path) -> bool:
    return path.is_dir() or archive_kind(path) is not None


def _is_no_systems(path: Path) -> bool:
    return path.name.lower() not in OF_SITES


def _is_loose_notebook(path: Path) -> bool:
    return path.name.lower().endswith(NOTEBOOK_SUFFIX) and _entry(path) is None


def _is_one_submission(folder: Path) -> bool:
    """Return whether this is one student's work, and not a class's with a notebook beside it."""
    paths = list(folder.iterdir())
    if any(_entry(path) or path.name == METADATA for path in paths):
        return False
    students = [path for path in paths if path.is_dir() and _seen_in(path)[0]]
    return any(map(_is_loose_notebook, paths)) and len(students) < 2


def _archives_of_class(paths: list[Path]) -> list[Path]:
    """Return the archives of a class, whole or in parts; none where they are one student's each.

    They are a class's only together, and where nothing else is a student's: a student may write a
    site's names into an archive.
    """
    packed = [path for path in paths if path.is_file() and archive_kind(path)]
    if any(path.is_dir() and path.name.lower() not in TOOLS or _entry(path) for path in paths):
        return []
    are_of_class = all(_is_of_class(path, is_alone=len(packed) == 1) for path in packed)
    return packed if are_of_class else []


def _is_of_class(archive: Path, *, is_alone: bool) -> bool:
    try:
        names = top_names(archive)
    except ArchiveError:
        return False
    entries = [read_name(name, is_folder=is_folder) for name, is_folder in names.items()]
    if METADATA in names or len({entry.key for entry in entries if entry}) > 1:
        return True
    if not is_alone or any(name.lower().endswith(NOTEBOOK_SUFFIX) for name in names):
        return False
    students = [name for name, is_folder in names.items() if is_folder or name.endswith(".zip")]
    return len(students) > 1


def _why_no_submission(folder: Path) -> str:
    """Return why a folder among the submissions is none; "" where it is one."""
    name = folder.name.lower()
    if name in TOOLS:
        return "made by tools"
    if _has_notebook_on_top(folder):
        return ""
    with suppress(OSError):
        if (folder / RESULTS_LOCK).exists():
            return "results of cifar-lab grade, and no notebook"
        if any((folder / mark).exists() for mark in ENVIRONMENT_MARKS):
            return "a virtual environment"
    if name.startswith((".", "__")) and not any(_seen_in(folder)):
        return "hidden, and without a notebook"
    return ""


def _has_notebook_on_top(folder: Path) -> bool:
    with suppress(OSError):
        return any(path.suffix.lower() == NOTEBOOK_SUFFIX for path in unwrapped(folder).iterdir())
    return False


def _needs_unpacking(folder: Path) -> bool:
    """Return whether a student's folder holds an archive, and no notebook beside it."""
    return _seen_in(folder) == (False, True)


def _seen_in(folder: Path) -> tuple[bool, bool]:
    """Return whether a folder holds a notebook, and whether an archive."""
    has_notebook = has_archive = False
    with suppress(OSError):
        for path in itertools.islice(walk(folder, is_left_out), MOST_LOOKED_AT):
            has_notebook |= path.suffix.lower() == NOTEBOOK_SUFFIX
            has_archive |= archive_kind(path) is not None
    return has_notebook, has_archive
