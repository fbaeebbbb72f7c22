"""Many runs of experiments: side by side on this machine, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.catalog import Experiment, find_experiment
from cifar_lab.experiments.earlier_runs import FILES, State, earlier_runs
from cifar_lab.experiments.folders import RESULT, new_folder, run_folders
from cifar_lab.experiments.pickled import pickled
from cifar_lab.experiments.results import Result, find_results, load_result
from cifar_lab.experiments.run_process import Job
from cifar_lab.experiments.runs_here import run_here
from cifar_lab.experiments.runs_on_cluster import RunFiles, run_on_cluster
from cifar_lab.experiments.runs_view import RunsView
from cifar_lab.models.counting import architecture_digest
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.files import user_path, write_bytes
from cifar_lab.utils.seeding import check_seed
from cifar_lab.utils.wording import counted, duration


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


@dataclass(frozen=True)
class ManyRuns:
    """Runs that are to be done, and how.

    Attributes:
        runs: The experiment and the seed of each.
        out: The folder of results.
        jobs: The number of runs at a time on this machine.
        scheduler: The address of a Dask scheduler; None for this machine.
        resume: As `run` takes it.
        again: As `run` takes it.
        backup: As `run` takes it.
        device: As `run` takes it.
        root: The folder of the datasets; None for the usual one.
        folders: The folders of the results so far, by name and seed.
        failures: The errors so far, by name and seed.
        begun: The runs that have begun, by name and seed.
    """

    runs: Sequence[tuple[Experiment, int]]
    out: Path
    jobs: int = 1
    scheduler: str | None = None
    resume: bool = False
    again: bool = False
    backup: Path | None = None
    device: str | None = None
    root: Path | None = None
    folders: dict[tuple[str, int], Path] = field(default_factory=dict)
    failures: dict[tuple[str, int], BaseException] = field(default_factory=dict)
    begun: set[tuple[str, int]] = field(default_factory=set)

    def do(self, *, progress: bool = True) -> None:
        """Do the runs; their folders and errors are in `folders` and `failures` then.

        Raises:
            ValueError: Two runs are of the same experiment and seed, or options exclude each other.
            FileExistsError: There is a run already, and neither `resume` nor `again` is given.
            TypeError: A network can't be sent to another process.
            ConnectionError: There is no scheduler, it has gone, or no worker can be used.
            ImportError: `distributed` is not installed.
        """
        self._check()
        keys = {f"{each.name}, seed {seed}": (each.name, seed) for each, seed in self.runs}
        jobs = {str(job): job for job in map(self._job, *zip(*self.runs, strict=True))}
        finished = self._finished() if self.resume else {}
        self.folders.update(finished)
        jobs = {name: job for name, job in jobs.items() if keys[name] not in finished}
        side_by_side = self.jobs if self.scheduler is None else len(jobs)
        view = RunsView(len(jobs), min(side_by_side, len(jobs)), enabled=progress)

        def on_event(name: str, event: dict[str, object]) -> None:
            self.begun.add(keys[name])
            view.event(name, event)

        def on_result(name: str, there: str | RunFiles) -> None:
            folder = Path(there) if isinstance(there, str) else self._received(keys[name], there)
            self.folders[keys[name]] = folder
            result = load_result(folder)
            view.end(
                name,
                f"test accuracy {result.test_accuracy:.2f} %, trained "
                f"{duration(result.seconds)}, in {folder}",
            )

        def on_failure(name: str, error: BaseException) -> None:
            self.failures[keys[name]] = error
            view.end(name, f"failed: {error}")

        def on_lost(name: str, worker: str) -> None:
            view.again(name, f"its worker {worker} has gone; it is tried again.")

        if finished:
            view.say(f"{counted(len(finished), 'run')} finished before, loaded.")
        try:
            if not jobs:
                return
            if self.scheduler is None:
                run_here(
                    jobs, self.jobs, on_event=on_event, on_result=on_result, on_failure=on_failure
                )
            else:
                run_on_cluster(
                    jobs,
                    self.scheduler,
                    out=self.out.absolute(),
                    on_event=on_event,
                    on_result=on_result,
                    on_failure=on_failure,
                    on_lost=on_lost,
                    say=view.say,
                )
        finally:
            view.close()

    def place(self, key: tuple[str, int]) -> Path:
        """Return the usual folder of a run."""
        return self.out / key[0] / f"seed-{key[1]}"

    def _check(self) -> None:
        if self.resume and self.again:
            raise ValueError("resume=True takes what is there, again=True a new folder; give one.")
        if self.jobs < 1:
            raise ValueError(f"jobs is {self.jobs}; expected the number of runs at a time.")
        if self.scheduler is not None and self.jobs != 1:
            raise ValueError(
                "jobs (--jobs) is for this machine; with a scheduler, each worker does as many "
                "runs at a time as it has threads. Give one of the two."
            )
        if self.scheduler is not None and self.backup is not None:
            raise ValueError(
                "backup (--backup) does not go with a scheduler. Give a folder that the workers "
                "share with out=... (--out): checkpoints are written there."
            )
        if self.backup is not None and not self.backup.is_dir():
            raise FileNotFoundError(f"No folder for backups at {self.backup}. Make it first.")
        keys = [(experiment.name, check_seed(seed)) for experiment, seed in self.runs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(
                f"There are two runs of {twice[0]!r} with seed {twice[1]}; expected one of each. "
                "Give every experiment a name of its own."
            )
        if not (self.resume or self.again):
            self._refuse_taken(keys)

    def _refuse_taken(self, keys: Collection[tuple[str, int]]) -> None:
        places = [self.place(key) for key in keys]
        taken = [str(place) for place in places if run_folders(place)]
        if taken:
            more = f" and {len(taken) - 3} more" if len(taken) > 3 else ""
            raise FileExistsError(
                f"There are runs in {', '.join(taken[:3])}{more} already. Load the finished ones "
                "and resume the interrupted with resume=True (--resume), train from scratch into "
                "new folders with again=True (--again), or give another folder with out=... "
                "(--out)."
            )

    def _job(self, experiment: Experiment, seed: int) -> Job:
        return Job(
            name=experiment.name,
            seed=seed,
            experiment=pickled(experiment, elsewhere=self.scheduler is not None),
            out=str(self.out.absolute()),
            resume=self.resume,
            again=self.again,
            backup=None if self.backup is None else str(self.backup.absolute()),
            device=self.device,
            root=None if self.root is None else str(self.root.absolute()),
        )

    def _finished(self) -> dict[tuple[str, int], Path]:
        """Return the folders of the finished runs among these."""
        found = {}
        experiments = {experiment.name: experiment for experiment, _ in self.runs}
        for name, each in experiments.items():
            if not (self.out / name).is_dir():
                continue
            with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
                model = each.build_model(DATASETS[each.dataset].num_classes)
            wanted = {name: (each.dataset, each.recipe)}
            results = find_results(self.out, wanted, {name: architecture_digest(model)})
            for result in results.get(name, []):
                assert result.folder is not None
                found[name, result.seed] = result.folder
        return {
            (each.name, seed): found[each.name, seed]
            for each, seed in self.runs
            if (each.name, seed) in found
        }

    def _received(self, key: tuple[str, int], files: RunFiles) -> Path:
        """Write the files of a run that was done elsewhere, the result last; return its folder.

        Where an interrupted run of the same kind is resumed, they go to its folder.
        """
        arrival = new_folder(self.out / ".arriving" / f"{key[0]}-seed-{key[1]}")
        _write(files, arrival)
        place, folder = self.place(key), None
        if self.resume:
            same = earlier_runs(load_result(arrival), place)
            folder = next((one.folder for one in same if one.state is not State.FINISHED), None)
        if folder is None:
            folder = new_folder(place)
        else:
            (folder / RESULT).unlink(missing_ok=True)  # of a shorter run: not of these weights
        _write(files, folder)
        for path in arrival.iterdir():
            path.unlink()
        arrival.rmdir()
        with suppress(OSError):  # another run is arriving
            arrival.parent.rmdir()
        return folder


def _write(files: RunFiles, folder: Path) -> None:
    for name in FILES:  # the result last: with it, the run is finished
        if name in files.contents:
            write_bytes(folder / name, files.contents[name])


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
    the same kind of machine with as many threads.

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
    many.do(progress=progress)
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
