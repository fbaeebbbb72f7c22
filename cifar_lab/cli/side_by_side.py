"""`cifar-lab run` with --jobs or --scheduler: many runs at a time."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from cifar_lab.cli.interruption import kept_and_command
from cifar_lab.cli.options import RUNS
from cifar_lab.cli.planned_runs import Planned, planned_runs, unfinished
from cifar_lab.utils.console import say
from cifar_lab.utils.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar_lab.experiments.many_runs import ManyRuns

FOR_ALL = ("epochs", "hold_out", "dataset", "device", "data", "out", "backup")  # as for a run alone


def add_many(parser: argparse.ArgumentParser) -> None:
    """Add the options that do many runs at a time."""
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="this many runs at a time on this machine, each with its share of the cores (or "
        "OMP_NUM_THREADS threads) and, of several GPUs, the next one",
    )
    parser.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="do the runs on a Dask cluster: as many at a time as its workers have threads; needs "
        "pip install 'cifar-lab[cluster]' on every machine",
    )


def run_side_by_side(options: argparse.Namespace) -> int:
    """Do the runs, and return the exit status: 1 if one failed, after all the others."""
    from cifar_lab.cluster.spreading import NoWorkersError, SchedulerLostError
    from cifar_lab.experiments.many_runs import ManyRuns

    runs = planned_runs(options)
    if not runs:
        return 0
    many = ManyRuns(
        [(each.experiment, each.seed) for each in runs],
        out=options.out or RUNS,
        jobs=1 if options.jobs is None else options.jobs,
        scheduler=options.scheduler,
        resume=options.resume,
        again=options.again,
        backup=options.backup,
        device=options.device,
        root=options.data,
    )
    try:
        many.do()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_interruption(runs, many, options)) from None
    except (SchedulerLostError, NoWorkersError) as error:
        raise type(error)(f"{error}\n{_kept(runs, many, options)}") from error
    if not many.failures:
        return 0
    say(f"{counted(len(many.failures), 'run')} of {len(runs)} failed:")
    for each in runs:
        if _key(each) in many.failures:
            say(f"{each}: {many.failures[_key(each)]}")
            say(f"  To run it alone: {_alone(each, options)}")
    return 1


def _key(run: Planned) -> tuple[str, int]:
    return run.experiment.name, run.seed


def _interruption(runs: Sequence[Planned], many: ManyRuns, options: argparse.Namespace) -> str:
    """Return what was in progress, what is kept, and the command that resumes."""
    places = []
    for each in runs:
        key = _key(each)
        if key not in many.begun or key in many.folders or key in many.failures:
            continue
        epochs, _ = unfinished(each, options)
        done = "before the first epoch was done"
        if epochs is not None:
            done = f"after epoch {epochs[0]:,} of {epochs[1]:,}"
        places.append(f"  {each}: {done}")
    head = f"Interrupted with {counted(len(places), 'run')} in progress"
    return "\n".join([f"{head}{':' if places else '.'}", *places, _kept(runs, many, options)])


def _kept(runs: Sequence[Planned], many: ManyRuns, options: argparse.Namespace) -> str:
    """Return what is kept of the runs, and the command that resumes them."""
    kept = []
    left = [each for each in runs if _key(each) not in many.folders]
    checkpoints = sum(unfinished(each, options)[0] is not None for each in left)
    if checkpoints:
        kept.append(counted(checkpoints, "checkpoint"))
    if many.folders:
        kept.append(counted(len(many.folders), "finished run"))
    return kept_and_command(kept, options)


def _alone(run: Planned, options: argparse.Namespace) -> str:
    """Return the command that does one of the runs alone."""
    words = ["run", run.usual, "--seed", str(run.seed)]
    for name in FOR_ALL:
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(["cifar-lab", *words, "--resume"])
