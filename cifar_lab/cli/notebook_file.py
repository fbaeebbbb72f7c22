"""A notebook's file: what is read of it before it runs, and the digest of its code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.utils.address import without_address
from cifar_lab.utils.files import read_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

NEWEST_FORMAT = 4


def read_notebook(path: str | Path) -> NotebookNode:
    """Read a notebook without its outputs, as format 4; one of an earlier format is upgraded.

    Args:
        path: The .ipynb file, with or without a byte order mark.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no notebook; the message says what it is.
    """
    import nbformat

    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a Jupyter notebook (.ipynb).")
    if not path.is_file():
        raise FileNotFoundError(f"No notebook at {path}.")
    content = _content(path)
    try:
        _complete(content)
        notebook = nbformat.reads(json.dumps(content), as_version=NEWEST_FORMAT)
        if not all(isinstance(cell.cell_type + cell.source, str) for cell in notebook.cells):
            raise TypeError("a cell without a type or source")
    except Exception as error:  # upgrading a damaged notebook fails with errors of many kinds
        raise ValueError(
            f"{path} is a damaged notebook ({type(error).__name__}: {error}). Open it in Jupyter "
            "and save it again, or take an earlier copy."
        ) from error
    return notebook


def _content(path: Path) -> dict[str, Any]:
    """Return the file's content, if that is a notebook of a format that can be read."""
    expected = "expected a Jupyter notebook (.ipynb)."
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8; {expected}") from error
    if not text.strip():
        raise ValueError(f"{path} is empty; {expected}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); {expected}") from error
    version = content.get("nbformat") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise ValueError(f"{path} is JSON, but not of a notebook: no format number; {expected}")
    if not 1 <= version <= NEWEST_FORMAT:
        raise ValueError(
            f"{path} is a notebook of format {version}; expected one of up to {NEWEST_FORMAT}. "
            "Save it in that format with the program that wrote it."
        )
    return content


def _complete(content: dict[str, Any]) -> None:
    """Add the fields that running needs and a program may have left out; no outputs remain.

    Else cells that a run doesn't reach would show the outputs of an earlier one.
    """
    sheets = content.get("worksheets", [content])  # up to format 3
    for part in (content, *sheets, *(cell for sheet in sheets for cell in sheet["cells"])):
        if not isinstance(part.get("metadata"), dict):
            part["metadata"] = {}
        if part.get("cell_type") == "code":
            part["outputs"], part["execution_count"] = [], None


def code_digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of the code cells' sources, by which a stale execution is recognised.

    The address from which the package is installed is left out: `cifar-lab adopt` may change it.
    """
    sources = [without_address(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()
