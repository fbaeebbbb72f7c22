"""`cifar-lab run`: train experiments."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cifar_lab.cli.interruption import kept_and_command
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
from cifar_lab.cli.planned_runs import Planned, planned_runs, unfinished
from cifar_lab.cli.side_by_side import add_many, run_side_by_side
from cifar_lab.cli.total_estimate import TotalEstimate, expected_seconds
from cifar_lab.experiments.facts import FACTS
from cifar_lab.utils.console import say
from cifar_lab.utils.files import user_path
from cifar_lab.utils.torchrun import hint_for_gpus
from cifar_lab.utils.wording import counted

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands
    from cifar_lab.data.image_set import Data


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "run",
        help="train experiments; leaves result.json and weights.pt under runs/",
        description="Train experiments and measure them on the test set. Every run gets its own "
        "folder, OUT/NAME/seed-SEED; nothing is overwritten. After Ctrl-C, --resume resumes. "
        "Several runs go side by side with --jobs on this machine, or with --scheduler on a Dask "
        "cluster, whose workers need the same cifar_lab, PyTorch and Python; where they see OUT "
        "they write there, else their files come back when a run ends. One large run goes over "
        "several GPUs with torchrun. Four set-ups to copy: cifar_lab/cluster/README.md.",
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
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument(
        "--resume",
        action="store_true",
        help="resume an interrupted run, load a finished one, train on one with fewer epochs",
    )
    earlier.add_argument(
        "--again",
        action="store_true",
        help="train from scratch, in a new folder seed-SEED-2, where there is a run already",
    )
    parser.add_argument(
        "--backup", type=user_path, help="existing folder for copies of checkpoint, weights, result"
    )
    parser.add_argument(
        "--skip-finished", action="store_true", help="leave out runs whose result is in OUT already"
    )
    add_many(parser)
    add_device(parser)
    add_out(parser)
    add_dataset(parser)
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int | None:
    """Train each experiment from each seed."""
    options.started = time.time()
    if options.jobs is not None or options.scheduler is not None:
        return run_side_by_side(options)
    done: list[Planned] = []
    runs: Sequence[Planned] = ()
    try:
        runs = planned_runs(options)
        _refuse_taken(runs, options)
        _run_all(runs, done, options)
    except KeyboardInterrupt:
        current = runs[len(done)] if len(done) < len(runs) else None
        raise KeyboardInterrupt(_interruption(current, done, options)) from None
    return None


def _run_all(runs: Sequence[Planned], done: list[Planned], options: argparse.Namespace) -> None:
    """Train one run after the other, and note those that are done."""
    from cifar_lab.data.datasets import load
    from cifar_lab.experiments.run import run
    from cifar_lab.utils.devices import as_device

    device = as_device(options.device)
    hint = hint_for_gpus(device, options.arguments)
    if hint is not None:
        say(hint)
    datasets = dict.fromkeys(each.experiment.dataset for each in runs)
    loaded: dict[str, Data] = {name: load(name, options.data) for name in datasets}
    estimate = TotalEstimate(
        [_expected(each, loaded) for each in runs], known_device=device.type == "cpu"
    )
    for number, each in enumerate(runs):
        left = estimate.begin(number)
        if len(runs) > 1:
            say(f"[{number + 1}/{len(runs)}] {each}. {left}".rstrip())
        run(
            each.experiment,
            seed=each.seed,
            data=loaded[each.experiment.dataset],
            out=options.out or RUNS,
            resume=options.resume,
            again=options.again,
            backup=options.backup,
            device=device,
            callback=estimate.after_epoch,
        )
        done.append(each)


def _expected(run: Planned, loaded: dict[str, Data]) -> float:
    images = len(loaded[run.experiment.dataset].train)
    return expected_seconds(FACTS[run.usual], epochs=run.experiment.recipe.epochs, images=images)


def _refuse_taken(runs: Sequence[Planned], options: argparse.Namespace) -> None:
    """Raise before the first of several runs where a later one would not begin."""
    from cifar_lab.experiments.folders import refuse_taken

    if len(runs) > 1 and not (options.resume or options.again):  # `run` tells more of a single one
        refuse_taken(each.place(options.out or RUNS) for each in runs)


def _interruption(
    current: Planned | None, done: Sequence[Planned], options: argparse.Namespace
) -> str:
    """Return what is kept of the runs, and the command that resumes them."""
    kept = []
    where = "before training began"
    if current is not None:
        where = f"before the first epoch of {current} was done"
        epochs, folder = unfinished(current, options)
        if epochs is not None:
            where = f"after epoch {epochs[0]:,} of {epochs[1]:,} of {current}"
            kept.append(f"the checkpoint in {folder}")
    if done:
        kept.append(counted(len(done), "finished run"))
    return f"Interrupted {where}. {kept_and_command(kept, options)}"
