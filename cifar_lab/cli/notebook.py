"""`cifar-lab notebook`: a notebook run from top to bottom; leaves the executed copy and a page."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cifar_lab.cli.interruption import command_line, signals_held
from cifar_lab.cli.notebook_file import code_digest, read_notebook
from cifar_lab.cli.notebook_parameters import (
    UnknownParameterError,
    parameter_of,
    set_parameters,
)
from cifar_lab.cli.options import RUNS, add_data, add_dataset, add_out, parse_parameter
from cifar_lab.utils.console import say
from cifar_lab.utils.files import user_path, write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from cifar_lab.cli.notebook_client import EchoingClient
    from cifar_lab.cli.options import Commands

# Else the kernel's debugger warns of Python's own frozen modules.
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
RESULTS_FOLDER = "results_folder"  # the parameter of the course's notebooks


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "notebook",
        help="run a notebook from top to bottom; leaves the executed copy and an HTML page",
        description="Run a notebook in a new kernel. The executed copy and its HTML page go to a "
        "new folder OUT/notebooks/NAME; the notebook itself stays as it is. The results of its "
        "trainings go to OUT too, if it has the parameter results_folder. OUT is the folder runs "
        "where you are, if it is not given. After Ctrl-C the same command resumes: finished runs "
        "are loaded, an interrupted one trains on from its last epoch.",
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
        "--in-place",
        action="store_true",
        help="also store the outputs in the notebook itself; its results then go where its cells "
        "say, unless --out is given, so that the outputs don't show a path of this machine",
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
    out = options.out or RUNS
    keeps_own = options.in_place and not options.out
    try:
        run_notebook(
            options.path,
            out / "notebooks",
            {**by_option, **by_name},
            optional_parameters={} if keeps_own else {RESULTS_FOLDER: str(out.resolve())},
            in_place=options.in_place,
        )
    except KeyboardInterrupt as interrupt:
        what = str(interrupt) or "Interrupted before the first cell."
        raise KeyboardInterrupt(
            f"{what}\nTo resume (finished runs are loaded, an interrupted one trains on from its "
            f"last epoch):\n  {command_line(options)}"
        ) from None
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

        from cifar_lab.cli.notebook_client import EchoingClient
        from cifar_lab.cli.notebook_page import html_page
    except ImportError as error:
        package = (error.name or "Jupyter").partition(".")[0]
        raise ImportError(
            f"Running a notebook needs {package}: pip install 'cifar-lab[notebook]'"
        ) from error

    from cifar_lab.experiments.folders import new_folder

    path = user_path(path)
    notebook = read_notebook(path)
    code = code_digest(notebook)
    originals = set_parameters(notebook, parameters, optional_parameters)
    folder = new_folder(user_path(out) / path.stem)
    executed = folder / path.name
    page = executed.with_suffix(".html")
    _announce(notebook, path, page)
    client = EchoingClient(
        notebook, str(path.parent), lambda: write_text(executed, nbformat.writes(notebook))
    )
    failure = client.run({**os.environ, **QUIET, "CIFAR_LAB_NOTEBOOK": str(executed.resolve())})
    with signals_held():
        notebook = _tidy(notebook)
        notebook.metadata["cifar_lab"] = {"executed_code_sha256": code}
        write_text(executed, nbformat.writes(notebook))
        write_text(page, html_page(notebook, path.stem))
    saved = f"{path.name} in {folder}, and its page: {page.resolve().as_uri()}"
    if client.interrupted:
        cell = client.code_cells_executed
        where = f"in code cell {cell}" if cell else "before the first cell"
        raise KeyboardInterrupt(f"Interrupted {where}. Saved up to there: {saved}")
    if in_place and failure is None:
        for index, source in originals.items():
            notebook.cells[index].source = source
        write_text(path, nbformat.writes(notebook) + "\n")
    say(f"Saved {saved}")
    if failure is not None:
        _raise_explained(failure, path, client)
    return folder


def _announce(notebook: NotebookNode, path: Path, page: Path) -> None:
    """Print where the page and the results of the notebook's trainings will be."""
    say(f"Running {path}. At the end its page is {page.resolve().as_uri()}")
    results = parameter_of(notebook, RESULTS_FOLDER)
    if isinstance(results, str):
        place = user_path(results)
        seen_from = "" if place.is_absolute() else ", seen from the folder in which its cells work"
        say(f"The results of its trainings go to {place}{seen_from}.")


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
