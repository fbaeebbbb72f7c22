"""`cifar-lab evaluate`: trained weights that come with the package, measured on the test set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cifar_lab.cli.options import add_data, add_device
from cifar_lab.data.cifar import DATASETS

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="measure trained weights that come with the package, on the test set",
        epilog="example: cifar-lab evaluate cifar10-frontier-wide",
    )
    parser.add_argument("name", metavar="NAME", help="an experiment")
    add_device(parser)
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Print the accuracy of an experiment's weights."""
    from cifar_lab.data.datasets import load
    from cifar_lab.evaluation import test_accuracy
    from cifar_lab.experiments.catalog import EXPERIMENTS
    from cifar_lab.experiments.pretrained import load_pretrained
    from cifar_lab.experiments.published import load_published_run, published_run_names
    from cifar_lab.models.counting import count_parameters
    from cifar_lab.utils.devices import as_device

    model = load_pretrained(options.name).to(as_device(options.device))
    experiment = EXPERIMENTS[options.name]
    data = load(experiment.dataset, options.data)
    accuracy = test_accuracy(model, data.test)
    print(
        f"{options.name}: {count_parameters(model):,} parameters, test accuracy {accuracy:.2f} % "
        f"on the {len(data.test):,} test images of {DATASETS[data.name].title}"
    )
    if options.name in published_run_names():
        trained, whole = load_published_run(options.name).recipe.epochs, experiment.recipe.epochs
        if trained < whole:
            print(f"These weights are of a run of {trained:,} epochs; the recipe has {whole:,}.")
