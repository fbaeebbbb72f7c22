"""What each network and each notebook of the gallery gets, and the README that says so.

All cells say yes but for those in `OTHERWISE`. In `tests/`, `python -m student_work.matrix` writes
the README; a test compares it with what is rendered here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .gallery import NETWORKS
from .notebooks import NOTEBOOKS

README = Path(__file__).parent / "README.md"
COLUMNS = ("train", "resume", "test_accuracy", "evaluate", "submit", "check_submission", "grader")


@dataclass(frozen=True)
class Otherwise:
    """A cell that does not say yes.

    Attributes:
        shown: what it says.
        reason: why that is right.
        message: what the student is told.
        not_made: the grader's checks that can't be made.
    """

    shown: str
    reason: str
    message: str = ""
    not_made: frozenset[str] = frozenset()


RESNET_18 = "torchvision's ResNet-18, head changed"
SCRIPT = "`torch.jit.script` of the whole"
VS_CODE = "VS Code, which records no times"
TOO_LARGE = Otherwise("not tried", "over the limits of both assignments")
OTHERWISE: dict[tuple[str, str], Otherwise] = {
    (RESNET_18, "evaluate"): Otherwise(
        "error",
        "`evaluate` is assignment B's, for fewer than a million parameters; it says so",
        "11,181,642 parameters; expected fewer than 1,000,000",
    ),
    (RESNET_18, "check_submission"): TOO_LARGE,
    (RESNET_18, "grader"): TOO_LARGE,
    (SCRIPT, "submit"): Otherwise(
        "no model.pt2",
        "`torch.export` takes no script; `submit` says so and writes the rest",
        "model.pt2 could not be written (",  # the rest is torch's, of each release another
    ),
    (VS_CODE, "grader"): Otherwise(
        "98 of 98",
        "no record of how long the cells ran, so that check is not made",
        not_made=frozenset({"time_within_limit"}),
    ),
}

INTRODUCTION = """\
# Student work

Networks (`networks/`, one file each) and notebooks (`notebooks/`, one Markdown file each) in the
styles in which students write them. The library and the grader have to take them as they are.
`test_student_work.py` fills in each cell of the tables below: a cell that no longer holds is a
failing test. A new style is a new file and a row in `gallery.py` or `notebooks.py`; then, in
`tests/`, `python -m student_work.matrix` writes this page.

## Networks

- **train**: `fit` ends with the losses of a plain loop over the same batches.
- **resume**: a run that was interrupted ends with the weights of one that was not, to the bit.
- **test_accuracy**: what a plain evaluation gives, for an image set and for a `DataLoader`.
- **evaluate**: the same, with assignment B's limit of parameters.
- **submit**: weights that load into a new network, an exported program that gives the same logits,
  and the manifest.
- **check_submission**: finds full marks in what `submit` wrote with a plain notebook.
- **grader**: finds them in a plain notebook with a file of weights alone.
"""


def render() -> str:
    """The README."""
    head = ["style", "file", *COLUMNS, "why not yes"]
    networks = [
        [style, f"`{network.file}`", *(_cell(style, column) for column in COLUMNS), _why(style)]
        for style, network in NETWORKS.items()
    ]
    notebooks = [
        [style, f"`{notebook.file}`", notebook.assignment.upper(), _points(style), _why(style)]
        for style, notebook in NOTEBOOKS.items()
    ]
    columns = ["style", "file", "assignment", "grader", "why not 100"]
    return "\n".join(
        [INTRODUCTION, *_table(head, networks), "", "## Notebooks", "", *_table(columns, notebooks)]
        + [""]
    )


def _cell(style: str, column: str) -> str:
    otherwise = OTHERWISE.get((style, column))
    return "yes" if otherwise is None else otherwise.shown


def _points(style: str) -> str:
    otherwise = OTHERWISE.get((style, "grader"))
    return "100 of 100" if otherwise is None else otherwise.shown


def _why(style: str) -> str:
    """Each reason once, with its columns."""
    columns: dict[str, list[str]] = {}
    for (one, column), otherwise in OTHERWISE.items():
        if one == style:
            columns.setdefault(otherwise.reason, []).append(column)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in columns.items())


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines]


if __name__ == "__main__":
    README.write_text(render(), encoding="utf-8")
