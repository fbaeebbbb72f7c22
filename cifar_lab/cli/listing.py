"""`cifar-lab list`: the experiments, with their cost and expected accuracy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.facts import FACTS, GROUPS, Facts

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
NOTES = """TFLOPs and minutes are of a whole training, the minutes on two CPU cores in fp32.
The accuracy is expected on the test images: the mean over the published runs. A dash: not measured.
"""


def add_command(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "list",
        help="the experiments with their cost and expected accuracy, and groups of them",
        description=NOTES,
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Print the experiments as a table, then the groups."""
    rows = [tuple(HEADINGS), *(_row(name, facts) for name, facts in FACTS.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        columns = zip(row, HEADINGS.values(), widths, strict=True)
        print("  ".join(f"{text:{align}{width}}" for text, align, width in columns))
    print(f"\n{NOTES}")
    for name, members in GROUPS.items():
        print(f"{name:{widths[0]}}  all of: {', '.join(members)}")


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
