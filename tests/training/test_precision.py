"""The precision that `auto` means, and the precision of resumed runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.training import precision as precisions
from cifar_lab.training.checkpoint import saved_precision
from cifar_lab.training.loop import fit
from cifar_lab.training.precision import resolve_precision, warn_if_slow
from cifar_lab.training.recipe import Recipe

AUTO = Recipe(3, 16, "sgd", 0.01, precision="auto")
AMD = {"avx512_bf16": True, "cpu_name": "AMD EPYC"}


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [
        ("cuda", (9, 0), "bf16"),  # H100
        ("cuda", (8, 9), "bf16"),  # L4
        ("cuda", (8, 0), "bf16"),  # A100
        ("cuda", (7, 5), "fp16"),  # T4, on which bf16 is emulated
        ("cuda", (7, 0), "fp16"),  # V100
        ("cuda", (6, 0), "fp32"),  # P100, without matrix units
        ("cuda", (3, 7), "fp32"),  # K80
        ("cpu", {"amx_bf16": True}, "bf16"),
        ("cpu", {"avx512_bf16": True, "cpu_name": "AMD EPYC 9R45"}, "bf16"),
        ("cpu", {"avx512_bf16": True, "cpu_name": "Intel Xeon"}, "fp32"),
        ("cpu", {"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, "bf16"),
        ("cpu", {"avx512_bf16": True}, "fp32"),
        ("cpu", {"bf16": True, "architecture": "aarch64"}, "bf16"),
        ("cpu", {"bf16": True, "architecture": "x86_64"}, "fp32"),
        ("cpu", {"avx512_f": True, "cpu_name": "AMD EPYC 7R13"}, "fp32"),
        ("cpu", {"avx2": True, "amx_bf16": False}, "fp32"),
        ("cpu", {}, "fp32"),
        ("mps", None, "fp32"),
    ],
)
def test_auto_is_the_fastest_precision_in_hardware(
    monkeypatch: pytest.MonkeyPatch, device: str, capability: Any, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capability, raising=False)
    assert resolve_precision("auto", torch.device(device)) == expected


def test_a_named_precision_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for precision in ("fp32", "bf16"):
        assert resolve_precision(precision, torch.device("cpu")) == precision
    for capability in ((9, 0), (7, 5), (3, 7)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)  # noqa: B023
        for precision in ("fp32", "bf16", "fp16"):
            assert resolve_precision(precision, torch.device("cuda")) == precision


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_fp16_is_for_cuda_alone(device: str) -> None:
    with pytest.raises(ValueError, match="'fp16' needs a CUDA device"):
        resolve_precision("fp16", torch.device(device))


@pytest.mark.parametrize("device", ["mps", "xpu"])
def test_bf16_is_for_cpus_and_cuda(device: str) -> None:
    with pytest.raises(ValueError, match="'bf16' needs a CPU or CUDA device"):
        resolve_precision("bf16", torch.device(device))


def test_the_second_of_two_gpus_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = {0: (8, 0), 1: (7, 5)}
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: capabilities[device.index]
    )
    assert resolve_precision("auto", torch.device("cuda:0")) == "bf16"
    assert resolve_precision("auto", torch.device("cuda:1")) == "fp16"


class InterruptedRunError(Exception):
    pass


def interrupt(record: Any) -> None:
    raise InterruptedRunError


@pytest.mark.parametrize(("began_on", "resumed_on"), [(AMD, {}), ({}, AMD)])
def test_a_resumed_run_keeps_the_precision_in_which_it_began(
    began_on: dict[str, Any],
    resumed_on: dict[str, Any],
    train: ImageSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(path: Path | None, **options: Any) -> list[float]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
        options = {"device": "cpu", "progress": False, "checkpoint": path, **options}
        return [record.train_loss for record in fit(model, train, AUTO, **options)]

    path = tmp_path / "checkpoint.pt"
    monkeypatch.setattr(precisions, "cpu_capabilities", lambda: began_on)
    expected = run(None)
    with pytest.raises(InterruptedRunError):
        run(path, on_epoch=interrupt)
    began = saved_precision(path)
    assert began == resolve_precision("auto", torch.device("cpu"))
    assert "Resuming" not in capsys.readouterr().out
    monkeypatch.setattr(precisions, "cpu_capabilities", lambda: resumed_on)
    assert run(path, resume=True) == expected
    assert f"Resuming in {began}" in capsys.readouterr().out


def test_a_file_that_is_no_checkpoint_tells_no_precision(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert saved_precision(None) is None and saved_precision(path) is None
    path.write_bytes(b"damaged")
    assert saved_precision(path) is None


def test_a_network_that_is_slow_in_bf16_is_told_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(3600, 10))
    images = torch.rand(16, 3, 32, 32)
    seconds = {"fp32": 1.0, "bf16": 1.9}
    monkeypatch.setattr(precisions, "_pass_seconds", lambda model, images, name: seconds[name])
    warn_if_slow(model, images, "fp32")
    warn_if_slow(model, images, "bf16")
    assert capsys.readouterr().out == ""
    seconds["bf16"] = 5.0
    warn_if_slow(model, images, "bf16")
    shown = capsys.readouterr().out
    assert "Sequential takes 5.0 times as long in bf16" in shown and 'precision="fp32"' in shown


def test_timing_a_network_leaves_it_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(3600, 10))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    assert precisions._pass_seconds(model, torch.rand(16, 3, 32, 32), "bf16") > 0
    torch.set_rng_state(drawn)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in model.parameters())
