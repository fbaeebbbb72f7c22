"""`cifar-lab table`: saved results as a Markdown table."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cifar_lab.cli.options import RUNS, add_dataset, add_names, add_out
from cifar_lab.cli.selection import current_results, named_experiments
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "table",
        help="saved results as a Markdown table",
        description="Means over seeds, ± the standard deviation between them.",
    )
    add_names(parser)
    parser.add_argument("--json", type=user_path, help="also write the figures to this file")
    add_out(parser)
    add_dataset(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Print a table for each dataset."""
    from cifar_lab.experiments.published import save_published, summarize
    from cifar_lab.reporting.tables import results_table, uses_of_test_set

    out = options.out or RUNS
    results = current_results(out, named_experiments(options))
    if not results:
        raise ValueError(
            f"There are no results of {', '.join(options.names)} in {out}. Run them first. "
            "Runs with --epochs or --hold-out are not in the table, but print their accuracy; "
            "those on another dataset need --dataset here too."
        )
    datasets = list(dict.fromkeys(runs[0].dataset for runs in results.values()))
    for dataset in datasets:
        group = {name: runs for name, runs in results.items() if runs[0].dataset == dataset}
        print(results_table(group), uses_of_test_set(group), sep="\n\n", end="\n\n")
    if options.json is not None:
        save_published(summarize(results), options.json)
