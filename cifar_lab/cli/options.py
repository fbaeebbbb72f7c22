"""Options that several commands have, and the values that options' texts stand for."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.cli.completion import offer
from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.facts import FACTS, GROUPS
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

RUNS = Path("runs")  # the usual folder of results


def parse_seeds(text: str) -> list[int]:
    """Return the seeds, each once, that a text such as "0-4" or "0,2,7" names.

    Raises:
        argparse.ArgumentTypeError: The text names none.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            low, dash, high = part.partition("-")
            numbers = range(int(low), int(high if dash else low) + 1)
            if not numbers:
                raise ValueError
            seeds.extend(numbers)
    except ValueError:
        message = f"{text!r} names no seeds; expected one like 0, a range 0-4 or a list 0,2,7"
        raise argparse.ArgumentTypeError(message) from None
    return list(dict.fromkeys(seeds))


def parse_share(text: str) -> float:
    """Return the share that a text such as "0.1" states.

    Raises:
        argparse.ArgumentTypeError: It is no number between 0 and 1.
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no share; expected one between 0 and 1, such as 0.1"
        )
    return share


def parse_parameter(text: str) -> tuple[str, Any]:
    """Return the name and the value of "NAME=VALUE": a Python literal, or else the text.

    Raises:
        argparse.ArgumentTypeError: There is no "=".
    """
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no parameter; expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def add_names(parser: argparse.ArgumentParser, *, folders: bool = False) -> None:
    """Add the experiments that a command is about, or folders of results if wanted."""
    what = "an experiment, a group, or a folder of results" if folders else "an experiment or group"
    names = parser.add_argument("names", nargs="+", metavar="NAME", help=what)
    offer(names, [*FACTS, *GROUPS], folders=folders)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add the folder of results."""
    parser.add_argument("--out", type=user_path, help=f"folder of the results (default: {RUNS})")


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Add the choice of another dataset than the usual one."""
    parser.add_argument("--dataset", choices=list(DATASETS), help="another dataset than usual")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the folder of the datasets."""
    parser.add_argument(
        "--data",
        type=user_path,
        help="folder of the datasets (default: $CIFAR_LAB_DATA or data)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the choice of a device."""
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
