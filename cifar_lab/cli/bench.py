"""`cifar-lab bench`: the speed of training, compared with a baseline."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from cifar_lab.cli.options import RUNS, add_data, add_dataset, add_device, add_out

if TYPE_CHECKING:
    from cifar_lab.benchmark.comparison import Comparison
    from cifar_lab.cli.options import Commands


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "bench",
        help="how fast experiments train, compared with the baseline",
        description="Train each experiment for some epochs with the baseline, the course's own way "
        "(torchvision, PIL, DataLoader, float32), and with this library, in turn. Prints tables; "
        "leaves bench.json and bench.png in a new folder OUT/bench.",
        epilog="example: cifar-lab bench cifar10-mlp --images 6400 --pairs 2",
    )
    parser.add_argument(
        "names",
        nargs="*",
        default=["assignment-a", "cifar100-smallcifarnet", "student-network"],
        metavar="NAME",
        help="an experiment, a group, or student-network (default: assignment-a, "
        "cifar100-smallcifarnet and student-network)",
    )
    parser.add_argument("--pairs", type=int, default=3, help="pairs of epochs (default: 3)")
    parser.add_argument("--images", type=int, help="images in an epoch (default: all)")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("auto", "fp32", "bf16", "fp16"),
        metavar="PRECISION",
        help="the library's precision, or several, each measured in turn (default: the recipe's)",
    )
    parser.add_argument(
        "--estimate",
        choices=("t4",),
        help="measure nothing: count what a step in fp16 does, and print what it would take on "
        "this GPU, which need not be at hand",
    )
    add_device(parser)
    add_out(parser)
    add_dataset(parser)
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Compare the experiments one by one, and save what was measured; or estimate their steps."""
    if options.estimate is not None:
        _estimate(options)
        return
    from cifar_lab.benchmark import comparison, report
    from cifar_lab.benchmark.student import BENCHMARKED
    from cifar_lab.experiments.catalog import find_experiments

    comparisons: list[Comparison] = []
    try:
        for one in comparison.compare(
            find_experiments(options.names, BENCHMARKED),
            dataset=options.dataset,
            data_folder=options.data,
            images=options.images,
            pairs=options.pairs,
            device=options.device,
            precisions=options.precision or [None],
        ):
            comparisons.append(one)
    finally:  # what was measured is kept, also when a later experiment fails or is interrupted
        if comparisons:
            folder = report.save(comparisons, options.out or RUNS)
            print(report.text(comparisons))
            print(f"Saved bench.json and bench.png in {folder}")


def _estimate(options: argparse.Namespace) -> None:
    """Print what a step of each experiment would take on a GPU.

    Raises:
        ValueError: There are options that are for measuring.
    """
    for_measuring = ("images", "precision", "device", "out", "data")
    given = [name for name in for_measuring if getattr(options, name) is not None]
    if given:
        raise ValueError(
            f"--{given[0]} is for measuring, and --estimate measures nothing. Leave one out."
        )
    from cifar_lab.benchmark.step_estimate import GPUS, estimate_step, estimates_table
    from cifar_lab.benchmark.student import BENCHMARKED
    from cifar_lab.experiments.catalog import find_experiments

    chosen = [BENCHMARKED[name] for name in find_experiments(options.names, BENCHMARKED)]
    if options.dataset is not None:
        chosen = [replace(each, dataset=options.dataset) for each in chosen]
    print(estimates_table([(each, estimate_step(each, GPUS[options.estimate])) for each in chosen]))
