"""`cifar-lab run` with --jobs and --scheduler."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from cli_terminal import press_ctrl_c

from cifar_lab.cli.main import main

Captured = pytest.CaptureFixture[str]
TINY = ["run", "cifar10-mlp", "--dataset", "synthetic", "--epochs", "1", "--device", "cpu"]
on_unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "0"], "jobs is 0; expected the number of runs at a time"),
        (["--jobs", "2", "--scheduler", "tcp://127.0.0.1:9"], "Give one of the two"),
        (["--scheduler", "lab-7"], "'lab-7' is no scheduler's address"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: Captured
) -> None:
    pytest.importorskip("distributed")
    assert main([*TINY, "--out", str(tmp_path / "out"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scheduler_without_distributed_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["--scheduler", "tcp://127.0.0.1:9", "--out", str(tmp_path)]
    assert main([*TINY, *words]) == 1
    assert "pip install 'cifar-lab[cluster]'" in capsys.readouterr().err


def test_jobs_under_torchrun_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    torchrun = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    for name, value in {**torchrun, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main([*TINY, "--out", str(tmp_path), "--jobs", "2"]) == 1
    assert "Leave out torchrun for many runs at a time" in capsys.readouterr().err


@pytest.mark.slow
def test_a_failing_run_is_named_at_the_end_with_the_command_that_does_it_alone(
    tmp_path: Path, capsys: Captured
) -> None:
    damaged = tmp_path / "cifar10-mlp" / "seed-1" / "checkpoint.pt"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no checkpoint")
    words = [*TINY, "--out", str(tmp_path), "--seeds", "0-2", "--jobs", "2", "--resume"]
    assert main(words) == 1
    printed = capsys.readouterr().out
    assert "1 run of 3 failed:\nSimpleMLP (cifar10-mlp, seed 1): " in printed
    (alone,) = re.findall("To run it alone: cifar-lab (.*)", printed)
    expected = ["run", "cifar10-mlp", "--seed", "1", "--epochs", "1", "--dataset", "synthetic"]
    assert shlex.split(alone) == [
        *expected,
        *("--device", "cpu", "--out", str(tmp_path), "--resume"),
    ]
    assert {path.parent.name for path in tmp_path.rglob("result.json")} == {"seed-0", "seed-2"}
    # What is finished is loaded, and skipped where that is asked for.
    damaged.unlink()
    assert main(words) == 0
    assert "2 runs finished before, loaded." in capsys.readouterr().out
    assert main([*words[:-1], "--skip-finished"]) == 0
    assert "cifar10-mlp (seed 2) is finished, skipped" in capsys.readouterr().out


@on_unix
@pytest.mark.slow
def test_ctrl_c_on_a_terminal_names_the_runs_and_the_command_that_resumes(tmp_path: Path) -> None:
    words = ["run", "cifar10-mlp", "--dataset", "synthetic", "--epochs", "40", "--device", "cpu"]
    words += ["--seeds", "0-2", "--jobs", "2", "--out", str(tmp_path / "a b")]
    status, text = press_ctrl_c(words, after=" 2/40 ", size=(30, 110))
    assert status == 130 and "Traceback" not in text, text
    message = text.rpartition("cifar-lab: Interrupted with ")[2]
    assert message.startswith("2 runs in progress:\n"), text
    assert re.search(r"  SimpleMLP \(cifar10-mlp, seed [01]\): after epoch \d+ of 40\n", message)
    assert re.search(r"Kept: [12] checkpoints?\.\nTo resume:\n", message)
    assert shlex.split(message.rstrip().rpartition("\n")[2]) == ["cifar-lab", *words, "--resume"]
    assert re.search(r"cifar10-mlp, seed 0 .* 1/40 .*% +about \d+", text), "bars with time left"
    assert "all runs" in text
