"""Packages that the grading machine lacks, and where that excuses a failure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LIST = Path(__file__).with_name("platform_packages.txt")
INSTRUCTOR = "Instructor: "
KINDS = ("ModuleNotFoundError", "ImportError")
# Modules whose distribution has another name, the usual one first.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "cv2": (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    "sklearn": ("scikit-learn", "sklearn"),
    "skimage": ("scikit-image",),
    "PIL": ("pillow", "pillow-simd"),
    "yaml": ("PyYAML",),
    "bs4": ("beautifulsoup4",),
    "pynvml": ("nvidia-ml-py", "nvidia-ml-py3", "pynvml"),
    "cupy": ("cupy-cuda12x", "cupy-cuda11x", "cupy"),
    "dateutil": ("python-dateutil",),
    "Levenshtein": ("python-Levenshtein", "Levenshtein"),
    "ignite": ("pytorch-ignite",),
    "google.protobuf": ("protobuf",),
    "google.generativeai": ("google-generativeai",),
    "googleapiclient": ("google-api-python-client",),
    "git": ("GitPython",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "imblearn": ("imbalanced-learn",),
    "pl_bolts": ("lightning-bolts", "pytorch-lightning-bolts"),
    "pycocotools": ("pycocotools",),
    "pywt": ("PyWavelets",),
    "community": ("python-louvain", "community"),
    "dotenv": ("python-dotenv",),
    "umap": ("umap-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "Crypto": ("pycryptodome",),
    "fitz": ("PyMuPDF",),
    "serial": ("pyserial",),
    "attr": ("attrs",),
    "docx": ("python-docx",),
    "clip": ("openai-clip", "CLIP"),
}
# Words that distributions bear and their modules often do not, or the other way round.
AFFIXES = re.compile(
    r"^(?:py)?torch[-_]|^python[-_]|^py(?=\w{4})|[-_](?:py)?torch$|[-_](?:python|py)$"
)
PIP = re.compile(r"\bpip3?[\s\"',]+install\b([^\n;|&#)]*)")
OPTIONS_WITH_VALUE = ("-r", "-f", "-i", "-c", "-t", "--index-url", "--extra-index-url", "--target")
NAME = r"[`'\"]?([A-Za-z][\w.-]*)[`'\"]?"
NO_MODULE = re.compile(r"No module named '?([\w.]+)")
# How libraries say, in an ImportError of their own words, that another one is needed.
NEEDS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"Missing optional dependency {NAME}",
        rf"pip3? install (?:-\S+ )*{NAME}",
        rf"conda install (?:-\S+ \S+ )*{NAME}",
        rf"(?:requires?|needs?|install) (?:the )?{NAME}(?: library| package| module)",
        rf"(?:library|package|module) {NAME} (?:is |was )?not (?:found|installed|available)",
        rf"{NAME} (?:is not installed|was not found|must be installed|needs to be installed)",
        rf"{NAME} (?:is not available|could not be imported|is required)",
        r"`([A-Za-z][\w.-]*)`",
    )
]


def excuse(kind: str, text: str, sources: Iterable[str], *, in_library: bool = False) -> str | None:
    """Return the report's sentence where a notebook failed for want of a package.

    The package has to be missing here, and be one that the notebook installs or that Colab has:
    then the grading machine is at fault. Else the error is the student's own matter: a typo, a
    helper that was not handed in, an old import from a package that is there.

    Args:
        kind: Type of the error that ended the notebook.
        text: Text of that error.
        sources: Cells and helper files of the submission.
        in_library: Whether an installed package raised it, which may need what no cell names.
    """
    if kind not in KINDS:
        return None
    code = list(sources)
    if any(text in source for source in code):  # the notebook itself says so
        return None
    installs = [name for source in code for name in pip_installs(source)]
    for needed, says_python in _needed(text):
        if is_here(needed):
            continue
        if says_python and not in_library and not _is_imported(needed, code):
            continue
        distribution = _distribution(needed, installs)
        if distribution is not None:
            return sentence(needed, distribution)
    return None


def sentence(needed: str, distribution: str) -> str:
    """Return the report's sentence on a package that is missing here."""
    return (
        f"The notebook needs the package {needed}, which the grading machine lacks. {INSTRUCTOR}"
        f"install it where cifar-lab is installed (pip install {distribution}), and grade again."
    )


