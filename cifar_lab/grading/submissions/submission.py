"""A submission's files, read with the care that files of unknown origin need."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from cifar_lab.experiments.submission import MANIFEST, PROGRAM, WEIGHTS_FILE
from cifar_lab.grading.submissions.cells import Cell, choose_notebook, read_cells
from cifar_lab.grading.submissions.folder import (
    NOTEBOOK_SUFFIX,
    OWNER,
    PROGRAM_SUFFIX,
    files_below,
    is_helper,
    is_left_out,
    latest,
    other_weights,
    plain_name,
    unwrapped,
    weights_among,
)
from cifar_lab.grading.submissions.manifest import Manifest, find_manifest
from cifar_lab.grading.verdicts import SubmissionError

__all__ = ["Cell", "Submission", "is_left_out"]

MIB = 2**20
MOST_TOTAL_MIB, MOST_FILES = 1024, 2_000
CHECKPOINT_NAME = "checkpoint.pt"


class Submission:
    """A folder with a student's work; nothing is read before it is asked for.

    Args:
        folder: Folder of one student; where it only holds another folder, as unpacked archives do,
            that one is meant.
        assignment: Assignment, "a" or "b", that is meant where a folder has several manifests.

    Attributes:
        folder: Folder that directly holds the files.
    """

    def __init__(self, folder: Path, assignment: str | None = None) -> None:
        self.folder = unwrapped(folder)
        self.assignment = assignment

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Its ordinary files, without links, devices and what `is_left_out` names.

        Raises:
            SubmissionError: There is no folder, or its files are too many or too large.
        """
        found = files_below(self.folder)
        size = sum(path.lstat().st_size for path in found)
        if len(found) > MOST_FILES or size > MOST_TOTAL_MIB * MIB:
            raise SubmissionError(
                OWNER,
                f"The folder holds {len(found):,} files, {size / MIB:,.0f} MiB.",
                "Leave out datasets and checkpoints: the notebook, the weights and what "
                "cifar_lab.submit wrote are enough.",
            )
        return tuple(found)

    @property
    def helpers(self) -> tuple[Path, ...]:
        """The files that lie beside the notebook when it runs: neither notebooks nor weights.

        Raises:
            SubmissionError: As `files`.
        """
        return tuple(filter(is_helper, self.files))

    @cached_property
    def notebook_paths(self) -> tuple[Path, ...]:
        """All its notebooks, copies among them.

        Raises:
            SubmissionError: As `files`.
        """
        return tuple(path for path in self.files if path.suffix.lower() == NOTEBOOK_SUFFIX)

    @cached_property
    def notebook_path(self) -> Path:
        """Its one notebook.

        Raises:
            SubmissionError: There is none, or there are several.
        """
        paths = self.notebook_paths
        named = self._found.content.get("notebook")
        named = Path(named).name if isinstance(named, str) else None
        among = [  # those further in are copies, such as `runs/` keeps
            tuple(path for path in paths if path.parent == folder)
            for folder in (self.folder, self.home)
        ]
        for some in dict.fromkeys([*among, paths]):
            chosen = choose_notebook(some, named)
            if chosen is not None:
                return chosen
        names = ", ".join(str(path.relative_to(self.folder)) for path in paths[:5])
        seen = f"There are {len(paths)} notebooks: {names}." if paths else "No notebook."
        raise SubmissionError(
            OWNER, seen, "Put one executed notebook (File > Download > .ipynb) in the folder."
        )

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The notebook's cells.

        Raises:
            SubmissionError: There is no notebook that can be read.
        """
        return read_cells(self.notebook_path)

    @cached_property
    def _found(self) -> Manifest:
        return find_manifest(self.files, self.assignment)

    @property
    def home(self) -> Path:
        """The folder that `cifar_lab.submit` wrote, maybe inside of the folder that came."""
        path = self._found.path
        return self.folder if path is None else path.parent

    @property
    def manifest(self) -> dict[str, Any]:
        """Content of the manifest; empty where there is none, or it is damaged."""
        return self._found.content

    def refuse_damaged_manifest(self) -> None:
        """Say why the manifest can't be read, where that is so.

        Raises:
            SubmissionError: The file is damaged.
        """
        if self._found.damage:
            raise SubmissionError(
                OWNER,
                f"{MANIFEST} can't be read: {self._found.damage[:300]}.",
                "Call cifar_lab.submit again; don't change the file by hand.",
            )

    @cached_property
    def weights_files(self) -> tuple[Path, ...]:
        """The files that may hold the weights, the likeliest first.

        Raises:
            SubmissionError: There are no weights.
        """
        found = weights_among(self.files, self.home, WEIGHTS_FILE, CHECKPOINT_NAME)
        if not found:
            other = other_weights(self.folder, self.files)
            raise SubmissionError(
                "weights_load",
                f"No weights{other and f': {other}'}.",
                "Store them with torch.save(model.state_dict(), 'weights.pt') after training and "
                "put that file in the folder.",
            )
        return tuple(found)

    @property
    def weights(self) -> Path:
        """The file that most likely holds the weights.

        Raises:
            SubmissionError: There are no weights.
        """
        return self.weights_files[0]

    @property
    def program(self) -> Path | None:
        """The exported model, if there is one."""
        paths = [
            path
            for path in self.files
            if path.parent == self.home and path.suffix.lower() == PROGRAM_SUFFIX
        ]
        named = [path for path in paths if plain_name(path)[0] == PROGRAM]
        if named:
            return latest(named)
        # A site may have renamed it, where it also renamed the manifest.
        return paths[0] if len(paths) == 1 and self._found.content else None

    def fingerprint(self) -> str:
        """Return the SHA-256 of all its files' names and contents."""
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
