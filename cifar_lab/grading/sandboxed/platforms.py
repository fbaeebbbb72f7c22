"""Colab and Kaggle in name only: their modules, their folders, and answers to their questions."""

from __future__ import annotations

import builtins
import functools
import getpass
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from .anything import AnyModule

STATED_ANSWER = "1"
"""The answer to each `input()`: a number, and a text that is not empty."""
STATED_KEY = "0" * 40
"""The answer to `getpass()` and to requests for a stored secret; as long as a key of wandb."""
MOST_ANSWERS = 1_000  # a loop that waits for another one has no end

FOLDERS = r"/content|/kaggle/(?:working|temp|input)"
HOME = re.compile(rf"(?<![\w/:.}}-])(?:{FOLDERS})(?![\w-]|\.\w)")
PATH = re.compile(rf"{HOME.pattern}([^\n'\"]*)")
DRIVE = re.compile(r"/g?drive/", re.IGNORECASE)
COLAB = "google.colab"
QUESTIONS: list[str] = []  # those that were asked by now
MADE: set[Path] = set()  # by `make_folders`, and not by the notebook yet
KAGGLE = ("kaggle_secrets", "kaggle_datasets", "kaggle_gcp", "kaggle_session", "kaggle_web_client")


def imitate(version: str) -> None:
    """Let cells run that only a Colab or Kaggle machine needs, and answer questions.

    Args:
        version: Given for the installed version of cifar-lab.
    """
    if not any(isinstance(finder, Platforms) for finder in sys.meta_path):
        sys.meta_path.insert(0, Platforms())
    _imitate_colab()
    _answer_questions()
    os.mkdir = _tolerant(os.mkdir)
    Path.mkdir = _tolerant(Path.mkdir)
    find = importlib.metadata.version

    @functools.wraps(find)
    def installed(distribution_name: str) -> str:
        is_ours = distribution_name in ("cifar-lab", "cifar_lab")
        return version if is_ours else find(distribution_name)

    importlib.metadata.version = installed


class Platforms(MetaPathFinder, Loader):
    """A finder of the platforms' own modules, and of any module inside of them."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where a module comes from: from here, if it is a platform's."""
        is_ours = fullname.split(".")[0] in KAGGLE or f"{fullname}.".startswith(f"{COLAB}.")
        return spec_from_loader(fullname, self, is_package=True) if is_ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module that has any attribute."""
        return AnyModule(spec.name, _answers().get(spec.name))

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is."""


class Secrets:
    """Kaggle's `UserSecretsClient`, which knows a key for everything."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments, **options: STATED_KEY


def _answers() -> dict[str, dict[str, Any]]:
    """Return the modules' functions whose results are used."""
    return {
        f"{COLAB}.files": {
            "upload": lambda *arguments, **options: {},
            "upload_file": lambda name, *arguments, **options: name,
        },
        f"{COLAB}.userdata": {"get": lambda *arguments, **options: STATED_KEY},
        f"{COLAB}.drive": {},
        "kaggle_secrets": {"UserSecretsClient": Secrets},
    }


def _imitate_colab() -> None:
    """Import an imitation of `google.colab`, which notebooks look up; the real `google` stays."""
    try:
        google = importlib.import_module("google")
    except ImportError:
        google = ModuleType("google")
        google.__path__ = []
        sys.modules["google"] = google
    google.colab = importlib.import_module(COLAB)
    for name in _answers():
        importlib.import_module(name)


def questions() -> int:
    """Return how many questions were asked by now."""
    return len(QUESTIONS)


def _answer_questions() -> None:
    def ask(prompt: object = "", /) -> str:
        print(prompt)
        QUESTIONS.append(str(prompt)[:100])
        if len(QUESTIONS) > MOST_ANSWERS:
            raise EOFError(f"Nobody is there to give another answer than {STATED_ANSWER!r}.")
        return STATED_ANSWER

    def ask_for_key(*arguments: Any, **options: Any) -> str:
        QUESTIONS.append("")
        return STATED_KEY

    builtins.input = ask
    for name in ("getpass", "unix_getpass", "win_getpass", "fallback_getpass"):
        setattr(getpass, name, ask_for_key)


def run_commands(line: str, cell: str) -> None:
    """Run a cell of commands as lines with `!` are run: what fails without a network, fails alone.

    Args:
        line: Options of `%%bash`, which say nothing of the commands.
        cell: The commands.
    """
    program = shutil.which("bash") or "sh"
    subprocess.run([program, "-c", cell], stdin=subprocess.DEVNULL, check=False)


def moved(text: str) -> str:
    """Return the text with the platforms' folders replaced by the folder that work is done in."""
    return HOME.sub(lambda folder: str(Path.cwd()), text)


def make_folders(texts: Iterable[str]) -> None:
    """Make the folders in which texts store something, and those of the Drive that they name."""
    text = "\n".join(texts)
    makes_its_own = "mkdir" in text or "makedirs" in text
    Path("drive", "MyDrive").mkdir(parents=True, exist_ok=True)
    for rest in PATH.findall(text):
        folder = Path(f".{rest}")
        with suppress(OSError, ValueError):  # no path: the cell itself will tell
            _make(folder.parent)
            if DRIVE.search(rest) and not folder.suffix and not makes_its_own:
                _make(folder)


def _make(folder: Path) -> None:
    for each in (*reversed(folder.absolute().parents), folder.absolute()):
        if not each.exists():
            each.mkdir()
            MADE.add(each)


def _tolerant(make: Any) -> Any:
    """Return a `mkdir` that may be called, once, for a folder that was made beforehand."""

    @functools.wraps(make)
    def mkdir(path: Any, *arguments: Any, **options: Any) -> None:
        try:
            make(path, *arguments, **options)
        except FileExistsError:
            folder = Path(os.path.abspath(path))  # noqa: PTH100 (without following links)
            if folder not in MADE:
                raise
            MADE.remove(folder)

    return mkdir
