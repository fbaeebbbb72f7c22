from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest
import torch
from torch import nn

from cifar_lab.checkpoint import load_weights, save_weights
from cifar_lab.files import write_atomically
from cifar_lab.models import build_model


def fail_halfway(file: IO[bytes]) -> None:
    file.write(b"half of the new")
    raise KeyboardInterrupt  # not even an Exception


def test_a_write_that_breaks_off_leaves_the_old_content_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail_halfway)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_first_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", fail_halfway)
    assert list(tmp_path.iterdir()) == []


def test_the_old_content_stands_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def look_while_writing(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    write_atomically(path, look_while_writing)
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


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
