from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from small import RECIPE
from torch import nn

from cifar_lab.data.image_set import Data, Uses
from cifar_lab.evaluation import test_accuracy
from cifar_lab.experiments.catalog import Experiment, find_experiments
from cifar_lab.experiments.results import Result, load_result
from cifar_lab.experiments.run import run
from cifar_lab.training.progress import Progress
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import TrainingDivergedError


class OwnNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(3072, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


@pytest.fixture
def own(recipe: Recipe) -> Experiment:
    return Experiment("own", "synthetic", OwnNet, recipe, "My net")


def quiet_run(experiment: str | Experiment, data: Data, out: Path | None, seed: int = 0) -> Result:
    return run(experiment, seed=seed, data=data, out=out, device="cpu", progress=False)


def weights_of(folder: Path | None) -> dict[str, torch.Tensor]:
    assert folder is not None
    return torch.load(folder / "weights.pt", weights_only=True)


def test_with_validation_images_the_test_set_is_used_once(data: Data, own: Experiment) -> None:
    fresh = replace(data, test=replace(data.test, uses=Uses()))
    result = quiet_run(replace(own, validation_fraction=0.2), fresh, out=None)
    assert [record.test_accuracy for record in result.history] == [None, None]
    assert all(record.validation_accuracy is not None for record in result.history)
    assert result.test_uses == fresh.test.uses.count == 1


def test_an_unwatched_test_set_is_used_once(data: Data, own: Experiment) -> None:
    fresh = replace(data, test=replace(data.test, uses=Uses()))
    result = quiet_run(replace(own, watch_test=False), fresh, out=None)
    assert [record.test_accuracy for record in result.history] == [None, None]
    assert result.test_uses == fresh.test.uses.count == 1
    viewed = quiet_run(replace(own, watch_test=False, views="six"), fresh, out=None)
    assert viewed.test_uses == 1 and viewed.test_accuracy == result.test_accuracy
    assert viewed.views == {"six": test_accuracy(result.model, fresh.test, views="six")}
    watched = quiet_run(own, fresh, out=None)
    assert watched.test_uses == 3 and watched.test_accuracy == result.test_accuracy


def test_a_run_counts_the_operations_of_its_whole_training(data: Data, own: Experiment) -> None:
    result = quiet_run(replace(own, validation_fraction=0.2), data, out=None)
    # Forward, and the gradient of the weights; the images need none. 40 images, two epochs.
    assert result.training_flops == 2 * (2 * 3072 * 10) * 40 * 2


def test_a_stopped_run_is_resumed_and_ends_the_same(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    """Also on another machine that has only the backup."""
    own = replace(own, validation_fraction=0.2, recipe=replace(own.recipe, epochs=4))
    whole = quiet_run(own, data, tmp_path / "whole")
    (tmp_path / "drive").mkdir()
    stop_in_epoch_3(own, data, tmp_path / "first", tmp_path / "drive")
    for out in ("first", "second"):
        options = {"out": tmp_path / out, "backup": tmp_path / "drive", "resume": True}
        resumed = run(own, data=data, device="cpu", progress=False, **options)
        assert resumed.folder == tmp_path / out / "own" / "seed-0"
        saved, expected = weights_of(resumed.folder), weights_of(whole.folder)
        assert all(torch.equal(saved[name], expected[name]) for name in expected)
        losses = [record.train_loss for record in resumed.history]
        assert losses == [record.train_loss for record in whole.history]


def stop_in_epoch_3(own: Experiment, data: Data, out: Path, backup: Path) -> None:
    class Stopping(OwnNet):
        steps = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.training and torch.is_grad_enabled():
                self.steps += 1
            if self.steps > 2 * 3:  # 40 images are 3 batches of 16
                raise KeyboardInterrupt
            return super().forward(images)

    Stopping.__name__ = OwnNet.__name__  # to a run, it is the same network
    with pytest.raises(KeyboardInterrupt):
        run(
            replace(own, model=Stopping),
            data=data,
            out=out,
            backup=backup,
            device="cpu",
            progress=False,
        )


@pytest.fixture
def stopped(data: Data, own: Experiment, tmp_path: Path) -> Experiment:
    """One of four epochs, interrupted in the third, in `tmp_path`, with a backup in `drive`."""
    own = replace(own, validation_fraction=0.2, recipe=replace(own.recipe, epochs=4))
    (tmp_path / "drive").mkdir()
    stop_in_epoch_3(own, data, tmp_path, tmp_path / "drive")
    return own


def test_resuming_needs_a_folder(data: Data, own: Experiment) -> None:
    with pytest.raises(ValueError, match="give out="):
        run(own, data=data, out=None, resume=True)


def test_an_unknown_experiment_is_answered_with_the_nearest(data: Data) -> None:
    with pytest.raises(ValueError, match="Unknown experiment 'cifar10-mpl'. Did you mean '.*mlp'"):
        find_experiments(["cifar10-convnet", "cifar10-mpl"])
    with pytest.raises(ValueError, match="Did you mean 'cifar10-mlp'"):
        run("cifar10-mpl", data=data, out=None)


def test_a_run_measures_the_model_that_it_trained(
    data: Data, own: Experiment, recipe: Recipe
) -> None:
    result = quiet_run(own, data, out=None, seed=4)
    assert result.model is not None and not result.model.training
    assert result.test_accuracy == test_accuracy(result.model, data.test)
    assert result.test_accuracy == result.history[-1].test_accuracy
    assert len(result.history) == recipe.epochs
    assert result.parameters == 3072 * 10 + 10 and result.macs == 3072 * 10
    assert (result.experiment, result.title, result.seed) == ("own", "My net", 4)
    assert (result.dataset, result.num_classes, result.model_name) == ("synthetic", 10, None)
    assert result.seconds == sum(record.seconds for record in result.history)
    assert result.environment["device"] == "cpu"
    assert result.folder is None


def test_a_registered_experiment_takes_another_dataset_and_recipe(
    data: Data, recipe: Recipe
) -> None:
    result = run("cifar10-mlp", data=data, recipe=recipe, out=None, device="cpu", progress=False)
    assert result.dataset == "synthetic"
    assert result.recipe == recipe
    assert (result.model_name, result.parameters) == ("mlp", 308_310)


def test_a_run_is_saved_with_its_weights(data: Data, own: Experiment, tmp_path: Path) -> None:
    result = quiet_run(own, data, tmp_path, seed=3)
    assert result.folder == tmp_path / "own" / "seed-3"
    assert {"result.json", "weights.pt"} < {path.name for path in result.folder.iterdir()}
    saved = weights_of(result.folder)
    assert result.model is not None
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(saved[name], tensor)


def test_a_second_run_is_refused_with_the_ways_on(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    quiet_run(own, data, tmp_path)
    with pytest.raises(FileExistsError) as error:
        quiet_run(own, data, tmp_path)
    for part in (f"{tmp_path / 'own' / 'seed-0'} already holds the finished run", "resume=True",
                 "--resume", "again=True", "--again", "out=..."):  # fmt: skip
        assert part in str(error.value)
    assert folders(tmp_path) == ["seed-0"]
    with pytest.raises(ValueError, match="give one"):
        run(own, data=data, out=tmp_path, resume=True, again=True)


RECIPE_OF_4 = replace(RECIPE, epochs=4)
RECIPE_OF_1 = Recipe(epochs=1, batch_size=16, optimizer="adam", learning_rate=1e-3)


def test_the_refusal_says_what_is_there(data: Data, stopped: Experiment, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="an interrupted run. Resume it with resume=True"):
        quiet_run(stopped, data, tmp_path)
    with pytest.raises(FileExistsError, match="a run of another recipe, network or images"):
        quiet_run(replace(stopped, model=partial(network, 0.1)), data, tmp_path)
    # Also where only the backup has it, on a new machine.
    with pytest.raises(FileExistsError, match="drive.*an interrupted run"):
        run(stopped, data=data, out=tmp_path / "new", backup=tmp_path / "drive")
    quiet_run(replace(stopped, name="short", recipe=RECIPE_OF_1), data, tmp_path)
    with pytest.raises(FileExistsError, match="a shorter run. Train it on with resume=True"):
        quiet_run(replace(stopped, name="short", recipe=RECIPE_OF_1.with_epochs(2)), data, tmp_path)


def test_again_overwrites_nothing_and_finds_the_same(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    (tmp_path / "drive").mkdir()
    options = {"out": tmp_path, "backup": tmp_path / "drive", "again": True}
    options |= {"device": "cpu", "progress": False}
    first = run(own, data=data, **options)
    assert first.folder == tmp_path / "own" / "seed-0"
    before = (first.folder / "result.json").read_bytes()
    torch.rand(3)  # what was drawn before does not matter
    second = run(own, data=data, **options)
    assert second.folder == tmp_path / "own" / "seed-0-2"
    assert folders(tmp_path) == folders(tmp_path / "drive") == ["seed-0", "seed-0-2"]
    assert (first.folder / "result.json").read_bytes() == before
    assert second.test_accuracy == first.test_accuracy
    one, other = weights_of(first.folder), weights_of(second.folder)
    assert all(torch.equal(one[name], other[name]) for name in one)
    third = weights_of(quiet_run(own, data, tmp_path, seed=1).folder)
    assert not torch.equal(one["layers.2.weight"], third["layers.2.weight"])


def folders(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "own").glob("*"))


def test_a_run_without_a_whole_epoch_leaves_its_folder_free(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    def stop() -> nn.Module:
        model = OwnNet()
        model.register_forward_pre_hook(interrupt)
        return model

    def interrupt(model: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) == own.recipe.batch_size:  # not while operations are counted
            raise KeyboardInterrupt

    (tmp_path / "drive").mkdir()
    options = {"out": tmp_path, "backup": tmp_path / "drive", "device": "cpu", "progress": False}
    with pytest.raises(KeyboardInterrupt):
        run(replace(own, model=stop), data=data, **options)
    assert folders(tmp_path) == folders(tmp_path / "drive") == []
    # A process that was killed could not remove them.
    for out in (tmp_path, tmp_path / "drive"):
        (out / "own" / "seed-0").mkdir(parents=True)
    assert run(own, data=data, **options).folder == tmp_path / "own" / "seed-0"
    assert folders(tmp_path) == folders(tmp_path / "drive") == ["seed-0"]


def test_another_folder_is_taken_with_a_word(
    data: Data, own: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet_run(own, data, tmp_path)
    edited = replace(own, model=partial(network, 0.1))
    run(edited, data=data, out=tmp_path, resume=True, device="cpu")
    folder = tmp_path / "own" / "seed-0-2"
    assert f"network or images; this one goes to {folder}." in capsys.readouterr().out


def test_a_run_that_diverges_keeps_the_last_whole_epoch(
    data: Data, own: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fragile(OwnNet):
        """Fails in the second epoch: one evaluation has gone before."""

        evaluations = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.evaluations += not self.training and len(images) > 1
            return super().forward(images) * (float("nan") if self.evaluations else 1.0)

    with pytest.raises(TrainingDivergedError, match="In epoch 2 the loss became nan at step 1"):
        quiet_run(replace(own, model=Fragile), data, tmp_path)
    folder = tmp_path / "own" / "seed-0"
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)["state"]["model"]
    assert all(tensor.isfinite().all() for tensor in saved.values())
    one_epoch = run(
        own, data=data, recipe=replace(own.recipe, epochs=1), out=None, device="cpu", progress=False
    )
    assert one_epoch.model is not None
    for name, tensor in one_epoch.model.state_dict().items():
        assert torch.equal(saved[name], tensor)


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_folder_that_can_not_be_made_is_named(
    data: Data, own: Experiment, tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=f"Can't make the folder .*{out}/own/seed-0.*with out=..."):
        quiet_run(own, data, tmp_path / out)


def test_a_model_for_other_classes_is_refused(data: Data, own: Experiment) -> None:
    ten_and_one = replace(own, model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 11)))
    with pytest.raises(ValueError, match="11 outputs per image, but the images have 10 classes"):
        quiet_run(ten_and_one, data, out=None)


def test_progress_names_the_dataset_the_size_and_the_folder(
    data: Data, own: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(own, data=data, out=tmp_path, device="cpu")
    folder = tmp_path / "own" / "seed-0"
    accuracy = f"Test accuracy at the end: {load_result(folder).test_accuracy:.2f} %"
    first, *_, saved, last = capsys.readouterr().out.splitlines()
    assert first == "own (seed 0) on synthetic: 30,730 parameters, 30,720 MACs"
    assert (saved, last) == (f"Saved result.json and weights.pt in {folder}", accuracy)
    run(own, data=data, out=tmp_path, device="cpu", resume=True)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"Already trained: loaded from {folder}. {accuracy}"


def test_a_custom_model_s_result_is_loaded_into_a_new_network(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    trained = quiet_run(own, data, tmp_path)
    assert trained.folder is not None and trained.model is not None
    assert load_result(trained.folder).title == "My net"
    with pytest.raises(ValueError, match=r"load_result\(.*with_model=True, model=MyNet\(\)\)"):
        load_result(trained.folder, with_model=True)
    with pytest.raises(TypeError, match=r"the class OwnNet; expected .* model=OwnNet\(\)"):
        load_result(trained.folder, with_model=True, model=OwnNet)  # type: ignore[arg-type]
    loaded = load_result(trained.folder, with_model=True, model=OwnNet()).model
    assert loaded is not None and not loaded.training
    expected = trained.model.state_dict()
    assert all(torch.equal(tensor, expected[k]) for k, tensor in loaded.state_dict().items())


def test_resuming_a_finished_run_gives_its_result_and_uses_no_test_image(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    first = quiet_run(own, data, tmp_path)
    uses = data.test.uses.count
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    again = run(own, data=data, **options)
    assert (again.folder, again.test_accuracy) == (first.folder, first.test_accuracy)
    assert data.test.uses.count == uses
    assert again.model is not None and first.model is not None
    expected = first.model.state_dict()
    assert all(torch.equal(tensor, expected[k]) for k, tensor in again.model.state_dict().items())


def test_an_interrupted_run_is_not_resumed_on_other_images(
    data: Data, stopped: Experiment, tmp_path: Path
) -> None:
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    other = replace(data, train=data.train.subset(torch.arange(45)))
    with pytest.raises(ValueError, match="of another run: images is '36 of synthetic"):
        run(stopped, data=other, **options)


def test_an_interrupted_run_does_not_stand_in_the_way_of_another_recipe(
    data: Data, stopped: Experiment, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    checkpoint = (tmp_path / "own" / "seed-0" / "checkpoint.pt").read_bytes()
    copy = (drive / "own" / "seed-0" / "checkpoint.pt").read_bytes()
    options = {"device": "cpu", "progress": False, "resume": True, "backup": drive}
    shorter = run(
        stopped, data=data, recipe=replace(stopped.recipe, epochs=1), out=tmp_path, **options
    )
    assert shorter.folder == tmp_path / "own" / "seed-0-2" and len(shorter.history) == 1
    # Neither the interrupted run nor its backup was touched, and both can be resumed.
    assert (tmp_path / "own" / "seed-0" / "checkpoint.pt").read_bytes() == checkpoint
    assert (drive / "own" / "seed-0" / "checkpoint.pt").read_bytes() == copy
    assert (drive / "own" / "seed-0-2" / "result.json").exists()
    elsewhere = run(stopped, data=data, out=tmp_path / "elsewhere", **options)
    here = run(stopped, data=data, out=tmp_path, **options)
    assert len(elsewhere.history) == len(here.history) == 4
    assert elsewhere.history[:2] == here.history[:2], "both resumed after the second epoch"


def test_a_finished_run_of_another_network_is_not_given_for_this_one(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    first = run(replace(own, model=partial(network, 0.1)), data=data, **options)
    again = run(replace(own, model=partial(network, 0.1)), data=data, **options)
    other = run(replace(own, model=partial(network, 0.2)), data=data, **options)
    assert again.folder == first.folder and other.folder != first.folder


def test_a_finished_run_on_other_images_is_not_given_for_these(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    few = run(own, data=replace(data, train=data.train.subset(torch.arange(40))), **options)
    labels = data.train.labels.flip(0)
    noisy = run(own, data=replace(data, train=replace(data.train, labels=labels)), **options)
    whole = run(own, data=data, **options)
    assert len({few.folder, noisy.folder, whole.folder}) == 3
    assert run(own, data=data, **options).folder == whole.folder
    # A result that was saved before images were noted can be of any.
    assert few.folder is not None
    replace(few, images="").save(few.folder / "result.json")
    again = run(own, data=replace(data, train=data.train.subset(torch.arange(30))), **options)
    assert again.folder == few.folder


def test_an_interrupted_run_on_another_dataset_or_network_stays_out_of_the_way(
    data: Data, stopped: Experiment, tmp_path: Path
) -> None:
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    other = Data("mine", *(replace(each, dataset="mine") for each in (data.train, data.test)))
    assert len(run(stopped, data=other, **options).history) == 4
    edited = run(replace(stopped, model=partial(network, 0.1)), data=data, **options)
    assert edited.folder == tmp_path / "own" / "seed-0-3" and len(edited.history) == 4
    assert run(stopped, data=data, **options).folder == tmp_path / "own" / "seed-0"


def test_a_finished_run_among_the_backups_is_taken_and_stays_as_it_is(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    """Also where the same run was interrupted here; one from scratch gets a folder of its own."""
    own = replace(own, validation_fraction=0.2, recipe=replace(own.recipe, epochs=4))
    drive, elsewhere = tmp_path / "drive", tmp_path / "elsewhere"
    drive.mkdir()
    elsewhere.mkdir()
    options = {"device": "cpu", "progress": False, "backup": drive}
    first = run(own, data=data, out=tmp_path / "first", **options)
    before = {path: path.read_bytes() for path in drive.rglob("*") if path.is_file()}
    stop_in_epoch_3(own, data, tmp_path / "second", elsewhere)
    uses = data.test.uses.count
    second = run(own, data=data, out=tmp_path / "second", resume=True, **options)
    assert second.history == first.history and data.test.uses.count == uses
    assert before and {path: path.read_bytes() for path in before} == before
    run(own, data=data, out=tmp_path / "second", again=True, **options)
    assert {path: path.read_bytes() for path in before} == before
    assert (drive / "own" / "seed-0-2" / "result.json").exists()


KILLED = """
import os, signal, sys
import torch
from small import synthetic_set
from test_run import OwnNet, RECIPE_OF_4
from cifar_lab.data.image_set import Data, Role
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.experiments.run import run

class Killing(OwnNet):
    steps = 0
    def forward(self, images):
        self.steps += self.training and torch.is_grad_enabled()
        if self.steps == 3 * 2 + 2:  # 40 images are 3 batches of 16; in the middle of epoch 3
            while sys.argv[2] and not os.path.exists(sys.argv[2] + "/own/seed-0/checkpoint.pt"):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)

Killing.__name__ = "OwnNet"
torch.set_num_threads(1)
train, test = synthetic_set(Role.TRAIN, 50, seed=0), synthetic_set(Role.TEST, 30, seed=1)
own = Experiment("own", "synthetic", Killing, RECIPE_OF_4, "My net", None, 0.2)
run(own, data=Data("synthetic", train, test), out=sys.argv[1], backup=sys.argv[2] or None,
    device="cpu", progress=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_process_that_is_killed_in_an_epoch_goes_on_from_disk_or_backup(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    (tmp_path / "drive").mkdir()
    own = replace(own, validation_fraction=0.2, recipe=RECIPE_OF_4)
    whole = quiet_run(own, data, tmp_path / "whole")
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    command = [sys.executable, "-c", KILLED, str(tmp_path / "first"), str(tmp_path / "drive")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    for out, resumed_from in (("first", (2,)), ("new", (1, 2))):  # the copy follows the epoch
        epochs: list[int] = []
        if out == "new":  # as the disk went with the session, before anything was resumed
            shutil.rmtree(tmp_path / "drive")
            (tmp_path / "kept").rename(tmp_path / "drive")
        else:
            shutil.copytree(tmp_path / "drive", tmp_path / "kept")
        options = {"out": tmp_path / out, "backup": tmp_path / "drive", "resume": True}
        options |= {"callback": lambda progress, seen=epochs: seen.append(progress.record.epoch)}
        resumed = run(own, data=data, device="cpu", progress=False, **options)
        assert epochs[0] - 1 in resumed_from and epochs[-1] == 4
        saved, expected = weights_of(resumed.folder), weights_of(whole.folder)
        assert all(torch.equal(saved[name], expected[name]) for name in expected)


@pytest.mark.parametrize("missing", ["", "checkpoint.pt"])
def test_a_finished_run_comes_back_from_its_backup(
    data: Data, own: Experiment, tmp_path: Path, missing: str
) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    options = {"device": "cpu", "progress": False, "backup": drive, "resume": True}
    first = run(own, data=data, out=tmp_path / "first", **options)
    if missing:
        (drive / "own" / "seed-0" / missing).unlink()
    before = {path: path.stat().st_mtime_ns for path in drive.rglob("*") if path.is_file()}
    uses = data.test.uses.count
    second = run(own, data=data, out=tmp_path / "second", **options)
    assert second.history == first.history and data.test.uses.count == uses
    assert second.folder == tmp_path / "second" / "own" / "seed-0"
    after = {path: path.stat().st_mtime_ns for path in drive.rglob("*") if path.is_file()}
    assert after == before


def test_a_finished_run_is_found_without_its_checkpoint(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    first = quiet_run(own, data, tmp_path)
    assert first.folder is not None
    (first.folder / "checkpoint.pt").unlink()
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    assert run(own, data=data, **options).folder == first.folder


def test_uses_of_the_test_set_before_an_interruption_count(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    own = replace(own, recipe=replace(own.recipe, epochs=4))
    (tmp_path / "drive").mkdir()
    stop_in_epoch_3(own, data, tmp_path, tmp_path / "drive")
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    assert run(own, data=data, **options).test_uses == 5


def network(dropout: float) -> nn.Module:
    """Of the same tensors, whatever its dropout."""
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Dropout(dropout), nn.Linear(48, 10))


def test_resuming_with_another_recipe_than_a_finished_run_s_starts_from_scratch(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    quiet_run(own, data, tmp_path)
    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    other = run(own, data=data, recipe=replace(own.recipe, learning_rate=2e-3), **options)
    assert other.folder == tmp_path / "own" / "seed-0-2"
    assert len(other.history) == 2


def test_a_finished_run_is_trained_on_with_more_epochs(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    """It ends as if it had been planned so, also on another machine that has only the backup."""
    (tmp_path / "drive").mkdir()
    options = {"device": "cpu", "progress": False, "resume": True, "backup": tmp_path / "drive"}
    short = run(own, data=data, out=tmp_path / "first", **options)
    longer = replace(own, recipe=replace(own.recipe, epochs=4))
    whole = quiet_run(longer, data, tmp_path / "whole")
    on = run(longer, data=data, out=tmp_path / "second", **options)
    assert on.folder == tmp_path / "second" / "own" / "seed-0"
    assert on.history[:2] == short.history and len(on.history) == 4
    saved, expected = weights_of(on.folder), weights_of(whole.folder)
    assert all(torch.equal(saved[name], expected[name]) for name in expected)
    # The short one's end was a look at the test set too.
    assert (short.test_uses, whole.test_uses, on.test_uses) == (3, 5, 6)
    assert load_result(tmp_path / "drive" / "own" / "seed-0").recipe.epochs == 4
    here = run(longer, data=data, out=tmp_path / "first", **options)
    assert (here.folder, here.history) == (short.folder, on.history)


def test_a_quick_look_is_not_trained_on_where_the_learning_rate_depends_on_the_length(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    falling = replace(own, recipe=replace(own.recipe, schedule="cosine"))
    options = {"device": "cpu", "progress": False, "resume": True}
    look = run(falling, data=data, out=tmp_path / "runs", **options)
    longer = replace(falling, recipe=replace(falling.recipe, epochs=4))
    whole = quiet_run(longer, data, tmp_path / "whole")
    after = run(longer, data=data, out=tmp_path / "runs", **options)
    assert after.folder != look.folder
    assert [one.train_loss for one in after.history] == [one.train_loss for one in whole.history]


def test_the_old_result_stays_until_a_run_that_is_trained_on_has_ended(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.record.epoch == 3:
            raise StoppedError

    options = {"out": tmp_path, "device": "cpu", "progress": False, "resume": True}
    short = run(own, data=data, **options)
    longer = replace(own, recipe=replace(own.recipe, epochs=4))
    with pytest.raises(StoppedError):
        run(longer, data=data, callback=interrupt, **options)
    assert short.folder is not None
    assert load_result(short.folder).history == short.history
    assert run(own, data=data, **options).test_accuracy == short.test_accuracy
    whole = quiet_run(longer, data, tmp_path / "whole")
    resumed = run(longer, data=data, **options)
    assert resumed.folder == short.folder
    assert [each.train_loss for each in resumed.history] == [
        each.train_loss for each in whole.history
    ]


def test_a_callback_sees_the_experiment_s_title_and_can_end_the_training(
    data: Data, own: Experiment, tmp_path: Path
) -> None:
    titles = []

    def stop(progress: Progress) -> bool:
        titles.append(progress.title)
        return True

    result = run(own, data=data, out=tmp_path, device="cpu", progress=False, callback=stop)
    assert titles == ["My net"] and len(result.history) == 1


def test_what_is_no_experiment_is_refused(data: Data, recipe: Recipe) -> None:
    with pytest.raises(TypeError, match=r"a OwnNet that is already built.*Give the class, model="):
        Experiment("own", "synthetic", OwnNet(), recipe, "My net")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model is a int; expected a class or function"):
        Experiment("own", "synthetic", 3, recipe, "My net")  # type: ignore[arg-type]
    nothing = Experiment("own", "synthetic", lambda: None, recipe, "")  # type: ignore
    with pytest.raises(TypeError, match="returned a NoneType; .*return model"):
        quiet_run(nothing, data, out=None)
    with pytest.raises(TypeError, match="experiment is a OwnNet; .*cifar_lab.fit"):
        run(OwnNet(), data=data)  # type: ignore[arg-type]


def test_a_backup_needs_a_folder_that_is_there(data: Data, own: Experiment, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mount the drive first"):
        run(own, data=data, out=tmp_path, backup=tmp_path / "drive", device="cpu")
    assert not (tmp_path / "drive").exists()


def test_a_backup_holds_every_file_of_a_run(data: Data, own: Experiment, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    options = {"device": "cpu", "progress": False}
    run(own, data=data, out=tmp_path / "out", backup=tmp_path / "drive", **options)
    for name in ("checkpoint.pt", "weights.pt", "result.json"):
        place = Path("own", "seed-0", name)
        assert (tmp_path / "drive" / place).read_bytes() == (tmp_path / "out" / place).read_bytes()
