"""The command line, thin over the library: `cifar-lab list | run | table | notebook`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cifar_lab.data import DATASETS, Data, load
from cifar_lab.errors import CorruptedDataError, DatasetUnavailableError, TrainingDivergedError
from cifar_lab.experiments import EXPERIMENTS, GROUPS, find_experiments, run
from cifar_lab.notebook import run_notebook
from cifar_lab.reporting import results_table
from cifar_lab.results import find_results

# What a user can mend: shown as one message, without a traceback.
USER_ERRORS = (
    ValueError,
    TypeError,
    OSError,
    CorruptedDataError,
    DatasetUnavailableError,
    TrainingDivergedError,
)


RUNS = Path("runs")


def parse_seeds(text: str) -> list[int]:
    """ "0-4" or "0,2,7" -> the seeds.

    Raises:
        argparse.ArgumentTypeError: neither.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            low, _, high = part.partition("-")
            seeds.extend(range(int(low), int(high or low) + 1))
    except ValueError:
        seeds = []
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} names no seeds; expected 0-4 or 0,2,7")
    return seeds


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="cifar-lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments and groups of them")

    run_parser = commands.add_parser("run", help="train experiments and save their results")
    run_parser.add_argument("names", nargs="+", metavar="NAME", help="an experiment or a group")
    run_parser.add_argument("--seeds", type=parse_seeds, default=[0], help="0-4 or 0,2,7 (0)")
    run_parser.add_argument("--device", help="cuda, mps or cpu (the best there is)")
    run_parser.add_argument(
        "--skip-finished", action="store_true", help="leave out runs that --out has a result of"
    )

    table_parser = commands.add_parser("table", help="saved results as a Markdown table")
    table_parser.add_argument("names", nargs="+", metavar="NAME", help="an experiment or a group")

    notebook_parser = commands.add_parser(
        "notebook", help="run a notebook; leaves the executed copy and an HTML page"
    )
    notebook_parser.add_argument("path", type=Path, help="the .ipynb file; it stays as it is")
    notebook_parser.add_argument(
        "--in-place", action="store_true", help="store the outputs in the notebook itself, too"
    )
    for each in (run_parser, notebook_parser):
        each.add_argument(
            "--data", type=Path, help="folder of the datasets ($CIFAR_LAB_DATA, data)"
        )
        each.add_argument("--dataset", choices=DATASETS, help="another dataset than usual")
        each.add_argument("--out", type=Path, help="folder of the results (runs)")
    table_parser.add_argument("--out", type=Path, help="folder of the results (runs)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for an error, 2 for wrong usage."""
    options = build_parser().parse_args(arguments)
    command = {
        "list": _list,
        "run": _run,
        "table": _table,
        "notebook": _notebook,
    }[options.command]
    try:
        command(options)
    except USER_ERRORS as error:
        print(f"cifar-lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _list(options: argparse.Namespace) -> None:
    for name, experiment in EXPERIMENTS.items():
        print(f"{name:24} {experiment.title} on {experiment.dataset}")
    for name, members in GROUPS.items():
        print(f"{name:24} all of: {', '.join(members)}")


def _run(options: argparse.Namespace) -> None:
    names = find_experiments(options.names)
    out = options.out or RUNS
    loaded: dict[str, Data] = {}
    for seed in options.seeds:
        for name in names:
            finished = find_results(out, [name]).get(name, [])
            if options.skip_finished and any(result.seed == seed for result in finished):
                print(f"{name} (seed {seed}) is finished, skipped")
                continue
            dataset = options.dataset or EXPERIMENTS[name].dataset
            if dataset not in loaded:
                loaded[dataset] = load(dataset, options.data)
            run(name, seed=seed, data=loaded[dataset], out=out, device=options.device)


def _table(options: argparse.Namespace) -> None:
    results = find_results(options.out or RUNS, find_experiments(options.names))
    print(results_table(results))


def _notebook(options: argparse.Namespace) -> None:
    parameters = {
        "dataset": options.dataset,
        "data_folder": options.data and str(options.data.resolve()),
        "results_folder": options.out and str(options.out.resolve()),
    }
    run_notebook(
        options.path,
        (options.out or RUNS) / "notebooks",
        {name: value for name, value in parameters.items() if value is not None},
        in_place=options.in_place,
    )


if __name__ == "__main__":
    sys.exit(main())
