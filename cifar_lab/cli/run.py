"""`cifar-lab run`: train experiments."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from cifar_lab.cli.options import (
    RUNS,
    add_data,
    add_dataset,
    add_device,
    add_names,
    add_out,
    parse_seeds,
    parse_share,
)
from cifar_lab.cli.selection import current_results, named_experiments
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands
    from cifar_lab.data.image_set import Data
    from cifar_lab.experiments.catalog import Experiment


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "run",
        help="train experiments; leaves result.json and weights.pt under runs/",
        description="Train experiments and measure them on the test set. Every run gets its own "
        "folder, OUT/NAME/seed-SEED; nothing is overwritten.",
        epilog="example: cifar-lab run assignment-a --seeds 0-4 --skip-finished",
    )
    add_names(parser)
    parser.add_argument(
        "--seed",
        "--seeds",
        dest="seeds",
        type=parse_seeds,
        default=[0],
        help="one seed, a range 0-4 or a list 0,2,7 (default: 0)",
    )
    parser.add_argument("--epochs", type=int, help="another number than the recipe's")
    parser.add_argument(
        "--hold-out",
        type=parse_share,
        metavar="SHARE",
        help="train without this share of the training images, and print the accuracy on them "
        "after each epoch: choose settings by that, not by the test set, which is measured at the "
        "end as ever; goes to OUT/NAME-held-out-SHARE",
    )
    parser.add_argument("--resume", action="store_true", help="resume an interrupted run")
    parser.add_argument(
        "--backup", type=user_path, help="existing folder for copies of checkpoint, weights, result"
    )
    parser.add_argument(
        "--skip-finished", action="store_true", help="leave out runs whose result is in OUT already"
    )
    add_device(parser)
    add_out(parser)
    add_dataset(parser)
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Train each experiment from each seed."""
    loaded: dict[str, Data] = {}
    try:
        experiments = _wanted(options)
        for seed in options.seeds:
            for experiment in experiments:
                _run_one(experiment, seed, loaded, options)
    except KeyboardInterrupt:
        same = "The same command" if options.resume else "The same command with --resume"
        print(f"cifar-lab: interrupted. {same} resumes the run.", file=sys.stderr)
        raise


def _run_one(
    experiment: Experiment, seed: int, loaded: dict[str, Data], options: argparse.Namespace
) -> None:
    from cifar_lab.data.datasets import load
    from cifar_lab.experiments.run import run

    name, dataset, out = experiment.name, experiment.dataset, options.out or RUNS
    if options.skip_finished:
        finished = current_results(out, [experiment]).get(name, [])
        if any(result.seed == seed for result in finished):
            print(f"{name} (seed {seed}) is finished, skipped")
            return
    if dataset not in loaded:
        loaded[dataset] = load(dataset, options.data)
    run(
        experiment,
        seed=seed,
        data=loaded[dataset],
        out=out,
        resume=options.resume,
        backup=options.backup,
        device=options.device,
    )


def _wanted(options: argparse.Namespace) -> list[Experiment]:
    """Return the named experiments as the options change them."""
    experiments = []
    for experiment in named_experiments(options):
        if options.epochs is not None:
            experiment = replace(experiment, recipe=experiment.recipe.with_epochs(options.epochs))
        if options.hold_out is not None:
            experiment = replace(
                experiment,
                name=f"{experiment.name}-held-out-{options.hold_out:g}",
                validation_fraction=options.hold_out,
            )
        experiments.append(experiment)
    return experiments
