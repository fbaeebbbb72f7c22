"""A submission's folder: which files count, and what their names tell."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from cifar_lab.grading.isolation.files import is_folder
from cifar_lab.grading.verdicts import SubmissionError

OWNER = "submission_readable"
MOST_ENTRIES = 100_000  # files and folders that are looked at before a folder is refused
MOST_WRAPPINGS = 5  # folders inside each other

MADE_BY_TOOLS = {"__macosx", "__pycache__", "node_modules", "site-packages"}
ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")  # in the folder of a virtual environment

NOTEBOOK_SUFFIX, PROGRAM_SUFFIX = ".ipynb", ".pt2"
WEIGHTS_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".pt.tar", ".pth.tar", ".ckpt.tar")
# Other data has these suffixes too: a file counts by its name or by how it begins.
UNSURE_SUFFIXES = (".bin", ".pkl", ".tar")
TORCH_BEGINNINGS = (b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19")
OTHER_SUFFIXES = (".h5", ".hdf5", ".keras", ".onnx", ".npz", ".npy", ".pb", ".tflite", ".joblib")
PACKED_SUFFIXES = (".zip", ".7z", ".rar", ".tgz", ".gz", ".tar")
WEIGHTS_WORDS = ("weights", "best", "final", "model")
MOST_WEIGHTS = 10

# Added to a file's name by browsers, Jupyter and the file managers: a second copy.
COPY_MARK = r"[ _-]*\((\d{1,3})\)|[ _-]+copy[ _-]?(\d{0,3})"
# The same, and what may also be part of a name that was given: Canvas writes -1 at a second upload.
ANY_MARK = COPY_MARK + r"|[ _-](\d{1,3})"


def is_left_out(path: Path) -> bool:
    """Return whether a file or folder is no part of the work, so that nobody needs to look into it.

    These are hidden names, such as `.git` and `.ipynb_checkpoints`, what tools make, such as
    `__MACOSX` and `__pycache__`, and virtual environments under any name.
    """
    name = path.name.lower()
    if name.startswith(".") or name in MADE_BY_TOOLS:
        return True
    with suppress(OSError):
        return any((path / mark).exists() for mark in ENVIRONMENT_MARKS)
    return False


def unwrapped(folder: Path) -> Path:
    """Return the folder, or the one that it consists of, as unpacked archives have it."""
    folder = folder.resolve()  # an instructor's class may consist of links
    for _ in range(MOST_WRAPPINGS):
        try:
            inside = [path for path in folder.iterdir() if not is_left_out(path)]
            if len(inside) != 1 or not is_folder(inside[0]):
                break
        except OSError:  # said when its files are asked for
            break
        folder = inside[0]
    return folder


def files_below(folder: Path) -> list[Path]:
    """Return all ordinary files in a folder, sorted; what is left out is not even walked through.

    Links and devices are no ordinary files.

    Raises:
        SubmissionError: There is no folder, or it can't be looked through.
    """
    if not folder.is_dir():
        raise SubmissionError(OWNER, "This is no folder.", "Hand in a folder with the files.")
    found, waiting, seen = [], [folder], 0
    try:
        while waiting and seen <= MOST_ENTRIES:
            for path in _entries(waiting.pop()):
                seen += 1
                mode = path.lstat().st_mode
                if is_left_out(path):
                    continue
                if stat.S_ISDIR(mode):
                    waiting.append(path)
                elif stat.S_ISREG(mode):
                    found.append(path)
    except OSError as error:
        raise SubmissionError(
            OWNER, f"The folder can't be read: {error}.", "Hand in a plain folder with the files."
        ) from error
    if seen > MOST_ENTRIES:
        raise SubmissionError(
            OWNER,
            f"The folder holds more than {MOST_ENTRIES:,} files and folders.",
            "Hand in a plain folder with the files.",
        )
    return sorted(found)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except PermissionError:
        return []


def plain_name(path: Path, marks: str = ANY_MARK) -> tuple[str, tuple[int, ...]]:
    """Return a file's name without the marks of a copy, in lower case, and the copy's numbers.

    `Submission-1 (2).JSON` is `submission.json` with the numbers (1, 2): the later of two copies
    has the larger ones.
    """
    stem, numbers = path.stem.casefold().strip(), []
    while match := re.search(rf"(?:{marks})$", stem):
        if not stem[: match.start()].strip():  # the mark is all of the name
            break
        stem = stem[: match.start()].strip()
        numbers.append(int(next(filter(None, match.groups()), 1)))
    if stem.startswith("copy of "):  # Google Drive
        stem = stem.removeprefix("copy of ").strip()
        numbers.append(1)
    return stem + path.suffix.casefold(), tuple(reversed(numbers))


def latest(paths: Iterable[Path]) -> Path:
    """Return the copy with the highest number, and of those the newest."""
    return max(paths, key=lambda path: (plain_name(path)[1], path.lstat().st_mtime, path.name))


def are_copies(paths: Sequence[Path]) -> bool:
    """Return whether the names say that all these files are copies of one.

    `hw_1.ipynb` and `hw_2.ipynb` may be two pieces of work, unless `hw.ipynb` is there too.
    """
    if len({plain_name(path, COPY_MARK)[0] for path in paths}) == 1:
        return True
    names = [plain_name(path) for path in paths]
    return len({name for name, _ in names}) == 1 and any(not numbers for _, numbers in names)


def is_helper(path: Path) -> bool:
    """Return whether a file is put beside the notebook when that runs.

    Weights are not, nor the exported model: with them at hand, nothing would be trained.
    """
    return not path.name.lower().endswith((*WEIGHTS_SUFFIXES, NOTEBOOK_SUFFIX, PROGRAM_SUFFIX))


def weights_among(files: Iterable[Path], home: Path, own: str, last: str) -> list[Path]:
    """Return the files that may hold the weights, the likeliest first.

    Args:
        files: All files of the submission.
        home: The folder that `cifar_lab.submit` wrote, or the submission's own.
        own: The name of the file that `cifar_lab.submit` writes.
        last: The name of the checkpoint of a run, which is looked at where nothing else fits.
    """

    def place(path: Path) -> tuple[int, int]:
        name, depth = plain_name(path)[0], len(path.parts)
        if name == own and path.parent == home:
            return 0, depth
        if name == last:
            return len(WEIGHTS_WORDS) + 2, depth
        words = (number for number, word in enumerate(WEIGHTS_WORDS, 1) if word in name)
        return next(words, len(WEIGHTS_WORDS) + 1), depth

    found = sorted(filter(_may_hold_weights, files))
    found.sort(key=lambda path: (plain_name(path)[1], path.lstat().st_mtime), reverse=True)
    return sorted(found, key=place)[:MOST_WEIGHTS]


def _may_hold_weights(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(WEIGHTS_SUFFIXES):
        return True
    if not name.endswith(UNSURE_SUFFIXES):
        return False
    if any(word in name for word in WEIGHTS_WORDS):
        return True
    try:
        with path.open("rb") as content:
            return content.read(32).startswith(TORCH_BEGINNINGS)
    except OSError:
        return False


def other_weights(folder: Path, files: Iterable[Path]) -> str:
    """Return why what may be meant as the weights can't be used, as part of a sentence; or ""."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            mode = path.lstat().st_mode
            if path.name.lower().endswith(WEIGHTS_SUFFIXES) and not stat.S_ISREG(mode):
                kind = {stat.S_IFLNK: "a link to another file", stat.S_IFDIR: "a folder"}
                return f"{path.name[:100]} is {kind.get(stat.S_IFMT(mode), 'no ordinary file')}"
    for path in files:
        if path.name.lower().endswith(OTHER_SUFFIXES):
            return f"{path.name[:100]} is none that PyTorch writes"
        if path.name.lower().endswith(PACKED_SUFFIXES):
            return f"{path.name[:100]} is packed, and nobody unpacks it here"
    return ""
