"""A Drive that is full, gone, dead, slow or never answers costs a message, never the run."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from drives import Mounts
from small import RECIPE
from torch import nn

from cifar_lab.data.image_set import Data, split
from cifar_lab.experiments import backup
from cifar_lab.experiments.backup import backup_at, put
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.experiments.earlier_runs import undamaged
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.run import run
from cifar_lab.experiments.variants import Variant, compare_variants
from cifar_lab.training.checkpoint import saved_run
from cifar_lab.training.progress import Progress
from cifar_lab.training.recipe import Recipe

FILES = ("checkpoint.pt", "weights.pt", "result.json")
EPOCHS = 6
FAILED, RECOVERED = "Could not copy to ", " works again."
Captured = pytest.CaptureFixture[str]


def network() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(192, 10))


OWN = Experiment("own", "synthetic", network, replace(RECIPE, epochs=EPOCHS), "My net", None, 0.2)


@pytest.fixture(scope="module")
def whole(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run, without any drive."""
    result = quietly(OWN, data, tmp_path_factory.mktemp("whole"))
    assert result.folder is not None
    return result.folder


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy after each epoch, however short, and wait for a second at most."""
    monkeypatch.setattr(backup, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(backup, "LIMIT_SECONDS", 1.0)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / "content" / "drive" / "MyDrive" / "cifar"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    mounts = Mounts()
    yield mounts
    mounts.gone()


def new_session() -> None:
    """Forget, as a new process does, that a folder for backups was ever there."""
    backup._backup_at.cache_clear()


def quietly(experiment: Experiment, data: Data, out: Path, **options: Any) -> Result:
    options = {"resume": True, **options}
    return run(experiment, data=data, out=out, device="cpu", progress=False, **options)


def bits(file: Path) -> list[torch.Tensor]:
    return list(torch.load(file, weights_only=True).values())


def same(one: Path, other: Path) -> bool:
    pairs = zip(bits(one / "weights.pt"), bits(other / "weights.pt"), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def copied(drive: Path, out: Path, name: str = "own") -> bool:
    """Whether all files of a run have their like on the drive."""
    place = Path(name, "seed-0")
    return all(
        (drive / place / file).read_bytes() == (out / place / file).read_bytes() for file in FILES
    )


def at(moments: dict[int, Callable[[], object]], drive: Path) -> Callable[[Progress], None]:
    """A callback that does something at the end of an epoch, when all copies are tried."""

    def callback(progress: Progress) -> None:
        backup_at(drive).finish()
        moments.get(progress.record.epoch, lambda: None)()

    return callback


def interrupt() -> None:
    raise KeyboardInterrupt


class Outage:
    """A way in which a drive fails, and how it comes back."""

    def __init__(self, kind: str, drive: Path, mounts: Mounts, patch: pytest.MonkeyPatch) -> None:
        self.kind, self.drive, self.mounts, self.patch = kind, drive, mounts, patch
        self._aside = drive.parents[2] / "aside"

    def begin(self) -> None:
        root = self.drive.parent  # MyDrive
        if self.kind in ("gone", "empty", "file"):
            root.rename(self._aside)
        if self.kind == "file":
            root.write_text("")
        if self.kind == "dead":
            self.mounts.dead(self.drive.parents[1])
        if self.kind == "hung":
            self.mounts.hung(self.drive.parents[1])
        if self.kind in ERRORS:
            error = OSError(ERRORS[self.kind], os.strerror(ERRORS[self.kind]))
            for name in ("stat", "listdir", "truncate", "mkdir", "open"):
                self.patch.setattr(os, name, self._failing(getattr(os, name), error))
            self.patch.setattr(io, "open", self._failing(io.open, error))

    def _failing(self, whole: Callable[..., Any], error: OSError) -> Callable[..., Any]:
        def fail(path: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(path, str | Path) and Path(path).is_relative_to(self.drive):
                raise error
            return whole(path, *rest, **options)

        return fail

    def end(self) -> None:
        self.mounts.gone()
        if self._aside.exists():
            root = self.drive.parent
            if self.kind == "file":
                root.unlink()
            assert not root.exists(), "copies went to the local disk, where the drive belongs"
            self._aside.rename(root)
        self.patch.undo()


ERRORS = {
    "not connected": errno.ENOTCONN,
    "input/output error": errno.EIO,
    "no space": errno.ENOSPC,
    "stale": errno.ESTALE,
    "no permission": errno.EACCES,
}
SAID = {"gone": "no folder", "empty": "no folder", "file": "no folder", "hung": "no answer for"}
SAID |= {"dead": "not connected"} | {name: os.strerror(each) for name, each in ERRORS.items()}


@pytest.fixture
def outage(request: pytest.FixtureRequest, drive: Path, mounts: Mounts) -> Iterator[Outage]:
    with pytest.MonkeyPatch.context() as patch:
        yield Outage(request.param, drive, mounts, patch)


every_outage = pytest.mark.parametrize("outage", list(SAID), indirect=True)
main_outages = pytest.mark.parametrize("outage", ["gone", "dead", "hung", "stale"], indirect=True)


@every_outage
def test_a_drive_that_fails_in_the_middle_costs_two_lines_and_catches_up(
    data: Data, drive: Path, outage: Outage, tmp_path: Path, capsys: Captured, whole: Path
) -> None:
    moments = {2: outage.begin, 4: outage.end}
    callback = at(moments, drive)
    quietly(OWN, data, tmp_path / "out", backup=drive, callback=callback)
    assert same(tmp_path / "out" / "own" / "seed-0", whole)
    assert copied(drive, tmp_path / "out")
    said = capsys.readouterr()
    assert said.err.count("\n") == said.err.count(FAILED) == 1 and SAID[outage.kind] in said.err
    assert said.out.count("\n") == said.out.count(RECOVERED) == 1
    assert [path.name for path in (drive / "own" / "seed-0").iterdir() if "part" in path.name] == []


@main_outages
def test_a_drive_that_never_comes_back_costs_a_line_in_each_run(
    data: Data, drive: Path, outage: Outage, tmp_path: Path, capsys: Captured, whole: Path
) -> None:
    quietly(OWN, data, tmp_path / "out", backup=drive, callback=at({2: outage.begin}, drive))
    assert same(tmp_path / "out" / "own" / "seed-0", whole)
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n"), said.err.count(FAILED)) == ("", 1, 1)
    began = time.monotonic()
    for name in ("second", "third"):  # also those that begin meanwhile
        quietly(replace(OWN, name=name), data, tmp_path / "out", backup=drive)
        assert same(tmp_path / "out" / name / "seed-0", whole)
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n"), said.err.count(FAILED)) == ("", 1, 1)
    assert time.monotonic() - began < 5, "a drive that is known to hang is not waited for again"
    outage.end()
    # When it is there again, all of them are copied.
    quietly(replace(OWN, name="fourth"), data, tmp_path / "out", backup=drive)
    assert capsys.readouterr() == ("", "")
    assert all(copied(drive, tmp_path / "out", name) for name in ("own", "second", "fourth"))


@every_outage
def test_a_drive_that_never_worked_is_an_error_before_training(
    data: Data, drive: Path, outage: Outage, tmp_path: Path
) -> None:
    outage.begin()
    with pytest.raises(OSError, match=r"mount the drive first|Mount the drive again, or leave"):
        quietly(OWN, data, tmp_path / "out", backup=drive)
    outage.end()
    assert not list(drive.iterdir())


def test_a_full_drive_keeps_its_old_copy_and_gets_the_new_one_when_there_is_room(
    data: Data, drive: Path, mounts: Mounts, tmp_path: Path, capsys: Captured
) -> None:
    mounts.full(drive, "512k")
    filler, copy = drive / "photos", drive / "own" / "seed-0" / "checkpoint.pt"
    epochs = []

    def fill() -> None:
        status = os.statvfs(drive)
        filler.write_bytes(bytes(status.f_bavail * status.f_frsize - 8_000))

    def look() -> None:
        content = undamaged(copy)
        assert content is not None
        saved = saved_run(io.BytesIO(content))
        assert saved is not None
        epochs.append(saved.epochs)
        assert sorted(path.name for path in copy.parent.iterdir()) == [copy.name]

    moments = {2: fill, 3: look, 4: filler.unlink}
    quietly(OWN, data, tmp_path / "out", backup=drive, callback=at(moments, drive))
    assert epochs == [1] and copied(drive, tmp_path / "out")
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "No space left on device. That does not stop" in said.err
    assert said.out.count("\n") == said.out.count(RECOVERED) == 1


def test_a_slow_drive_does_not_slow_the_run_and_has_the_last_state_in_the_end(
    data: Data, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, running = [], []

    def slow(file: Any) -> None:
        running.append(file.name)
        assert len(running) == 1, "one copy at a time"
        time.sleep(0.25)
        copies.append(running.pop())

    monkeypatch.setattr(backup, "flush_to_disk", slow)
    seconds = []

    def callback(progress: Progress) -> None:
        seconds.append(time.monotonic())

    quietly(OWN, data, tmp_path / "out", backup=drive, callback=callback)
    assert copied(drive, tmp_path / "out")
    checkpoints = [name for name in copies if "checkpoint" in name]
    assert len(checkpoints) < EPOCHS, "states that were outdated were left out"


def test_copies_of_the_same_files_keep_a_distance(
    data: Data, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAUSE_SECONDS", 1000.0)
    flush, names = backup.flush_to_disk, []

    def note(file: Any) -> None:
        names.append(Path(file.name).name)
        flush(file)

    monkeypatch.setattr(backup, "flush_to_disk", note)
    first = threading.Event()

    def callback(progress: Progress) -> None:
        while progress.record.epoch == 2 and not names:
            first.wait(0.01)

    quietly(OWN, data, tmp_path / "out", backup=drive, callback=callback)
    parts = ["checkpoint.pt.part", "checkpoint.pt.part", "weights.pt.part", "result.json.part"]
    assert names == parts, "the first epoch's, and all at the end"
    assert copied(drive, tmp_path / "out")


def test_a_run_that_is_interrupted_leaves_its_last_epoch_on_the_drive(
    data: Data, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAUSE_SECONDS", 1000.0)

    with pytest.raises(KeyboardInterrupt):
        callback = at({3: interrupt}, drive)
        quietly(OWN, data, tmp_path / "out", backup=drive, callback=callback)
    saved = saved_run(drive / "own" / "seed-0" / "checkpoint.pt")
    assert saved is not None and saved.epochs == 3


# ---- what a new session finds on the drive


def stop_after(epoch: int, data: Data, out: Path, **options: Any) -> None:
    class StoppedError(Exception):
        pass

    def callback(progress: Progress) -> None:
        if progress.record.epoch == epoch:
            raise StoppedError

    with pytest.raises(StoppedError):
        quietly(OWN, data, out, callback=callback, **options)


def epochs_trained(data: Data, out: Path, **options: Any) -> list[int]:
    epochs: list[int] = []
    quietly(
        OWN, data, out, callback=lambda progress: epochs.append(progress.record.epoch), **options
    )
    return epochs


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def hollow(content: bytes) -> bytes:
    """The right size, but a part has not arrived: PyTorch loads it without a word."""
    middle = len(content) // 2
    return content[:middle] + bytes(4096) + content[middle + 4096 :]


@pytest.mark.parametrize("damage", [truncate, hollow, lambda content: b"", lambda content: b"text"])
@pytest.mark.parametrize("previous", [True, False])
def test_a_damaged_copy_is_not_taken_and_the_one_before_is(
    data: Data, drive: Path, tmp_path: Path, damage: Any, previous: bool, whole: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        moments = {3: interrupt}
        quietly(OWN, data, tmp_path / "lost", backup=drive, callback=at(moments, drive))
    copy = drive / "own" / "seed-0" / "checkpoint.pt"
    assert copy.with_name("checkpoint.pt.previous").exists()
    copy.write_bytes(damage(copy.read_bytes()))
    if not previous:
        copy.with_name("checkpoint.pt.previous").unlink()
    new_session()
    epochs = epochs_trained(data, tmp_path / "new", backup=drive)
    assert epochs == ([3, 4, 5, 6] if previous else [1, 2, 3, 4, 5, 6])
    folder = Path("own", "seed-0" if previous else "seed-0-2")  # nothing is overwritten
    assert same(tmp_path / "new" / folder, whole)
    assert undamaged(drive / folder / "checkpoint.pt") is not None


@pytest.mark.parametrize("missing", ["checkpoint.pt", "weights.pt", "result.json"])
def test_a_finished_copy_that_lacks_a_file_is_made_up_for(
    data: Data, drive: Path, tmp_path: Path, missing: str
) -> None:
    quietly(OWN, data, tmp_path / "first", backup=drive)
    (drive / "own" / "seed-0" / missing).write_bytes(b"")
    new_session()
    assert epochs_trained(data, tmp_path / "new", backup=drive) == []
    assert same(tmp_path / "new" / "own" / "seed-0", tmp_path / "first" / "own" / "seed-0")


@pytest.mark.parametrize(("here", "there"), [(1, 4), (4, 1), (3, 3), (6, 2), (2, 6)])
@pytest.mark.parametrize("seems_new", ["here", "there"])
def test_of_disk_and_drive_the_one_with_more_epochs_wins(
    data: Data, drive: Path, tmp_path: Path, here: int, there: int, seems_new: str, whole: Path
) -> None:
    """Whatever the times of the files say."""
    for epochs, place, options in ((here, "out", {}), (there, "lost", {"backup": drive})):
        if epochs == EPOCHS:
            quietly(OWN, data, tmp_path / place, **options)
        else:
            stop_after(epochs, data, tmp_path / place, **options)
    old = tmp_path / "out" if seems_new == "there" else drive
    for file in (old / "own" / "seed-0").iterdir():
        os.utime(file, (1, 1))
    new_session()
    further = max(here, there)
    epochs = epochs_trained(data, tmp_path / "out", backup=drive)
    assert epochs == list(range(further + 1, EPOCHS + 1))
    folders = [path.name for path in (drive / "own").iterdir()]
    assert folders == ["seed-0"] and copied(drive, tmp_path / "out")
    assert same(tmp_path / "out" / "own" / "seed-0", whole)


def test_a_damaged_checkpoint_on_the_disk_is_made_up_for_by_its_copy(
    data: Data, drive: Path, tmp_path: Path
) -> None:
    stop_after(3, data, tmp_path / "out", backup=drive)
    (tmp_path / "out" / "own" / "seed-0" / "checkpoint.pt").write_bytes(b"")
    assert epochs_trained(data, tmp_path / "out", backup=drive) == [4, 5, 6]


def test_an_interrupted_copy_of_other_images_is_no_copy_of_this_run(
    data: Data, drive: Path, tmp_path: Path
) -> None:
    few = replace(data, train=data.train.subset(torch.arange(40)))
    stop_after(3, few, tmp_path / "lost", backup=drive)
    before = (drive / "own" / "seed-0" / "checkpoint.pt").read_bytes()
    new_session()
    assert epochs_trained(data, tmp_path / "out", backup=drive) == [1, 2, 3, 4, 5, 6]
    assert (drive / "own" / "seed-0" / "checkpoint.pt").read_bytes() == before
    # And one that is on the disk is not replaced by what is on the drive, nor the other way round.
    stop_after(1, few, tmp_path / "third")
    kept = (tmp_path / "third" / "own" / "seed-0" / "checkpoint.pt").read_bytes()
    finished = (drive / "own" / "seed-0-2" / "weights.pt").read_bytes()
    with pytest.raises(ValueError, match="of another run: images is"):
        quietly(OWN, data, tmp_path / "third", backup=drive)
    assert (tmp_path / "third" / "own" / "seed-0" / "checkpoint.pt").read_bytes() == kept
    assert (drive / "own" / "seed-0-2" / "weights.pt").read_bytes() == finished


def test_a_run_that_began_without_its_drive_does_not_replace_what_is_further_there(
    data: Data, drive: Path, tmp_path: Path
) -> None:
    backup_at(drive).ask(lambda: None)  # it worked once in this session
    quietly(OWN, data, tmp_path / "first", backup=drive)
    before = {path: path.read_bytes() for path in drive.rglob("*") if path.is_file()}
    drive.rename(tmp_path / "aside")
    moments = {2: lambda: (tmp_path / "aside").rename(drive)}
    quietly(OWN, data, tmp_path / "second", backup=drive, callback=at(moments, drive))
    assert {path: path.read_bytes() for path in before} == before
    assert same(tmp_path / "second" / "own" / "seed-0", tmp_path / "first" / "own" / "seed-0")


# ---- single copies


class KilledError(Exception):
    """In place of a kill at one of a copy's operations, after which nothing works."""


