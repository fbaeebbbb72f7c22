"""Weights and checkpoints that earlier versions wrote, from before the networks were rewritten."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import split
from cifar_lab.models import MODELS, DSConvBlock, build_model
from cifar_lab.models.counting import architecture_digest
from cifar_lab.models.former import DIGESTS, present_digest
from cifar_lab.training.checkpoint import is_of, load_weights
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe

FILES = Path(__file__).parents[1] / "old_files"
NAMES = sorted(path.name.removesuffix("-weights.pt.gz") for path in FILES.glob("*-weights.pt.gz"))


def unpacked(name: str, folder: Path) -> Path:
    """Return the file, which is kept packed: its numbers are the same over and over."""
    path = folder / f"{name}.pt"
    path.write_bytes(gzip.decompress((FILES / f"{name}.pt.gz").read_bytes()))
    return path


def network_of(name: str) -> torch.nn.Module:
    """Build the network that the run trained; the experiment may have another one today."""
    result = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    return build_model(result["model_name"], 10)


@pytest.mark.parametrize("name", NAMES)
def test_weights_load_under_the_names_of_today(name: str, tmp_path: Path) -> None:
    path = unpacked(f"{name}-weights", tmp_path)
    model = network_of(name)
    load_weights(model, path)
    saved = [value for value in torch.load(path).values() if value.numel() > 1]
    loaded = [value for value in model.state_dict().values() if value.numel() > 1]
    assert len(loaded) == len(saved) > 5
    for mine, theirs in zip(loaded, saved, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_resumed_from_its_checkpoint(name: str, tmp_path: Path) -> None:
    path = unpacked(f"{name}-checkpoint", tmp_path)
    recipe = Recipe.from_dict(torch.load(path)["recipe"])
    model = network_of(name)
    assert is_of(path, recipe, "synthetic", architecture_digest(model))
    images = load("synthetic").train.subset(range(200))
    train, validation = split(images, 0.1, seed=0)
    history = fit(
        model,
        train,
        recipe,
        validation=validation,
        checkpoint=path,
        resume=True,
        device="cpu",
        progress=False,
    )
    assert [record.epoch for record in history] == [1, 2]


def test_a_checkpoint_of_another_network_is_still_refused(tmp_path: Path) -> None:
    path = unpacked("cifar10-resnet-small-checkpoint", tmp_path)
    recipe = Recipe.from_dict(torch.load(path)["recipe"])
    other = architecture_digest(build_model("resnet-wide"))
    assert not is_of(path, recipe, "synthetic", other)


def test_each_former_digest_leads_to_a_network_of_today() -> None:
    today = {architecture_digest(build_model(name, k)) for name in MODELS for k in (10, 100)}
    assert set(DIGESTS.values()) <= today
    assert not DIGESTS.keys() & today
    assert present_digest("of a custom network") == "of a custom network"


def test_a_custom_layer_that_has_the_former_names_keeps_them(tmp_path: Path) -> None:
    layers = torch.nn.Sequential()
    layers.add_module("conv", torch.nn.Conv2d(3, 8, 1, bias=False))
    layers.add_module("norm", torch.nn.BatchNorm2d(8))
    model = torch.nn.ModuleDict({"layers": torch.nn.Sequential(torch.nn.Identity(), layers)})
    torch.save(model.state_dict(), tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")


def test_a_block_alone_loads_its_former_weights_too(tmp_path: Path) -> None:
    block = DSConvBlock(3, 64)
    state = block.state_dict()
    former = {
        name.replace("layers.1.", "layers.1.conv.").replace("layers.2.", "layers.1.norm."): value
        for name, value in state.items()
    }
    torch.save(former, tmp_path / "w.pt")
    twin = DSConvBlock(3, 64)
    load_weights(twin, tmp_path / "w.pt")
    for name, value in twin.state_dict().items():
        assert torch.equal(value, state[name])
