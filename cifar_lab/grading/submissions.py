"""A submission's files, read with the care that files of unknown origin need."""

from __future__ import annotations

import hashlib
import json
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cifar_lab.grading.verdicts import SubmissionError
from cifar_lab.submission import FORMAT, MANIFEST, PROGRAM

MIB = 2**20
MOST_NOTEBOOK_MIB, MOST_MANIFEST_MIB, MOST_TOTAL_MIB, MOST_FILES = 64, 4, 1024, 2_000
WEIGHTS_SUFFIXES = (".pt", ".pth")
CHECKPOINT_NAMES = ("checkpoint.pt",)
MOST_WRAPPINGS = 5  # folders in one another
OWNER = "submission_readable"


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook.

    Attributes:
        kind: "code", "markdown" or "raw".
        source: its text.
        count: its execution count; None where it was not run.
        outputs: as the notebook stores them.
        tags: of its metadata.
        metadata: all of it.
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
        """Whether the notebook goes on where it fails, as Jupyter does."""
        return "raises-exception" in self.tags


class Submission:
    """A folder with a student's work; nothing is read before it is asked for.

    Args:
        folder: of one student; where all is in one folder inside it, as unpacked archives have it,
            that one is meant.

    Attributes:
        folder: which directly holds the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _unwrapped(folder)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Its ordinary files; hidden ones, links and devices are not its files.

        Raises:
            SubmissionError: no folder, or too many or too large files.
        """
        if not self.folder.is_dir():
            raise SubmissionError(OWNER, "This is no folder.", "Hand in a folder with the files.")
        found, size = [], 0
        for path in _below(self.folder):
            if any(map(_is_hidden, path.relative_to(self.folder).parts)):
                continue
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found.append(path)
                size += status.st_size
        if len(found) > MOST_FILES or size > MOST_TOTAL_MIB * MIB:
            raise SubmissionError(
                OWNER,
                f"The folder holds {len(found):,} files, {size / MIB:,.0f} MiB.",
                "Leave out datasets and checkpoints: the notebook, the weights and what "
                "cifar_lab.submit wrote are enough.",
            )
        return tuple(found)

    @cached_property
    def notebook_path(self) -> Path:
        """Its one notebook.

        Raises:
            SubmissionError: none, or several.
        """
        paths = [path for path in self.files if path.suffix == ".ipynb"]
        outermost = [path for path in paths if path.parent == self.folder]
        if len(outermost) == 1:  # those further in are copies, such as `runs/` keeps
            return outermost[0]
        if len(paths) != 1:
            names = ", ".join(str(path.relative_to(self.folder)) for path in paths[:5])
            seen = f"There are {len(paths)} notebooks: {names}." if paths else "No notebook."
            raise SubmissionError(
                OWNER, seen, "Put one executed notebook (File > Download > .ipynb) in the folder."
            )
        return paths[0]

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The notebook's cells.

        Raises:
            SubmissionError: no notebook that can be read.
        """
        path = self.notebook_path
        try:
            if path.stat().st_size > MOST_NOTEBOOK_MIB * MIB:
                raise ValueError(f"it has more than {MOST_NOTEBOOK_MIB} MiB")
            content = json.loads(path.read_bytes().decode("utf-8"))
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

    @cached_property
    def home(self) -> Path:
        """The folder that `cifar_lab.submit` wrote: inside, where a whole working folder came."""
        folders = {path.parent for path in self.files if path.name == MANIFEST}
        return folders.pop() if len(folders) == 1 else self.folder

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What `cifar_lab.submit` wrote down; empty where there is none.

        Raises:
            SubmissionError: the file is damaged.
        """
        path = self.home / MANIFEST
        if path not in self.files:
            return {}
        try:
            if path.stat().st_size > MOST_MANIFEST_MIB * MIB:
                raise ValueError(f"it has more than {MOST_MANIFEST_MIB} MiB")
            content = json.loads(path.read_bytes().decode("utf-8"))
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT!r}")
            json.dumps(content, allow_nan=False)
        except (OSError, ValueError, RecursionError) as error:
            raise SubmissionError(
                OWNER,
                f"{MANIFEST} can't be read: {str(error)[:300]}.",
                "Call cifar_lab.submit again; don't change the file by hand.",
            ) from error
        return content

    @cached_property
    def weights(self) -> Path:
        """The file with the weights.

        Raises:
            SubmissionError: none, or several.
        """
        paths = [path for path in self.files if path.suffix in WEIGHTS_SUFFIXES]
        named = [path for path in paths if path == self.home / "weights.pt"]
        paths = named or [path for path in paths if path.name not in CHECKPOINT_NAMES]
        if len(paths) != 1:
            names = ", ".join(str(path.relative_to(self.folder)) for path in paths[:5])
            raise SubmissionError(
                "weights_load",
                f"There are {len(paths)} files of weights: {names}." if paths else "No weights.",
                "Store them with torch.save(model.state_dict(), 'weights.pt') after training and "
                "put that file in the folder.",
            )
        return paths[0]

    @property
    def program(self) -> Path | None:
        """The exported model, if there is one."""
        path = self.home / PROGRAM
        return path if path in self.files else None

    def fingerprint(self) -> str:
        """SHA-256 of all its files' names and contents."""
        sha = hashlib.sha256()
        try:
            files = self.files
        except SubmissionError as error:
            return f"unreadable: {error.seen}"
        for path in files:  # what can't be opened fails where it is needed
            sha.update(str(path.relative_to(self.folder)).encode(errors="surrogateescape") + b"\0")
            with suppress(OSError), path.open("rb") as content:
                while part := content.read(MIB):
                    sha.update(hashlib.sha256(part).digest())
        return sha.hexdigest()


def _below(folder: Path) -> list[Path]:
    """All that is in a folder.

    Raises:
        SubmissionError: some of it can't be looked at.
    """
    try:
        return sorted(folder.rglob("*"))
    except (OSError, RecursionError) as error:
        raise SubmissionError(
            OWNER, f"The folder can't be read: {error}.", "Hand in a plain folder with the files."
        ) from error


def _is_hidden(name: str) -> bool:
    """Of the system's or of Python's own making, such as `.ipynb_checkpoints` and `__MACOSX`."""
    return name.startswith((".", "__"))


def _unwrapped(folder: Path) -> Path:
    folder = folder.resolve()  # an instructor's class may consist of links
    for _ in range(MOST_WRAPPINGS):
        try:
            inside = [path for path in folder.iterdir() if not _is_hidden(path.name)]
            if len(inside) != 1 or inside[0].is_symlink() or not inside[0].is_dir():
                break
        except OSError:  # said when its files are asked for
            break
        folder = inside[0]
    return folder


def _cell(content: dict[str, Any]) -> Cell:
    source, metadata = content["source"], content.get("metadata") or {}
    count = content.get("execution_count")
    return Cell(
        kind=str(content["cell_type"]),
        source="".join(source) if isinstance(source, list) else str(source),
        count=count if isinstance(count, int) else None,
        outputs=tuple(one for one in content.get("outputs") or () if isinstance(one, dict)),
        tags=tuple(map(str, metadata.get("tags") or ())),
        metadata=dict(metadata),
    )
