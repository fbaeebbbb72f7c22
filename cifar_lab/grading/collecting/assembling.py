"""Putting all that came from one student into one folder."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cifar_lab.grading.collecting.archive_kinds import archive_kind, archive_stem
from cifar_lab.grading.collecting.archives import unpack
from cifar_lab.grading.collecting.layouts import BRIGHTSPACE, CANVAS, without_number
from cifar_lab.grading.collecting.names import LONGEST, UniqueNames, safe_part, same
from cifar_lab.grading.collecting.piles import Pile, Source
from cifar_lab.grading.collecting.unpack_limits import ArchiveError
from cifar_lab.grading.isolation.files import is_folder, walk
from cifar_lab.grading.submissions.folder import (
    NOTEBOOK_SUFFIX,
    are_copies,
    is_helper,
    is_left_out,
    latest,
)

HIDDEN = "hidden, or made by tools"
MANIFEST_SUFFIX = ".json"
Ignored = list[tuple[str, str]]


def assemble(
    pile: Pile, folder: Path, scratch: Path, ignored: Ignored
) -> tuple[list[tuple[str, str]], str]:
    """Put a student's files into a new folder, with archives unpacked.

    Args:
        pile: What came from the student.
        folder: Folder to make.
        scratch: Folder for what is unpacked; it need not be there.
        ignored: Gets the pairs of a name in the export and the reason why it was left out.

    Returns:
        Pairs of a file's name in the export and in the folder, and the reason why the submission
        can't be graded, "" where it can.

    Raises:
        OSError: The disk is full, or a folder can't be written.
    """
    files = _Files(folder, ignored)
    for source in _submitted_last(pile, ignored):
        files.add(source)
    if pile.site == CANVAS:
        files.undo_numbers()
    problem = files.unpack_archives(scratch) or pile.problem
    if not files.found and not problem:
        problem = "no file was handed in"
    return files.pairs(), problem


def _submitted_last(pile: Pile, ignored: Ignored) -> Sequence[Source]:
    """Return what was submitted last: Brightspace exports each time that a student submits."""
    if pile.site != BRIGHTSPACE:
        return pile.sources
    last = max(map(_time, pile.sources), default=None)
    kept = [source for source in pile.sources if _time(source) == last]
    for source in pile.sources:
        if source not in kept:
            ignored.append((source.given, f"submitted before {kept[0].given}, which is graded"))
    return kept


def _time(source: Source) -> tuple[tuple[int, ...], str]:
    """Return when it was submitted; by the name alone where the date is in another language."""
    return source.date, "" if source.date else source.path.name.split(" - ")[2]


class _Files:
    """A student's files in one folder.

    Attributes:
        found: What each file is called in the export, by its path now.
    """

    def __init__(self, folder: Path, ignored: Ignored) -> None:
        self.folder, self._ignored = folder, ignored
        self.found: dict[Path, str] = {}
        self._also: list[tuple[str, str]] = []
        self._names: dict[Path, UniqueNames] = {}
        self._folders: dict[tuple[str, ...], Path] = {(): folder}
        folder.mkdir(parents=True)

    def pairs(self) -> list[tuple[str, str]]:
        """Return pairs of a file's name in the export and in the folder."""
        now = ((given, str(path.relative_to(self.folder))) for path, given in self.found.items())
        return sorted([*now, *self._also])

    def add(self, source: Source) -> None:
        """Copy or move a file, or what is in a folder; links and what tools made stay behind."""
        if source.file is not None:
            self._put(source.path, (source.file,), source.given, is_ours=source.is_ours)
        else:
            self._add_folder(source.path, (), source.given, is_ours=source.is_ours)

    def _add_folder(
        self, folder: Path, into: tuple[str, ...], given: str, *, is_ours: bool
    ) -> None:
        hidden: list[Path] = []

        def left_out(path: Path) -> bool:
            is_hidden = is_left_out(path)
            if is_hidden:
                hidden.append(path)
            return is_hidden

        for path in sorted(walk(folder, left_out)):
            parts = path.relative_to(folder).parts
            name = f"{given}/{'/'.join(parts)}"
            if _is_ordinary(path):
                self._put(path, (*into, *parts), name, is_ours=is_ours)
            elif not is_folder(path):
                self._ignored.append((name, "a link, or no ordinary file"))
        for path in sorted(hidden):
            name = "/".join(path.relative_to(folder).parts)
            self._ignored.append((f"{given}/{name}", HIDDEN))

    def _put(self, path: Path, parts: tuple[str, ...], given: str, *, is_ours: bool) -> None:
        """Put a file under a name that is harmless, and nobody else's here."""
        folder = self._folder_of(parts[:-1])
        target = folder / self._unique(folder).give(safe_part(parts[-1]))
        if is_ours:
            path.replace(target)
        else:
            _copy(path, target)
        self.found[target] = given

    def _folder_of(self, parts: tuple[str, ...]) -> Path:
        """Return the folder for a path's parts; it is made where it is new."""
        if parts not in self._folders:
            above = self._folder_of(parts[:-1])
            self._folders[parts] = above / self._unique(above).give(safe_part(parts[-1]))
            self._folders[parts].mkdir()
        return self._folders[parts]

    def _unique(self, folder: Path) -> UniqueNames:
        return self._names.setdefault(folder, UniqueNames())

    def undo_numbers(self) -> None:
        """Give files the names back that Canvas adds a number to when they come another time.

        `helper-1.py` can't be imported. Other files of a notebook's have both names from then on.
        Notebooks, weights and manifests are known with a number as well, and may be meant so.
        """
        for path, given in list(self.found.items()):
            plain = without_number(path.name)
            is_known = not is_helper(path) or path.suffix.lower() == MANIFEST_SUFFIX
            if plain is None or is_known or archive_kind(path):
                continue
            new = path.with_name(plain)
            if new.exists() or self._unique(path.parent).give(plain) != plain:
                continue
            if path.suffix.lower() == ".py":
                path.rename(new)
                del self.found[path]
                self.found[new] = given
            else:
                _copy(path, new)
                self._also.append((given, str(new.relative_to(self.folder))))

    def unpack_archives(self, scratch: Path) -> str:
        """Unpack the archives among the files, and no archive in them.

        An archive stays where a notebook lies beside it, which may read it.

        Returns:
            The reason why there is nothing to grade; "" where there is something.
        """
        packed = [path for path in self.found if archive_kind(path)]
        has_notebook = any(path.suffix.lower() == NOTEBOOK_SUFFIX for path in self.found)
        if len(packed) > 1 and are_copies(packed):
            newest = latest(packed)
            for path in packed:
                if path != newest:
                    self._ignored.append((self.found.pop(path), f"an earlier {newest.name}"))
                    path.unlink()
            packed = [newest]
        problems = [self._unpack(path, scratch, keep=has_notebook) for path in packed]
        return "" if has_notebook else next(filter(None, problems), "")

    def _unpack(self, path: Path, scratch: Path, *, keep: bool) -> str:
        """Unpack an archive beside where it lies; return why that can't be done."""
        given, folder = self.found[path], scratch / "student"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            unpacked = unpack(path, folder)
        except ArchiveError as error:
            self._ignored.append((given, str(error)))
            return f"{given} {error}"
        for one in unpacked.refused:
            self._ignored.append((f"{given}/{one.name}", one.reason))
        if not keep:
            path.unlink()
            del self.found[path]
        beside = path.parent.relative_to(self.folder).parts
        taken = {same(one.name) for one in path.parent.iterdir()}
        if any(same(one.name) in taken for one in folder.iterdir()):
            beside += (shorter_stem(path.name),)
        before = set(self.found)
        self._add_folder(folder, beside, given, is_ours=True)
        for new in self.found.keys() - before:
            if archive_kind(new):
                reason = "an archive in an archive, which is not unpacked"
                self._ignored.append((self.found[new], reason))
        lost = [one for one in unpacked.refused if one.is_loss]
        return f"{given}/{lost[0].name}: {lost[0].reason}" if lost else ""


def shorter_stem(name: str) -> str:
    """Return a name for the folder of an archive's content."""
    return archive_stem(name)[:LONGEST] or "unpacked"


def _is_ordinary(path: Path) -> bool:
    with suppress(OSError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def _copy(path: Path, target: Path) -> None:
    """Copy a file's content and time, not its permissions."""
    shutil.copyfile(path, target, follow_symlinks=False)
    state = path.lstat()
    os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))
