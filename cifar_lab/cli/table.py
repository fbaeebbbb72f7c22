"""`cifar-lab table`: saved results as a Markdown table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.options import RUNS, add_dataset, add_names, add_out
from cifar_lab.cli.saved_runs import grouped, is_of_experiment, names_and_folders
from cifar_lab.cli.selection import named_experiments
from cifar_lab.utils.files import user_path
from cifar_lab.utils.wording import counted

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands
    from cifar_lab.experiments.catalog import Experiment
    from cifar_lab.experiments.results import Result


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "table",
        help="saved results as a Markdown table",
        description="Means over seeds, ± the standard deviation between them. Runs with --epochs "
        "have a row of their own, with their epochs. A folder stands for every result below it, "
        "also of custom networks.",
        epilog="examples: cifar-lab table assignment-a; cifar-lab table runs/mine; "
        "cifar-lab table runs",
    )
    add_names(parser, folders=True)
    parser.add_argument(
        "--json",
        type=user_path,
        help="also write the figures to this file; of experiments, those with all epochs",
    )
    add_out(parser)
    add_dataset(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Print a table for each dataset."""
    from cifar_lab.experiments.current_results import current_results
    from cifar_lab.experiments.published import save_published, summarize
    from cifar_lab.reporting.tables import results_table, uses_of_test_set

    out = options.out or RUNS
    names, folders = names_and_folders(options.names, out)
    experiments = named_experiments(names, options)
    found, others = _results(experiments, out)
    for folder in folders:
        found += _below(folder, options.dataset)
    results = grouped(found)
    if not results:
        raise ValueError(
            f"There are no results of {', '.join(options.names)} in {out}.{_others(others, out)} "
            "Run them first. Runs with --hold-out are in a folder of their own, such as "
            f"{out}/NAME-held-out-0.1; those on another dataset need --dataset here too."
        )
    datasets = list(dict.fromkeys(runs[0].dataset for runs in results.values()))
    for dataset in datasets:
        group = {name: runs for name, runs in results.items() if runs[0].dataset == dataset}
        print(results_table(group), uses_of_test_set(group), sep="\n\n", end="\n\n")
    if others:
        print(_others(others, out).strip())
    if options.json is not None:
        figures = results if folders else current_results(out, experiments)
        save_published(summarize(figures), options.json)


def _results(experiments: list[Experiment], out: Path) -> tuple[list[Result], list[Result]]:
    """Return the results of the experiments as they are now, and those of another recipe."""
    from cifar_lab.experiments.current_results import architecture

    found: list[Result] = []
    others: list[Result] = []
    for experiment in experiments:
        digest = architecture(experiment)
        runs = _below(out / experiment.name, experiment.dataset)
        runs.sort(key=lambda run: -run.recipe.epochs)  # stable: the newest of a seed stays last
        for run in runs:
            (found if is_of_experiment(run, experiment, digest) else others).append(run)
    return found, others


def _below(folder: Path, dataset: str | None) -> list[Result]:
    """Return all results below a folder, on the dataset if one is given."""
    from cifar_lab.experiments.results import find_results

    runs = [run for group in find_results(folder).values() for run in group]
    return [run for run in runs if dataset in (None, run.dataset)]


def _others(others: list[Result], out: Path) -> str:
    if not others:
        return ""
    names = " ".join(sorted({f"{out / run.experiment}" for run in others}))
    return (
        f" Left out: {counted(len(others), 'result')} of another recipe or network than the "
        f"experiment has now. This shows all: cifar-lab table {names}."
    )
