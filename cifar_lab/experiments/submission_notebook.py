"""The notebook of a submission: how it is found and put into the folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.utils.files import read_text, user_path


@dataclass(frozen=True)
class NotebookCopy:
    """The plan for a submission's notebook.

    Attributes:
        name: Name of the copy in the folder; None where there is no copy, or where the notebook
            itself lies there.
        content: Content of the copy; None where nothing is to be written.
        replaced: Name of an earlier submission's copy, to be removed; None without one.
        lines: Lines to print once the folder is written.
    """

    name: str | None
    content: bytes | None
    replaced: str | None
    lines: tuple[str, ...]


def find_notebook(named: str | Path | None, folder: Path, manifest: str) -> NotebookCopy:
    """Find the notebook, and return what is to be copied into the folder.

    Args:
        named: The notebook's file; None to ask Jupyter, VS Code or Colab for it.
        folder: Folder of the submission.
        manifest: Name of the file in it that names the copy of an earlier submission.

    Raises:
        FileNotFoundError: The notebook that was named does not exist.
    """
    path = _this_notebook() if named is None else user_path(named)
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"There is no notebook {path}. Correct the path, or leave it out.")
    before = _copied_before(folder / manifest)
    if path is not None:
        line = f"{folder} is written. Its notebook is {path.name} as it was last saved."
        if (folder / path.name).resolve() == path.resolve():
            return NotebookCopy(None, None, None, (line,))
        return _copy(path.name, path.read_bytes(), before, line)
    colab = _ask_colab()
    if colab is not None:
        line = f"{folder} is written, with this notebook as Colab holds it now."
        return _copy("notebook.ipynb", json.dumps(colab).encode(), before, line)
    lines = [f"{folder} is written. Save this notebook and put it in that folder too."]
    if before is not None:
        lines.append(f"Take {before} out of it: that is an earlier version of this notebook.")
    return NotebookCopy(before, None, None, tuple(lines))


def _copy(name: str, content: bytes, before: str | None, line: str) -> NotebookCopy:
    return NotebookCopy(name, content, None if before == name else before, (line,))


def _copied_before(manifest: Path) -> str | None:
    """Return the name of the notebook that the previous submission copied into the folder."""
    try:
        name = json.loads(read_text(manifest))["notebook"]
        return Path(name).name
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _this_notebook() -> Path | None:
    """Return the running notebook's file, where the editor tells."""
    shell_names: dict[str, Any] = {}
    try:
        from IPython import get_ipython

        shell = get_ipython()
        shell_names = {} if shell is None else shell.user_ns
    except ImportError:
        pass
    for name in (
        os.environ.get("CIFAR_LAB_NOTEBOOK"),
        shell_names.get("__vsc_ipynb_file__"),
        os.environ.get("JPY_SESSION_NAME"),
    ):
        if isinstance(name, str) and name.endswith(".ipynb") and user_path(name).is_file():
            return user_path(name)
    return None


def _ask_colab() -> dict[str, Any] | None:
    """Return Colab's own copy of the running notebook; None outside Colab."""
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", timeout_sec=30)
        return answer["ipynb"]
    except Exception:  # not Colab, or another version of it: the student is told to add the file
        return None
