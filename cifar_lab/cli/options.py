"""The command line's commands and options, and what their texts stand for."""

from __future__ import annotations

import argparse
import ast
from typing import Any

from cifar_lab.data.cifar import DATASETS
from cifar_lab.utils.files import user_path


def parse_seeds(text: str) -> list[int]:
    """ "0-4" or "0,2,7" -> the seeds, each once.

    Raises:
        argparse.ArgumentTypeError: neither.
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
    """ "0.1" -> 0.1.

    Raises:
        argparse.ArgumentTypeError: no number between 0 and 1.
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
    """ "NAME=VALUE" -> the name, and the value as a Python literal, or else as text.

    Raises:
        argparse.ArgumentTypeError: there is no "=".
    """
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no parameter; expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="cifar-lab", description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the experiments, and groups of them")
    run_parser = commands.add_parser(
        "run",
        help="train experiments; leaves result.json and weights.pt under runs/",
        description="Train experiments and measure them on the test set. Every run gets a folder "
        "of its own, OUT/NAME/seed-SEED; nothing is overwritten.",
        epilog="example: cifar-lab run assignment-a --seeds 0-4 --skip-finished",
    )
    table_parser = commands.add_parser(
        "table",
        help="saved results as a Markdown table",
        description="Means over seeds, ± the standard deviation between them.",
    )
    evaluate_parser = commands.add_parser(
        "evaluate",
        help="measure trained weights that come with the package, on the test set",
        epilog="example: cifar-lab evaluate cifar10-frontier-wide",
    )
    evaluate_parser.add_argument("name", metavar="NAME", help="an experiment")
    notebook_parser = commands.add_parser(
        "notebook",
        help="run a notebook from top to bottom; leaves the executed copy and an HTML page",
        description="Run a notebook in a new kernel. The executed copy and its HTML page go to a "
        "new folder OUT/notebooks/NAME; the notebook itself stays as it is.",
        epilog="example: cifar-lab notebook notebooks/01_*.ipynb -p dataset=synthetic -p seed=1",
    )
    doctor_parser = commands.add_parser(
        "doctor",
        help="versions, device, cores, disk and datasets: what a bug report needs",
    )

    grade_parser = commands.add_parser(
        "grade",
        help="grade a folder of submissions; leaves a page for each student and grades.csv",
        description="Grade each sub-folder of SUBMISSIONS. What is graded and unchanged is kept, "
        "so the same command resumes an interrupted run. Exit status 3: the grader itself "
        "failed at a submission, which then has no grade.",
        epilog="example: cifar-lab grade submissions/ --assignment a --jobs 2",
    )
    grade_parser.add_argument(
        "path", type=user_path, metavar="SUBMISSIONS", help="a folder a student"
    )
    grade_parser.add_argument("--assignment", choices=("a", "b"), required=True)
    grade_parser.add_argument("--jobs", type=int, default=1, help="submissions at a time")
    grade_parser.add_argument("--settings", type=user_path, help="TOML or JSON: points and limits")

    bench_parser = commands.add_parser(
        "bench",
        help="how fast experiments train, beside the plain way of doing it",
        description="Train each experiment for some epochs in the course's plain way (torchvision, "
        "PIL, DataLoader, float32) and with this library, in turn. Prints tables; leaves "
        "bench.json and bench.png in a new folder OUT/bench.",
        epilog="example: cifar-lab bench cifar10-mlp --images 6400 --pairs 2",
    )
    bench_parser.add_argument(
        "names",
        nargs="*",
        default=["assignment-a", "cifar100-smallcifarnet"],
        metavar="NAME",
        help="an experiment or a group (default: assignment-a and cifar100-smallcifarnet)",
    )
    bench_parser.add_argument("--pairs", type=int, default=3, help="of epochs (default: 3)")
    bench_parser.add_argument("--images", type=int, help="in an epoch (default: all)")
    for each in (run_parser, bench_parser, evaluate_parser):
        each.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    for each in (run_parser, table_parser):
        each.add_argument("names", nargs="+", metavar="NAME", help="an experiment or a group")
    run_parser.add_argument(
        "--seed",
        "--seeds",
        dest="seeds",
        type=parse_seeds,
        default=[0],
        help="one seed, a range 0-4 or a list 0,2,7 (default: 0)",
    )
    run_parser.add_argument("--epochs", type=int, help="another number than the recipe's")
    run_parser.add_argument(
        "--hold-out",
        type=parse_share,
        metavar="SHARE",
        help="train without this share of the training images, and print the accuracy on them "
        "after each epoch: choose settings by that, not by the test set, which is measured at the "
        "end as ever; goes to OUT/NAME-held-out-SHARE",
    )
    run_parser.add_argument("--resume", action="store_true", help="resume an interrupted run")
    run_parser.add_argument(
        "--backup", type=user_path, help="existing folder for copies of checkpoint, weights, result"
    )
    run_parser.add_argument(
        "--skip-finished", action="store_true", help="leave out runs whose result is in OUT already"
    )
    table_parser.add_argument("--json", type=user_path, help="also write the figures to this file")
    notebook_parser.add_argument("path", type=user_path, help="the .ipynb file")
    notebook_parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        type=parse_parameter,
        metavar="NAME=VALUE",
        help="set a name of the notebook's parameters cell; may be given several times, and goes "
        "before --dataset, --data and --out",
    )
    notebook_parser.add_argument(
        "--in-place", action="store_true", help="also store the outputs in the notebook itself"
    )
    grade_parser.add_argument(
        "--out", type=user_path, help="folder of the grades (default: grades-a or grades-b)"
    )
    for each in (run_parser, table_parser, notebook_parser, bench_parser):
        each.add_argument("--out", type=user_path, help="folder of the results (default: runs)")
    for each in (run_parser, table_parser, notebook_parser, grade_parser, bench_parser):
        each.add_argument("--dataset", choices=DATASETS, help="another dataset than usual")
    with_data = (run_parser, notebook_parser, doctor_parser, grade_parser, bench_parser)
    for each in (*with_data, evaluate_parser):
        each.add_argument(
            "--data",
            type=user_path,
            help="folder of the datasets (default: $CIFAR_LAB_DATA or data)",
        )
    return parser