@cache
def installed_packages() -> list[str]:
    """Return what is installed here: a grade may be another where a package has come or gone."""
    folders = [Path(entry) for entry in sys.path if entry]
    kinds = ("*.dist-info", "*.egg-info")
    found = {
        path.stem.partition("-")[0]
        for folder in folders
        for kind in kinds
        for path in folder.glob(kind)
    }
    return sorted(map(_normal, found))


def pip_installs(source: str) -> Iterator[str]:
    """Yield the distributions that code installs, by a line for the shell or by `subprocess`."""
    for command in PIP.findall(source):
        words = iter(
            re.split(r"[\s\"',\[\]]+", re.sub(r"\[[\w,-]+\](?=[\s\"'=<>~!]|$)", "", command))
        )
        for word in words:
            if word in OPTIONS_WITH_VALUE:
                next(words, None)
            elif "://" in word or word.startswith("git+"):
                address = word.partition("#")[0].partition("@")[0]
                yield address.rstrip("/").rpartition("/")[2].removesuffix(".git")
            elif found := re.match(r"[A-Za-z0-9][\w.-]*", word):
                yield found[0]


def _needed(text: str) -> Iterator[tuple[str, bool]]:
    """Yield what an error's text says is missing, and whether Python says so."""
    found = NO_MODULE.search(text)
    if found:
        top, _, rest = found[1].partition(".")
        # `google` is a folder that many distributions share.
        yield (f"{top}.{rest.partition('.')[0]}" if top == "google" and rest else top), True
        return
    for pattern in NEEDS:
        for name in pattern.findall(text):
            yield name.rstrip("."), False


def is_here(name: str) -> bool:
    """Return whether a module, or a distribution of this name, is installed."""
    top = name.partition(".")[0]
    with suppress(ImportError, ValueError):
        # Only of `google` the inner name counts: looking it up imports the outer package.
        spec = find_spec(name if top == "google" else top)
        if spec is not None and spec.origin is not None:
            return True
    return any(_is_of(distribution, name) for distribution in installed_packages())


def _is_imported(module: str, code: Iterable[str]) -> bool:
    """Return whether code imports a module, or one of that name inside another package."""
    name = rf"(?<!\w){re.escape(module)}(?!\w)"
    statement = re.compile(rf"^[^#\n]*\b(?:import|from|import_module)\b[^#\n]*{name}", re.MULTILINE)
    return any(statement.search(source) for source in code)


def _distribution(needed: str, installs: list[str]) -> str | None:
    """Return the distribution of a module, as the notebook installs it or a platform has it."""
    for name in installs:
        if _is_of(name, needed) or _bare(name) == _bare(needed):
            return name
    for name in _platform_packages():
        if _is_of(name, needed):
            return DISTRIBUTIONS.get(needed, (name,))[0]
    return None


def _is_of(distribution: str, needed: str) -> bool:
    """Return whether a distribution brings the module, or is the distribution, of this name."""
    names = DISTRIBUTIONS.get(needed, (needed,))
    return _squeezed(distribution) in map(_squeezed, names)


def _normal(name: str) -> str:
    """Return a name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _squeezed(name: str) -> str:
    """Return a name without separators: torch-summary brings the module torchsummary."""
    return _normal(name).replace("-", "")


@cache
def _bare(name: str) -> str:
    """Return a name without the parts in which distributions and modules often differ."""
    return _squeezed(AFFIXES.sub("", _normal(name)))


@cache
def _platform_packages() -> tuple[str, ...]:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
