"""Runs that are to be done, and how: checked, done side by side or on a cluster, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.datasets import default_root
from cifar_lab.data.download import ensure_files
from cifar_lab.experiments.budget import training_flops
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.experiments.current_results import current_results
from cifar_lab.experiments.folders import refuse_resume_and_again, refuse_taken, run_place
from cifar_lab.experiments.pickled import pickled
from cifar_lab.experiments.received import received
from cifar_lab.experiments.results import accuracy_text
from cifar_lab.experiments.run_process import Event, Finished, Job
from cifar_lab.experiments.runs_here import run_here
from cifar_lab.experiments.runs_on_cluster import run_on_cluster
from cifar_lab.experiments.runs_view import RunsView
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.seeding import check_seed, random_state_kept
from cifar_lab.utils.torchrun import refuse_torchrun
from cifar_lab.utils.wording import counted, duration


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
        if self.scheduler is None:
            self._prepare_this_machine()
        finished = self._finished() if self.resume else {}
        self.folders.update(finished)
        left = [(each, seed) for each, seed in self.runs if (each.name, seed) not in finished]
        if self.jobs > 1 or self.scheduler is not None:
            left = _longest_first(left)
        jobs = {str(job): job for job in (self._job(*run) for run in left)}
        view = RunsView(len(jobs), enabled=progress)

        def on_event(name: str, event: Event) -> None:
            self.begun.add(keys[name])
            view.event(name, event)

        def on_result(name: str, finished: Finished) -> None:
            folder = Path(finished.folder)
            if finished.files is not None:
                folder = received(finished.files, self.place(keys[name]), resume=self.resume)
            self.folders[keys[name]] = folder
            accuracy, time = accuracy_text(finished.accuracy, finished.views), finished.seconds
            view.end(name, f"test accuracy {accuracy}, trained {duration(time)}, in {folder}")

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
        return self.out / run_place(*key)

    def _check(self) -> None:
        refuse_resume_and_again(resume=self.resume, again=self.again)
        refuse_torchrun("run_many or " + ("--jobs" if self.scheduler is None else "--scheduler"))
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
            refuse_taken(map(self.place, keys))

    def _prepare_this_machine(self) -> None:
        """Refuse a device that is not there, and get the datasets' files, once for all runs."""
        if self.device is not None:
            as_device(self.device)
        for name in {experiment.dataset for experiment, _ in self.runs}:
            if name in DATASETS and DATASETS[name].archive is not None:
                ensure_files(name, self.root or default_root())

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
        results = current_results(self.out, {each.name: each for each, _ in self.runs}.values())
        found = {(name, run.seed): run.folder for name, runs in results.items() for run in runs}
        wanted = {(each.name, seed) for each, seed in self.runs}
        return {key: folder for key, folder in found.items() if key in wanted and folder}


def _longest_first(runs: Sequence[tuple[Experiment, int]]) -> list[tuple[Experiment, int]]:
    """Return runs in the order to begin them, so that no long one is left over alone."""
    experiments = {experiment.name: experiment for experiment, _ in runs}
    if len(experiments) == 1:
        return list(runs)
    operations = dict.fromkeys(experiments, 0.0)
    for name, experiment in experiments.items():
        # If it fails, its own run tells why.
        with suppress(Exception), random_state_kept(gpus=False):
            operations[name] = training_flops(experiment)
    return sorted(runs, key=lambda run: -operations[run[0].name])