def test_a_copy_that_is_killed_at_any_operation_leaves_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path
) -> None:
    drive, source = tmp_path / "drive", tmp_path / "file"
    operations = ["mkdir", "stat", "truncate", "replace", "open", "fsync", "unlink"]
    kills = kill_at = count = 0

    def killed(whole: Callable[..., Any], *given: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count > kill_at:
            raise KilledError
        return whole(*given, **options)

    for kill_at in range(100):  # noqa: B007 (it is, above)
        target = drive / f"{kill_at}" / "file"
        drive.mkdir(exist_ok=True)
        for text in (b"first", b"second"):
            source.write_bytes(text)
            put(source, target, backup_at(drive))
        source.write_bytes(b"third")
        count = 0
        with monkeypatch.context() as patch:
            for name in operations:
                patch.setattr(os, name, partial(killed, getattr(os, name)))
            patch.setattr(io, "open", partial(killed, io.open))
            try:
                put(source, target, backup_at(drive))
            except KilledError:
                kills += 1
        whole = [path.read_bytes() for path in target.parent.iterdir() if path.suffix != ".part"]
        if count <= kill_at:
            assert target.read_bytes() == b"third"
            break
        assert {b"second", b"third"} & set(whole), f"lost at operation {kill_at}"
        put(source, target, backup_at(drive))
        names = sorted(path.name for path in target.parent.iterdir())
        assert target.read_bytes() == b"third" and set(names) <= {"file", "file.previous"}
    assert kills >= 8


def test_what_drive_moves_to_its_trash_is_empty(
    data: Data, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trash counts as used space: a copy of 10 MB after each of 1,000 epochs would fill it."""
    sizes = []
    replace_file, unlink = os.replace, os.unlink

    def note(path: Any) -> None:
        if Path(path).is_relative_to(drive) and Path(path).exists():
            sizes.append(Path(path).stat().st_size)

    monkeypatch.setattr(os, "replace", lambda one, other: (note(other), replace_file(one, other)))
    monkeypatch.setattr(os, "unlink", lambda path, **given: (note(path), unlink(path, **given)))
    quietly(OWN, data, tmp_path / "out", backup=drive, callback=at({}, drive))
    assert len(sizes) >= EPOCHS - 2 and set(sizes) == {0}


def test_a_drive_without_fsync_or_permissions_gets_copies(
    data: Data, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **options: Any) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    quietly(OWN, data, tmp_path / "out", backup=drive)
    assert copied(drive, tmp_path / "out")


# ---- comparisons


def compare(data: Data, folder: Path, drive: Path, **options: Any) -> list[Any]:
    recipe = Recipe(epochs=3, batch_size=16, optimizer="adam", learning_rate=1e-3)
    variants = [Variant(title, network, replace(recipe, learning_rate=rate))
                for title, rate in (("a", 1e-3), ("b", 2e-3))]  # fmt: skip
    train, validation = split(data.train, 0.2, seed=0)
    return compare_variants(
        variants, train, validation, folder=folder, device="cpu", backup=drive, **options
    )


def without_seconds(trials: list[Any]) -> list[Any]:
    return [[replace(record, seconds=0) for record in trial.history] for trial in trials]


@main_outages
def test_a_drive_that_fails_during_a_comparison_costs_two_lines_and_catches_up(
    data: Data, drive: Path, outage: Outage, tmp_path: Path, capsys: Captured, whole: Path
) -> None:
    whole = compare(data, tmp_path / "whole" / "ladder", drive)
    moments = {("a", 2): outage.begin, ("b", 2): outage.end}

    def callback(progress: Progress) -> None:
        backup_at(drive).finish()
        moments.get((progress.title, progress.record.epoch), lambda: None)()

    capsys.readouterr()
    trials = compare(data, tmp_path / "out" / "rungs", drive, callback=callback)
    assert without_seconds(trials) == without_seconds(whole)
    said = capsys.readouterr()
    assert said.err.count("\n") == said.err.count(FAILED) == 1 and SAID[outage.kind] in said.err
    assert said.out.count(RECOVERED) == 1
    new_session()
    epochs: list[str] = []
    again = compare(data, tmp_path / "new" / "rungs", drive,
                    callback=lambda progress: epochs.append(progress.title))  # fmt: skip
    assert epochs == [] and without_seconds(again) == without_seconds(whole)


def test_comparisons_on_other_images_have_other_copies(
    data: Data, drive: Path, tmp_path: Path
) -> None:
    """Notebook 02 has one folder for a quick look and one for the real thing, of the same name."""
    few = replace(data, train=data.train.subset(torch.arange(40)))
    quick = compare(few, tmp_path / "few" / "mine", drive)
    real = compare(data, tmp_path / "all" / "mine", drive)
    assert without_seconds(quick) != without_seconds(real)
    epochs: list[str] = []
    callback = lambda progress: epochs.append(progress.title)  # noqa: E731
    new_session()
    assert compare(few, tmp_path / "few" / "mine", drive, callback=callback) == quick
    assert compare(few, tmp_path / "new" / "few" / "mine", drive, callback=callback) == quick
    assert compare(data, tmp_path / "new" / "all" / "mine", drive, callback=callback) == real
    assert epochs == []


def test_a_comparison_goes_on_from_whichever_has_more_epochs(
    data: Data, drive: Path, tmp_path: Path, whole: Path
) -> None:
    whole = compare(data, tmp_path / "whole" / "other", drive)

    def stopped(folder: Path, title: str, epoch: int) -> None:
        def callback(progress: Progress) -> None:
            if (progress.title, progress.record.epoch) == (title, epoch):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compare(data, folder, drive, callback=callback)

    stopped(tmp_path / "one" / "mine", "a", 1)
    stopped(tmp_path / "two" / "mine", "b", 2)  # takes a's first epoch from the drive
    new_session()
    epochs: list[tuple[str, int]] = []

    def note(progress: Progress) -> None:
        epochs.append((progress.title, progress.record.epoch))

    trials = compare(data, tmp_path / "one" / "mine", drive, callback=note)
    assert epochs == [("b", 3)]
    assert without_seconds(trials) == without_seconds(whole)
    copies = list((drive / "mine").rglob("b-*.pt"))
    assert len(copies) == 1 and saved_run(copies[0]).epochs == 3  # type: ignore[union-attr]
    # A copy that an earlier version left, under the name that the checkpoint has, counts too.
    old = copies[0].with_name(copies[0].stem.rpartition("-")[0] + ".pt")
    copies[0].rename(old)
    assert compare(data, tmp_path / "three" / "mine", drive) == trials
