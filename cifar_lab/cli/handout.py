"""`cifar-lab handout`: the notebook that students get, made of the one with the solutions."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cifar_lab.utils.files import user_path, write_together
from cifar_lab.utils.wording import counted

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from cifar_lab.cli.options import Commands

SOLUTION = "solution"  # tag of a cell that students don't get
# What tells when, and by whom, a cell was run: of Jupyter, Colab, and extensions.
TRACES = ("execution", "ExecuteTime", "executionInfo", "outputId", "collapsed", "scrolled")
ANSWER = re.compile(
    r"\n*<details>\s*<summary>\s*Answer\b[^<]*</summary>.*?</details>[ \t]*", re.DOTALL
)
# Addresses by which Colab and Kaggle open a notebook.
BADGE = re.compile(
    r"https?://(?:colab\.research\.google\.com|(?:www\.)?kaggle\.com)/[^\s)\"']*?([^/\s)\"']+\.ipynb)"
)


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "handout",
        help="make the notebook that students get, without solutions and outputs",
        description="Write a student edition of each notebook. Cells with the tag 'solution' are "
        "left out; what stands between the lines '### BEGIN SOLUTION' and '### END SOLUTION' is "
        "replaced by a placeholder with which the notebook runs from top to bottom. Outputs are "
        "cleared. Exercises' checks stay.",
        epilog="example: cifar-lab handout course/01_*.ipynb --out notebooks/",
    )
    parser.add_argument("paths", nargs="+", type=user_path, metavar="NOTEBOOK")
    parser.add_argument("--out", type=user_path, required=True, metavar="DIR")
    parser.add_argument(
        "--raise",
        dest="raising",
        action="store_true",
        help="put nbgrader's placeholder, which raises an error, everywhere; without it, it stands "
        "inside functions only, and the names that later cells need are '...'",
    )
    parser.add_argument(
        "--no-answers",
        dest="answers",
        action="store_false",
        help="also take out answers that fold out: <details><summary>Answer</summary>",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace notebooks that are in DIR already"
    )
    parser.set_defaults(execute=execute)


class Taken(NamedTuple):
    """How much of a notebook was taken out.

    Attributes:
        regions: Solutions between marks.
        cells: Cells with the tag "solution".
        answers: Answers that fold out.
    """

    regions: int
    cells: int
    answers: int

    def __str__(self) -> str:
        of_each = {"solution": self.regions, "cell": self.cells, "answer": self.answers}
        counts = [counted(number, noun) for noun, number in of_each.items() if number]
        return f"{', '.join(counts) or 'nothing'} taken out"


def execute(options: argparse.Namespace) -> None:
    """Write the student editions, all of them or none."""
    targets = _targets(options.paths, options.out, options.overwrite)
    texts: dict[Path, bytes | None] = {}
    for path, target in targets.items():
        notebook, taken = hand_out(path, raising=options.raising, answers=options.answers)
        texts[target] = _text(notebook)
        print(f"{target}: {taken}")
        for line in _notes(notebook, target, taken):
            print(f"  {line}")
    write_together(texts)


def _targets(paths: Iterable[Path], out: Path, overwrite: bool) -> dict[Path, Path]:
    """Return where each notebook's student edition goes; refuse to replace anything unasked.

    Raises:
        ValueError: A student edition would replace its own notebook, or another's edition.
        FileExistsError: There is such a file.
    """
    targets: dict[Path, Path] = {}
    for path in paths:
        target = out / path.name
        if target.resolve() == path.resolve():
            raise ValueError(
                f"{target} is the notebook with the solutions itself; give another folder as --out."
            )
        if target in targets.values():
            raise ValueError(f"Two of the notebooks are called {path.name}; hand them out apart.")
        targets[path] = target
    there = [str(target) for target in targets.values() if target.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{', '.join(there)}: there already. Give another --out, or --overwrite to replace it."
        )
    return targets


def hand_out(
    path: Path, *, raising: bool = False, answers: bool = True
) -> tuple[NotebookNode, Taken]:
    """Return a notebook's student edition, and how much of it was taken out.

    Args:
        path: Notebook with the solutions.
        raising: Puts nbgrader's placeholder into all code.
        answers: Keeps the answers that fold out.

    Raises:
        ImportError: Jupyter's packages are missing.
        FileNotFoundError: There is no such notebook.
        ValueError: It is no notebook, or marks of solutions in it can't be understood.
    """
    try:
        from nbconvert.preprocessors import TagRemovePreprocessor

        from cifar_lab.cli.notebook_file import read_notebook
        from cifar_lab.cli.solution_regions import take_out_solutions
    except ImportError as error:
        package = (error.name or "Jupyter").partition(".")[0]
        raise ImportError(
            f"Handing out a notebook needs {package}: pip install 'cifar-lab[grading]'"
        ) from error
    notebook = read_notebook(path)  # which leaves out outputs
    kept = {
        number: cell
        for number, cell in enumerate(notebook.cells, start=1)
        if SOLUTION not in (cell.metadata.get("tags") or [])
    }
    cells = len(notebook.cells) - len(kept)
    tags = TagRemovePreprocessor(enabled=True, remove_cell_tags={SOLUTION})
    notebook, _ = tags.preprocess(notebook, {})
    try:
        regions = take_out_solutions(kept, raising=raising)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    folded = 0 if answers else sum(map(_take_out_answers, notebook.cells))
    _take_out_traces(notebook)
    return notebook, Taken(regions, cells, folded)


def _take_out_answers(cell: NotebookNode) -> int:
    """Take out the answers that fold out in a cell's text; return how many there were."""
    if cell.cell_type != "markdown":
        return 0
    cell.source, count = ANSWER.subn("", cell.source)
    return count


def _take_out_traces(notebook: NotebookNode) -> None:
    """Take out what tells of the run of the instructor's notebook, and pictures of solutions."""
    for cell in notebook.cells:
        for name in TRACES:
            cell.metadata.pop(name, None)
        if "attachments" in cell:
            shown = {name for name in cell.attachments if f"attachment:{name}" in cell.source}
            cell.attachments = {name: cell.attachments[name] for name in sorted(shown)}
    metadata = notebook.metadata
    metadata.pop("widgets", None)
    if "provenance" in metadata.get("colab", {}):
        metadata.colab.provenance = []
    if "cifar_lab" in metadata:
        metadata.cifar_lab.pop("executed_code_sha256", None)
        if not metadata.cifar_lab:
            del metadata["cifar_lab"]


def _text(notebook: NotebookNode) -> bytes:
    import nbformat

    return (nbformat.writes(notebook) + "\n").encode("utf-8", errors="replace")


def _notes(notebook: NotebookNode, target: Path, taken: Taken) -> Iterator[str]:
    """Yield what the instructor should look at."""
    if not taken.regions + taken.cells:
        yield "No solution is marked in it, so that all of it is handed out."
    opened = {name for cell in notebook.cells for name in BADGE.findall(cell.source)}
    if others := sorted(opened - {target.name}):
        yield f"A badge in it opens {', '.join(others)}: see that this is the student edition."
    yield f"To try it: cifar-lab notebook {target}"
