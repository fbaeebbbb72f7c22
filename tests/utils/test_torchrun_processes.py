from __future__ import annotations

import argparse

import pytest
import torch

from cifar_lab.cli.interruption import command_line
from cifar_lab.cli.main import main
from cifar_lab.utils.console import say
from cifar_lab.utils.devices import as_device, best_device
from cifar_lab.utils.torchrun import hint_for_gpus, is_writer, local_rank, world_size


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"RANK": 1, "LOCAL_RANK": 1, "WORLD_SIZE": 2, "MASTER_PORT": 29500}
    for name, number in numbers.items():
        monkeypatch.setenv(name, str(number))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # other programs set some of the names
    assert (world_size(), local_rank(), is_writer()) == (1, 0, True)


def test_only_the_first_process_prints(
    second_of_two: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say("nothing")
    assert (world_size(), local_rank(), is_writer()) == (2, 1, False)
    monkeypatch.setenv("RANK", "0")
    say("a line")
    assert capsys.readouterr().out == "a line\n"


def test_a_process_has_the_gpu_of_its_number_alone(second_of_two: None) -> None:
    assert as_device("cpu").type == "cpu"
    if best_device().type == "cpu":
        assert as_device(None).type == "cpu"
        with pytest.raises(ValueError, match="has the GPU of its number, and this machine has 0"):
            as_device("cuda")
    with pytest.raises(ValueError, match="can't share mps; expected cpu or cuda"):
        as_device("mps")


def test_a_command_to_resume_starts_as_many_processes_again(
    second_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = argparse.Namespace(arguments=["run", "frontier"])
    resumes = "torchrun --nproc-per-node=2 -m cifar_lab run frontier --resume"
    assert command_line(options, also=["--resume"]) == resumes
    monkeypatch.delenv("RANK")
    assert command_line(options) == "cifar-lab run frontier"


def test_many_runs_are_refused_in_processes_of_one_run(
    second_of_two: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "cifar10-mlp", "--jobs", "2"]) == 1
    assert (
        "--jobs starts processes of its own, and torchrun has started 2" in capsys.readouterr().err
    )


def test_several_gpus_are_pointed_out_where_one_process_uses_one(
    second_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["run", "frontier", "--out", "my runs"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert hint_for_gpus(torch.device("cuda"), arguments) is None  # torchrun has started two
    monkeypatch.delenv("RANK")
    assert hint_for_gpus(torch.device("cpu"), arguments) is None
    assert hint_for_gpus(torch.device("cuda:1"), arguments) is None
    assert hint_for_gpus(torch.device("cuda"), arguments) == (
        "This run uses one of 2 GPUs. To use all of them for it: torchrun --nproc-per-node=2 "
        "-m cifar_lab run frontier --out 'my runs' (for several runs at a time: --jobs 2)"
    )
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert hint_for_gpus(torch.device("cuda"), arguments) is None
