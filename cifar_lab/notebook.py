"""Run a notebook from top to bottom and keep what it shows: the executed copy and an HTML page."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.files import write_text
from cifar_lab.results import new_folder

if TYPE_CHECKING:
    from nbformat import NotebookNode

CELL_TIMEOUT_SECONDS = 4 * 3600
# nbconvert's page shows code in a cell's output in a proportional font.
PAGE_STYLE = (
    "<style>.jp-OutputArea .highlight pre, .jp-OutputArea .highlight pre * "
    "{ font-family: monospace; }</style>"
)


def run_notebook(
    path: Path, out: Path, parameters: Mapping[str, Any], *, in_place: bool = False
) -> Path:
    """Execute a notebook in a new kernel; what its cells print appears in the terminal too.

    The executed copy is saved after every cell, and the kernel finds its path in
    `$CIFAR_LAB_NOTEBOOK`.

    Args:
        path: the .ipynb file, executed in its own folder.
        out: where a new folder with the executed notebook and its HTML page is made.
        parameters: values for names that the notebook's cell tagged "parameters" assigns.
        in_place: also store the outputs in the notebook itself.

    Returns:
        The folder with the two files.

    Raises:
        ImportError: jupyter's packages are missing.
        FileNotFoundError: there is no such notebook.
        ValueError: a parameter that the notebook doesn't have, or a cell that failed; the notebook
            up to there is saved all the same.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
        from nbconvert import HTMLExporter
        from nbconvert.preprocessors import CoalesceStreamsPreprocessor
    except ImportError as error:
        raise ImportError(
            f"Running a notebook needs {error.name}: pip install 'cifar-lab[notebook]'"
        ) from error

    class TalkingClient(NotebookClient):
        """Repeats in the terminal what cells print, as it comes; saves after each cell."""

        async def async_execute_cell(self, *arguments: Any, **options: Any) -> NotebookNode:
            try:
                return await super().async_execute_cell(*arguments, **options)
            finally:
                write_text(executed, nbformat.writes(notebook))

        def process_message(self, message: dict[str, Any], *arguments: Any) -> Any:
            if message["msg_type"] == "stream":
                content = message["content"]
                stream = sys.stderr if content["name"] == "stderr" else sys.stdout
                print(content["text"], end="", flush=True, file=stream)
            return super().process_message(message, *arguments)

    if not path.is_file():
        raise FileNotFoundError(f"No notebook at {path}.")
    notebook = nbformat.read(path, as_version=4)
    code = code_digest(notebook)
    folder = new_folder(out / path.stem)
    executed = folder / path.name
    failure: BaseException | None = None
    originals = _set_parameters(notebook, parameters)
    client = TalkingClient(
        notebook,
        timeout=CELL_TIMEOUT_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute(env={**os.environ, "CIFAR_LAB_NOTEBOOK": str(executed.resolve())})
    except BaseException as error:  # also Ctrl-C, a time-out or a dead kernel: save what there is
        failure = error
    # A progress bar redraws its line hundreds of times; only what was last seen is kept, and
    # nothing where the bar was wiped out in the end.
    notebook, _ = CoalesceStreamsPreprocessor(enabled=True).preprocess(notebook, {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("text", "-").strip()]
    notebook.metadata["cifar_lab"] = {"executed_code_sha256": code}
    page, _ = HTMLExporter().from_notebook_node(notebook)
    page = page.replace("</head>", f"{PAGE_STYLE}</head>", 1)
    write_text(executed, nbformat.writes(notebook))
    write_text(executed.with_suffix(".html"), page)
    if in_place and failure is None:
        for index, source in originals.items():
            notebook.cells[index].source = source
        write_text(path, nbformat.writes(notebook) + "\n")
    print(f"Saved {path.name} and its HTML page in {folder}")
    if isinstance(failure, CellExecutionError | CellTimeoutError | DeadKernelError):
        raise ValueError(f"A cell of {path} failed:\n{failure}")
    if failure is not None:
        raise failure
    return folder


def code_digest(notebook: NotebookNode) -> str:
    """SHA-256 of the code cells' sources, by which a stale execution is recognised."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def _set_parameters(notebook: NotebookNode, parameters: Mapping[str, Any]) -> dict[int, str]:
    """Write the values into the cell tagged "parameters"; returns that cell's source before."""
    cells = {
        index: cell
        for index, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", [])
    }
    originals = {index: cell.source for index, cell in cells.items()}
    for name, value in parameters.items():
        for cell in cells.values():
            lines = cell.source.splitlines()
            for number, line in enumerate(lines):
                if line.startswith(f"{name} = "):
                    _, _, comment = line.partition("  # ")
                    lines[number] = f"{name} = {value!r}" + (f"  # {comment}" if comment else "")
                    break
            else:
                known = ", ".join(line.split(" = ")[0] for line in lines if " = " in line)
                raise ValueError(f"The notebook has no parameter {name!r}; it has {known}.")
            cell.source = "\n".join(lines)
        if not cells:
            raise ValueError(f"The notebook has no cell tagged 'parameters' to set {name!r} in.")
    return originals
