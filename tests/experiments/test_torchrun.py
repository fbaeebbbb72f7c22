"""A run that two processes share: killed in the middle, resumed by one; from the command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torchrun_script import run_it

from cifar_lab.experiments.results import Result, load_result

SCRIPT = Path(__file__).with_name("torchrun_script.py")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")


def started(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def assert_same(result: Result, expected: Result) -> None:
    assert result.model is not None
    assert expected.model is not None
    for found, value in zip(result.model.parameters(), expected.model.parameters(), strict=True):
        assert float((found - value).detach().norm() / value.detach().norm()) < 1e-5
    for here, there in zip(result.history, expected.history, strict=True):
        assert here.train_loss == pytest.approx(there.train_loss, rel=1e-5)
        assert here.validation_accuracy == there.validation_accuracy
    assert result.test_accuracy == expected.test_accuracy
    assert result.test_uses == expected.test_uses == 1


def test_a_killed_process_ends_the_run_which_one_process_resumes(tmp_path: Path) -> None:
    ended = started(*TORCHRUN, SCRIPT, tmp_path, "2")
    checkpoint = tmp_path / "shared" / "seed-0" / "checkpoint.pt"
    assert time.time() - checkpoint.stat().st_mtime < 60
    assert ended.returncode != 0
    assert "Signal 9 (SIGKILL)" in ended.stderr
    for line in ("Training 4 epochs", "epoch   1 "):  # the first process alone prints
        assert ended.stdout.count(line) == 1
    assert "epoch   3 " not in ended.stdout
    assert_same(run_it(tmp_path, resume=True), run_it(tmp_path / "alone"))
    assert len(list((tmp_path / "shared").iterdir())) == 1


def environment(rank: int, port: int) -> dict[str, str]:
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    texts = {name: str(number) for name, number in ranks.items()}
    return os.environ | texts | {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_without_torchruns_agent_the_others_notice_too(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, tmp_path, "2"],
            env=environment(rank, port),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [each.communicate(timeout=300)[1] for each in processes]
    assert [each.returncode for each in processes] == [1, -signal.SIGKILL]
    assert "ConnectionError: Another process of this run ended" in errors[0]
    checkpoint = tmp_path / "shared" / "seed-0" / "checkpoint.pt"
    assert time.time() - checkpoint.stat().st_mtime < 60
    assert len(torch.load(checkpoint)["state"]["history"]) == 2


@pytest.mark.slow
def test_the_command_line_trains_resumes_and_loads(tmp_path: Path) -> None:
    command = ("-m", "cifar_lab", "run", "cifar10-mlp", "--dataset=synthetic", "--device=cpu")
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    ended = started(*TORCHRUN, *command, "--epochs=1", "--out", shared)
    assert ended.returncode == 0, ended.stderr
    assert "2 processes share each batch." in ended.stdout
    assert ended.stdout.count("Saved result.json") == 1
    result = load_result(shared / "cifar10-mlp" / "seed-0")
    assert result.environment["processes"] == 2

    again = started(*TORCHRUN, *command, "--epochs=1", "--out", shared, "--resume")
    assert again.stdout.count("Already trained: loaded from") == 1, again.stderr

    ended = started(sys.executable, *command, "--epochs=1", "--out", alone)
    assert ended.returncode == 0, ended.stderr
    expected = load_result(alone / "cifar10-mlp" / "seed-0")
    assert "processes" not in expected.environment
    assert result.history[0].train_loss == pytest.approx(expected.history[0].train_loss, rel=1e-5)
