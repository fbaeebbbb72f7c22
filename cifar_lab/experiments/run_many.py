"""Many runs of experiments: side by side on this machine, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cifar_lab.cluster.spreading import NoWorkersError, SchedulerLostError
from cifar_lab.experiments.catalog import Experiment, find_experiment
from cifar_lab.experiments.many_runs import ManyRuns
from cifar_lab.experiments.results import Result, load_result
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.files import user_path
from cifar_lab.utils.seeding import check_seed
from cifar_lab.utils.wording import counted


class RunsFailedError(RuntimeError):
    """An error for some of many runs; the others were finished first.

    Attributes:
        failures: The error of each run that failed, by the experiment's name and the seed.
        results: The results of the others.
    """

    def __init__(
        self,
        failures: Mapping[tuple[str, int], BaseException],
        results: Sequence[Result],
        alone: Mapping[tuple[str, int], str],
    ) -> None:
        lines = [f"{counted(len(failures), 'run')} of {len(failures) + len(results)} failed."]
        for key, error in failures.items():
            lines += [f"{key[0]}, seed {key[1]}: {error}", f"  To run it alone: {alone[key]}"]
        super().__init__("\n".join(lines))
        self.failures = dict(failures)
        self.results = list(results)


def run_many(
    experiments: str | Experiment | Iterable[str | Experiment],
    *,
    seeds: Iterable[int] = (0,),
    jobs: int = 1,
    scheduler: str | None = None,
    recipe: Recipe | None = None,
    out: str | Path = "runs",
    resume: bool = False,
    again: bool = False,
    backup: str | Path | None = None,
    device: torch.device | str | None = None,
    root: str | Path | None = None,
    progress: bool = True,
) -> list[Result]:
    """Train experiments from several seeds: side by side on this machine, or on a Dask cluster.

    Every run is a process of its own, and leaves in `out` what `run` leaves there, to the bit on
    the same kind of machine with as many threads. Those with the most operations begin first.

    Args:
        experiments: Names of experiments, or custom `Experiment`s; one or several.
        seeds: The seeds, each of which is used for every experiment.
        jobs: The number of runs at a time on this machine. Each gets its share of the cores, unless
            the environment variable OMP_NUM_THREADS says how many threads one gets. With several
            GPUs each run gets the next one.
        scheduler: Address of a Dask scheduler, such as "tcp://10.0.0.5:8786", whose workers do the
            runs. It needs `pip install 'cifar-lab[cluster]'` on every machine.
        recipe: Recipe to use in place of the experiments' own.
        out: Folder for results; each run goes to the folder `NAME/seed-SEED` in it. Workers that
            see the folder write there themselves; from others the files travel when a run ends.
        resume: Loads the finished runs, and resumes the interrupted ones, as in `run`.
        again: Trains from scratch, in folders with a number appended where there are runs already.
        backup: Existing folder for copies, as in `run`; not with a scheduler.
        device: Device to train on; None for the best available where the run is done.
        root: Folder of the datasets, as `load` takes it; workers that don't see it use their own.
        progress: Shows the progress of all runs: bars on a terminal, else one line per epoch.

    Returns:
        The results, without their models: experiment by experiment, in the order of the seeds.

    Raises:
        ValueError: An experiment is unknown, or options exclude each other.
        TypeError: A network can't be sent to another process; the message says what to do.
        FileExistsError: There is a run already, and neither `resume` nor `again` is given.
        ConnectionError: There is no scheduler, it has gone, or no worker can be used. What is
            finished is kept, and the same call with `resume=True` goes on.
        ImportError: There is a scheduler, and `distributed` is not installed.
        RunsFailedError: Some runs failed; the others are finished.

    Example:
        >>> import cifar_lab as lab
        >>> recipe = lab.Recipe(epochs=1, batch_size=500, optimizer="adam", learning_rate=1e-3)
        >>> mine = lab.Experiment("mine", "synthetic", "mlp", recipe, "My MLP")
        >>> results = lab.run_many(mine, seeds=range(2), jobs=2, progress=False)
        >>> [(result.experiment, result.seed) for result in results]
        [('mine', 0), ('mine', 1)]
    """
    if isinstance(experiments, str | Experiment):
        experiments = [experiments]
    chosen = [find_experiment(one) if isinstance(one, str) else one for one in experiments]
    if recipe is not None:
        chosen = [replace(one, recipe=recipe) for one in chosen]
    seeds = [check_seed(seed) for seed in seeds]
    many = ManyRuns(
        [(experiment, seed) for experiment in chosen for seed in seeds],
        out=user_path(out),
        jobs=jobs,
        scheduler=scheduler,
        resume=resume,
        again=again,
        backup=None if backup is None else user_path(backup),
        device=None if device is None else str(device),
        root=None if root is None else user_path(root),
    )
    if not many.runs:
        return []
    try:
        many.do(progress=progress)
    except (SchedulerLostError, NoWorkersError) as error:
        raise type(error)(f"{error} Call it with resume=True then.") from error
    results = [
        load_result(many.folders[experiment.name, seed])
        for experiment, seed in many.runs
        if (experiment.name, seed) in many.folders
    ]
    if many.failures:
        alone = {
            (name, seed): f"lab.run({name!r}, seed={seed}, out={str(out)!r}, resume=True)"
            for name, seed in many.failures
        }
        raise RunsFailedError(many.failures, results, alone)
    return results
