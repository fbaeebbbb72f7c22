"""`cifar-lab notebook`: a notebook run from top to bottom; leaves the executed copy and a page."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cifar_lab.cli.notebook_parameters import UnknownParameterError, set_parameters
from cifar_lab.cli.options import RUNS, add_data, add_dataset, add_out, parse_parameter
from cifar_lab.utils.files import read_text, user_path, write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from cifar_lab.cli.notebook_client import EchoingClient
    from cifar_lab.cli.options import Commands

NEWEST_FORMAT = 4
# nbconvert's page shows code in a cell's output in a proportional font.
PAGE_STYLE = (
    "<style>.jp-OutputArea .highlight pre, .jp-OutputArea .highlight pre * "
    "{ font-family: monospace; }</style>"
)


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "notebook",
        help="run a notebook from top to bottom; leaves the executed copy and an HTML page",
        description="Run a notebook in a new kernel. The executed copy and its HTML page go to a "
        "new folder OUT/notebooks/NAME; the notebook itself stays as it is.",
        epilog="example: cifar-lab notebook notebooks/01_*.ipynb -p dataset=synthetic -p seed=1",
    )
    parser.add_argument("path", type=user_path, help="the .ipynb file")
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        type=parse_parameter,
        metavar="NAME=VALUE",
        help="set a name of the notebook's parameters cell; may be given several times, and goes "
        "before --dataset, --data and --out",
    )
    parser.add_argument(
        "--in-place", action="store_true", help="also store the outputs in the notebook itself"
    )
    add_out(parser)
    add_dataset(parser)
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Run the notebook with the parameters that the options set."""
    by_name = dict(options.parameter)
    by_option = {}
    if options.dataset:
        by_option["dataset"] = options.dataset
    if options.data:
        by_option["data_folder"] = str(options.data.resolve())
    results_folder = {"results_folder": str(options.out.resolve())} if options.out else None
    try:
        run_notebook(
            options.path,
            (options.out or RUNS) / "notebooks",
            {**by_option, **by_name},
            optional_parameters=results_folder,
            in_place=options.in_place,
        )
    except UnknownParameterError as error:
        if error.name not in by_option or error.name in by_name:
            raise
        option = "--dataset" if error.name == "dataset" else "--data"
        raise ValueError(
            f"{error} {option} sets that one: leave {option} out, or assign {error.name} in a cell "
            "with the tag 'parameters'."
        ) from error


def run_notebook(
    path: str | Path,
    out: str | Path,
    parameters: Mapping[str, Any],
    *,
    optional_parameters: Mapping[str, Any] | None = None,
    in_place: bool = False,
) -> Path:
    """Execute a notebook in a new kernel; what its cells print appears in the terminal too.

    The kernel is of the Python that runs now. The executed copy is saved after every cell, and the
    kernel finds its path in `$CIFAR_LAB_NOTEBOOK`.

    Args:
        path: The .ipynb file, executed in its own folder.
        out: The folder where a new folder with the executed notebook and its HTML page is made.
        parameters: Values for names that the notebook's cells tagged "parameters" assign.
        optional_parameters: Values for such names that the notebook may have or not.
        in_place: Also store the outputs in the notebook itself.

    Returns:
        The folder with the two files.

    Raises:
        ImportError: Jupyter's packages are missing.
        FileNotFoundError: There is no such notebook.
        ValueError: The file is no notebook, the notebook doesn't have a parameter, a cell failed
            or the kernel died; the notebook up to there is saved all the same.
        KeyboardInterrupt: Ctrl-C; the notebook up to there is saved likewise.
    """
    try:
        import nbformat
        from nbconvert import HTMLExporter

        from cifar_lab.cli.notebook_client import EchoingClient
    except ImportError as error:
        package = (error.name or "Jupyter").partition(".")[0]
        raise ImportError(
            f"Running a notebook needs {package}: pip install 'cifar-lab[notebook]'"
        ) from error

    from cifar_lab.experiments.results import new_folder

    path = user_path(path)
    notebook = read_notebook(path)
    code = code_digest(notebook)
    originals = set_parameters(notebook, parameters, optional_parameters)
    folder = new_folder(user_path(out) / path.stem)
    executed = folder / path.name
    client = EchoingClient(
        notebook, str(path.parent), lambda: write_text(executed, nbformat.writes(notebook))
    )
    failure: BaseException | None = None
    try:
        client.execute(env={**os.environ, "CIFAR_LAB_NOTEBOOK": str(executed.resolve())})
    except BaseException as error:  # also Ctrl-C, a time-out or a dead kernel: save what there is
        failure = error
    notebook = _tidy(notebook)
    notebook.metadata["cifar_lab"] = {"executed_code_sha256": code}
    write_text(executed, nbformat.writes(notebook))
    page, _ = HTMLExporter().from_notebook_node(notebook)
    page = page.replace("</head>", f"{PAGE_STYLE}</head>", 1)
    write_text(executed.with_suffix(".html"), page)
    saved = f"{path.name} and its HTML page in {folder}"
    if client.interrupted or isinstance(failure, KeyboardInterrupt):
        print(f"Interrupted. Saved as far as it ran: {saved}")
        raise KeyboardInterrupt from failure
    if in_place and failure is None:
        for index, source in originals.items():
            notebook.cells[index].source = source
        write_text(path, nbformat.writes(notebook) + "\n")
    print(f"Saved {saved}")
    if failure is not None:
        _raise_explained(failure, path, client)
    return folder


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


def _tidy(notebook: NotebookNode) -> NotebookNode:
    """Keep what was last seen of a progress bar, which redraws its line hundreds of times.

    Nothing remains where the bar was wiped out in the end.
    """
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    notebook, _ = CoalesceStreamsPreprocessor(enabled=True).preprocess(notebook, {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("text", "-").strip()]
    return notebook


def _raise_explained(failure: BaseException, path: Path, client: EchoingClient) -> NoReturn:
    """Raise the error for the user where the notebook failed, else the failure itself."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    if isinstance(failure, CellExecutionError | CellTimeoutError):
        raise ValueError(f"A cell of {path} failed:\n{failure}") from failure
    if isinstance(failure, DeadKernelError):
        raise ValueError(
            f"The kernel died in code cell {client.code_cells_executed} of {path}: most often the "
            "memory was full. Use smaller batches or a smaller model, or close other programs."
        ) from failure
    if isinstance(failure, RuntimeError) and client.code_cells_executed == 0:
        raise ValueError(
            f"The kernel for {path} did not start: {failure}. What it printed stands above; "
            f"{sys.executable} -m ipykernel_launcher must start one."
        ) from failure
    raise failure


def code_digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of the code cells' sources, by which a stale execution is recognised."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()
