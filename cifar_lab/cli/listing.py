"""`cifar-lab list`: the experiments with their cost and accuracy, or the runs in a folder."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.completion import offer
from cifar_lab.cli.saved_runs import epochs_done
from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.facts import FACTS, GROUPS, Facts
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands

# Each heading says how its column is aligned.
HEADINGS = {
    "experiment": "<",
    "dataset": "<",
    "parameters": ">",
    "MACs": ">",
    "epochs": ">",
    "TFLOPs": ">",
    "minutes": ">",
    "accuracy %": ">",
    "runs": ">",
}
RUN_HEADINGS = {
    "run": "<",
    "network": "<",
    "dataset": "<",
    "parameters": ">",
    "epochs": ">",
    "seconds": ">",
    "accuracy %": ">",
}
NOTES = """TFLOPs and minutes are of a whole training, the minutes on two CPU cores in fp32.
The accuracy is expected on the test images: the mean over the published runs. A dash: not measured.
"""


def add_command(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "list",
        help="the experiments with their cost and expected accuracy, or the runs in a folder",
        description=f"{NOTES}With a folder, such as runs: the runs below it, also of custom "
        "networks, finished and interrupted.",
    )
    folder = parser.add_argument(
        "folder", nargs="?", type=user_path, metavar="FOLDER", help="a folder of results"
    )
    offer(folder, [], folders=True)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Print the experiments as a table, then the groups; or the runs below a folder."""
    if options.folder is not None:
        _list_runs(options.folder)
        return
    rows = [_row(name, facts) for name, facts in FACTS.items()]
    width = _print_table(HEADINGS, rows)
    print(f"\n{NOTES}")
    for name, members in GROUPS.items():
        print(f"{name:{width}}  all of: {', '.join(members)}")


def _print_table(headings: Mapping[str, str], rows: Sequence[Sequence[str]]) -> int:
    """Print aligned columns and return the first one's width."""
    rows = [tuple(headings), *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        columns = zip(row, headings.values(), widths, strict=True)
        print("  ".join(f"{text:{align}{width}}" for text, align, width in columns).rstrip())
    return widths[0]


def _row(name: str, facts: Facts) -> tuple[str, ...]:
    return (
        name,
        DATASETS[facts.dataset].title,
        f"{facts.parameters:,}",
        f"{facts.macs:,}",
        f"{facts.epochs:,}",
        f"{facts.training_tflops:,g}",
        "-" if facts.minutes is None else f"{facts.minutes:g}",
        "-" if facts.accuracy is None else f"{facts.accuracy:.2f}",
        f"{facts.runs or '-'}",
    )


def _list_runs(folder: Path) -> None:
    from cifar_lab.experiments.folders import CHECKPOINT, RESULT

    found = {path.parent for name in (RESULT, CHECKPOINT) for path in folder.rglob(name)}
    if not found:
        raise FileNotFoundError(
            f"There are no runs below {folder}. Train one: cifar-lab run cifar10-mlp"
        )
    _print_table(RUN_HEADINGS, [_run_row(each) for each in sorted(found)])
    print("\ncifar-lab table FOLDER compares them; cifar-lab evaluate RUN measures one again.")


def _run_row(folder: Path) -> tuple[str, ...]:
    from cifar_lab.experiments.folders import RESULT
    from cifar_lab.experiments.results import load_result

    if not (folder / RESULT).is_file():
        done = epochs_done(folder)
        epochs = "-" if done is None else f"{done[0]:,} of {done[1]:,}"
        return (str(folder), "interrupted", "-", "-", epochs, "-", "-")
    result = load_result(folder)
    return (
        str(folder),
        result.title,
        result.dataset,
        f"{result.parameters:,}",
        f"{len(result.history):,}",
        f"{result.seconds:,.0f}",
        f"{result.test_accuracy:.2f}",
    )
