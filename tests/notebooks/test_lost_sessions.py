"""Sessions that are lost in the middle of a training, opened again and run from top to bottom."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from nbformat import NotebookNode

from cifar_lab.cli.notebook import run_notebook
from notebooks.done import HANDOUTS, done, quick_parameters, tagged

# Runs before all other cells but the set-up: makes the data small and leaves out the check of what
# is handed in, notes each epoch that begins, and stops in the middle of one.
PROBE = """
import os
import threading
from dataclasses import replace
from pathlib import Path

import cifar_lab
from cifar_lab.training.setup import Setup

session = Path({session!r})
(session / "pid").write_text(str(os.getpid()))
_load, _after_step = cifar_lab.load_or_synthetic, Setup.after_step


def load(*given):
    data = _load(*given)
    train, test = data.train.subset(range(200)), data.test.subset(range(100))
    return replace(data, train=train, test=test)


def after_step(setup, step):
    _after_step(setup, step)
    if setup.checkpoint.path is None:  # a trial of an exercise
        return
    run, epoch = str(setup.checkpoint.path), len(setup.state.history) + 1
    if step == 1:
        with (session / "epochs").open("a") as file:
            print(epoch, run, file=file)
    if step == 1 and epoch == 2 and {where!r} and {where!r} in run:
        assert setup.steps > 1, "the middle of an epoch has batches before and after it"
        (session / "waits").write_text(run)
        threading.Event().wait()


