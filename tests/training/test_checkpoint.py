from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.models import build_model
from cifar_lab.training.checkpoint import (
    begin_or_resume,
    load_weights,
    save_checkpoint,
    save_weights,
)
from cifar_lab.training.loop import fit
from cifar_lab.training.plain_files import to_bytes
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import TrainingState
from cifar_lab.utils import files


def test_weights_and_buffers_come_back_as_they_were(tmp_path: Path) -> None:
    model, other = build_model("resnet-small"), build_model("resnet-small")
    model(torch.rand(4, 3, 32, 32))  # moves the batch norms' running statistics
    save_weights(model, tmp_path / "weights.pt")
    load_weights(other, tmp_path / "weights.pt")
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_saved_weights_are_a_plain_state_dict(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    save_weights(model, tmp_path / "weights.pt")
    model.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))


class Bomb:
    """Unpickling it runs code: it touches a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


def test_code_in_a_weights_file_does_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "weights.pt", tmp_path / "marker"
    torch.save({"weight": Bomb(marker)}, path)
    with pytest.raises(ValueError, match="weights.pt is damaged or holds more than weights"):
        load_weights(nn.Linear(2, 2), path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # so it was live


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_named_and_leaves_the_model_as_it_was(
    tmp_path: Path, share: float
) -> None:
    path, model = tmp_path / "weights.pt", build_model("mlp")
    save_weights(model, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    other = build_model("mlp")
    before = [parameter.clone() for parameter in other.parameters()]
    with pytest.raises(ValueError, match="weights.pt is damaged.*[Ss]ave it again, or train again"):
        load_weights(other, path)
    assert all(map(torch.equal, before, other.parameters()))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No weights at .*weights.pt. Train the model"):
        load_weights(nn.Linear(2, 2), tmp_path / "weights.pt")


@pytest.mark.parametrize("other", ["convnet", "mlp"])
def test_another_model_s_weights_are_refused(tmp_path: Path, other: str) -> None:
    save_weights(build_model("mlp", num_classes=100), tmp_path / "weights.pt")
    with pytest.raises(
        ValueError, match="(?s)does not fit this .*Build the model that the weights"
    ):
        load_weights(build_model(other), tmp_path / "weights.pt")


def compiled(model: nn.Module) -> Any:
    return torch.compile(model, backend="eager")


@pytest.mark.parametrize("loaded", [lambda model: model, compiled, nn.DataParallel])
@pytest.mark.parametrize("saved", [lambda model: model, compiled, nn.DataParallel])
def test_weights_are_the_network_s_whatever_wrapper_it_is_in(
    tmp_path: Path, saved: Any, loaded: Any
) -> None:
    model, other = build_model("mlp"), build_model("mlp")
    save_weights(saved(model), tmp_path / "weights.pt")
    stored = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert list(stored) == list(model.state_dict())
    load_weights(loaded(other), tmp_path / "weights.pt")
    assert all(map(torch.equal, other.parameters(), model.parameters()))


@pytest.mark.parametrize("name", ["model_state_dict", "state_dict", "model"])
def test_weights_inside_a_checkpoint_of_ones_own_are_found(tmp_path: Path, name: str) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    content = {"epoch": 3, name: model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "checkpoint.pt")
    load_weights(other, tmp_path / "checkpoint.pt")
    assert torch.equal(other.weight, model.weight)


RECIPE = Recipe(epochs=2, batch_size=4, optimizer="adam", learning_rate=1e-3)


def test_the_weights_of_a_run_s_checkpoint_are_loaded(tmp_path: Path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_checkpoint(tmp_path / "checkpoint.pt", TrainingState(model, RECIPE, "fp32"), {})
    load_weights(other, tmp_path / "checkpoint.pt")
    assert torch.equal(other.weight, model.weight)


def test_a_checkpoint_holds_plain_numbers(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    state = TrainingState(nn.Linear(3, 2), RECIPE, "fp32")
    run = {"seed": np.int64(3), "share": np.float64(0.5), "count": torch.tensor(4)}
    save_checkpoint(path, state, run)
    assert torch.load(path, weights_only=True)["run"] == {"seed": 3, "share": 0.5, "count": 4}
    begin_or_resume(path, state, run, resume=True)
    begin_or_resume(path, state, {"seed": 3, "share": 0.5, "count": 4}, resume=True)
    with pytest.raises(ValueError, match="seed is 4 here, 3 there"):
        begin_or_resume(path, state, {"seed": np.int64(4)}, resume=True)


class WithState(nn.Linear):
    """A layer that keeps more than tensors."""

    extra: Any = None

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


@pytest.mark.parametrize(
    ("extra", "named"), [(Path("here"), "Path"), (threading.Lock(), "lock"), (len, "len")]
)
def test_what_would_not_load_again_is_named_and_replaces_nothing(
    tmp_path: Path, extra: Any, named: str
) -> None:
    path, model = tmp_path / "file.pt", WithState(3, 2)
    state = TrainingState(model, RECIPE, "fp32")
    for save in (
        lambda: save_checkpoint(path, state, {}),
        lambda: save_weights(model, path),
        lambda: to_bytes(model.state_dict()) and path.touch(),
    ):
        model.extra = {"epoch": 3}
        save()
        before = {each: each.read_bytes() for each in tmp_path.iterdir()}
        model.extra = extra
        with pytest.raises(ValueError, match=f"can't be saved so that it loads again.*{named}"):
            save()
        assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_full_disk_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path, model = tmp_path / "file.pt", nn.Linear(3, 2)
    save_weights(model, path)
    monkeypatch.setattr(files.os, "fsync", full)
    for save in (
        lambda: save_weights(model, path),
        lambda: save_checkpoint(path, TrainingState(model, RECIPE, "fp32"), {}),
    ):
        with pytest.raises(OSError, match="No space left on device. Free some.*file.pt"):
            save()
    load_weights(model, path)
    assert set(tmp_path.iterdir()) == {path}


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    model = nn.Linear(3, 2)
    save_weights(model, "~/weights.pt")
    load_weights(model, "~/weights.pt")
    state = TrainingState(model, RECIPE, "fp32")
    save_checkpoint("~/run/checkpoint.pt", state, {})
    begin_or_resume("~/run/checkpoint.pt", state, {}, resume=True)
    assert {each.name for each in tmp_path.iterdir()} == {"weights.pt", "run"}


def test_tied_weights_are_saved_and_loaded_as_one(tmp_path: Path) -> None:
    def tied() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    model, other = tied(), tied()
    save_weights(model, tmp_path / "weights.pt")
    load_weights(other, tmp_path / "weights.pt")
    assert torch.equal(other[1].weight, model[0].weight) and other[0].weight is other[1].weight


@pytest.mark.parametrize("number", [np.float64(57.3), np.float32(57.3), np.int64(3), np.ones(2)])
def test_numbers_of_numpy_beside_weights_do_no_harm(tmp_path: Path, number: Any) -> None:
    model, other = build_model("mlp"), build_model("mlp")
    torch.save({"model": model.state_dict(), "accuracy": number}, tmp_path / "own.pt")
    load_weights(other, tmp_path / "own.pt")
    for mine, loaded in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, loaded)


def test_a_folder_in_the_place_of_a_checkpoint_is_named(train: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder; expected a file"):
        fit(build_model("mlp"), train, RECIPE, checkpoint=tmp_path, resume=True, progress=False)