Setup.after_step = after_step
cifar_lab.load_or_synthetic = load
cifar_lab.check_submission = lambda *given, **options: None
"""

# Parameters with which the runs that are to be killed have two epochs of two batches or more.
SMALL = {"epochs": 2, "short_epochs": 2, "ablation_epochs": 1, "trial_flops": 4e10}


@dataclass(frozen=True)
class Kill:
    """A moment at which a session is lost: in the middle of the second epoch of a run.

    Attributes:
        run: A part of the path of the run's checkpoint.
        keeps_disk: Whether the next session has the same disk, or only the Drive.
    """

    run: str
    keeps_disk: bool


DISK, DRIVE_ONLY = True, False
# Trainings of the library's networks, comparisons, and what the student trains.
KILLS = {
    "01": [
        Kill("cifar10-skeleton/seed-0", DRIVE_ONLY),
        Kill("my-convnet/seed-0", DISK),
        Kill("my-second-net/seed-0", DRIVE_ONLY),
    ],
    "02": [
        Kill("cifar100-smallcifarnet/seed-42/checkpoint", DISK),
        Kill("mine/seed-42/MyNet,-given-recipe", DRIVE_ONLY),
        Kill("cifar100-mine/seed-42/checkpoint", DISK),
    ],
    "04": [
        Kill("seed-42/ours,-first-stage-of-24", DRIVE_ONLY),
        Kill("cifar100-frontier-held-out-0.1/seed-42", DISK),
        Kill("seed-42/narrow,-without-mixing", DISK),
    ],
}


@pytest.mark.slow  # a notebook's whole training twice, and its other cells once for each session
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.parametrize("path", [path for path in HANDOUTS if path.stem[:2] in KILLS],
                         ids=lambda path: path.stem[:2])  # fmt: skip
def test_a_notebook_whose_sessions_are_killed_ends_as_one_that_never_was(
    path: Path, tmp_path: Path
) -> None:
    notebook = done(path)
    whole = run_session(notebook, tmp_path / "whole", tmp_path / "whole-drive")
    assert len(set(whole)) == len(whole)
    disk, drive, kills = tmp_path / "disk", tmp_path / "drive", KILLS[path.stem[:2]]
    trained = []
    for kill in kills:
        trained += run_session(notebook, disk, drive, kill)
        if not kill.keeps_disk:
            shutil.rmtree(disk)
    trained += run_session(notebook, disk, drive)
    # Nothing is trained twice but the epochs that were not over.
    again = Counter(trained)
    again.subtract(whole)
    killed = {(2, run) for kill in kills for _, run in whole if kill.run in run}
    assert +again == Counter(killed) and len(killed) == len(kills)
    assert not -again, "nothing is left out"
    expected = saved_in(tmp_path / "whole" / "runs")
    assert len(expected) > len(kills)
    assert saved_in(disk / "runs") == expected
    assert saved_in(drive) == saved_in(tmp_path / "whole-drive")


def run_session(
    notebook: NotebookNode, disk: Path, drive: Path, kill: Kill | None = None
) -> list[tuple[int, str]]:
    """Run a notebook from top to bottom, or until it is killed.

    Returns:
        The epochs that began: their numbers and the checkpoints of their runs.
    """
    drive.mkdir(exist_ok=True)
    session = disk / "session"
    shutil.rmtree(session, ignore_errors=True)
    session.mkdir(parents=True)
    probed = nbformat.from_dict(notebook)
    (set_up,) = tagged(probed, "set-up")
    where = kill.run if kill else ""
    cell = nbformat.v4.new_code_cell(PROBE.format(session=str(session), where=where))
    probed.cells.insert(probed.cells.index(set_up) + 1, cell)
    path = session / "lesson.ipynb"
    nbformat.write(probed, path)
    parameters = quick_parameters(notebook)
    parameters |= {name: SMALL[name] for name in SMALL if f"\n{name} = " in source_of(probed)}
    parameters |= {"results_folder": str(disk / "runs"), "backup_folder": str(drive)}
    if kill is None:
        run_notebook(path, session / "out", parameters)
    else:
        killer = threading.Thread(target=kill_when_it_waits, args=(session, drive, kill))
        killer.start()
        try:
            with pytest.raises(ValueError, match="The kernel died in code cell"):
                run_notebook(path, session / "out", parameters)
        finally:
            (session / "over").touch()
            killer.join()
    lines = (session / "epochs").read_text().splitlines()
    pairs = (line.split(" ", 1) for line in lines)
    return [(int(epoch), str(Path(run).relative_to(disk / "runs"))) for epoch, run in pairs]


def source_of(notebook: NotebookNode) -> str:
    (cell,) = tagged(notebook, "parameters")
    return "\n" + cell.source


def kill_when_it_waits(session: Path, drive: Path, kill: Kill) -> None:
    """Kill the kernel when it is in the middle of the epoch, and the epoch before is copied."""
    pause = threading.Event()
    while not (session / "over").exists():
        pause.wait(0.05)
        if (session / "waits").exists() and copy_of((session / "waits").read_text(), drive):
            os.kill(int((session / "pid").read_text()), signal.SIGKILL)
            return


def copy_of(run: str, drive: Path) -> list[Path]:
    """Return the copies of a checkpoint: of its name, perhaps with a digest behind it."""
    path = Path(run)
    return list((drive / Path(*path.parts[-3:-1])).glob(f"{path.stem}*.pt")) if run else []


def saved_in(folder: Path) -> dict[str, Any]:
    """Return what all files of runs hold, as texts that are equal where all bits are."""
    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*.pt")):
        found[str(file.relative_to(folder))] = dict(bits(torch.load(file, weights_only=True)))
    for file in sorted(folder.rglob("result.json")):
        content = json.loads(file.read_text())
        for name in ("seconds", "peak_memory_mib", "environment"):
            del content[name]
        for record in content["history"]:
            del record["seconds"]
        found[str(file.relative_to(folder))] = content
    return found


def bits(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each number and each tensor's bytes with its place, without times."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key != "seconds":
                yield from bits(value, f"{name}/{key}")
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from bits(value, f"{name}/{index}")
    elif torch.is_tensor(content):
        yield name, (str(content.dtype), tuple(content.shape), content.numpy().tobytes())
    else:
        yield name, content
