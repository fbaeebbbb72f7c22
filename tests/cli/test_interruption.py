"""Ctrl-C in the commands: what they say, and what they leave."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
from pathlib import Path

import pytest
from cli_terminal import press_ctrl_c

from cifar_lab.cli.interruption import command_line, signals_held, terminating_interrupts
from cifar_lab.cli.main import main
from cifar_lab.data.image_set import Data
from cifar_lab.training.progress import Progress

Captured = pytest.CaptureFixture[str]
on_unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch, data: Data) -> None:
    monkeypatch.setattr("cifar_lab.data.datasets.load", lambda name, root=None: data)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, seed: int, epoch: int) -> None:
    """Let Ctrl-C come when this epoch of this seed is done and saved."""
    from cifar_lab.experiments import run as module

    whole = module.run

    def run(*given: object, **options: object) -> object:
        def callback(progress: Progress) -> None:
            if (options["seed"], progress.record.epoch) == (seed, epoch):
                raise KeyboardInterrupt

        if epoch == 0 and options["seed"] == seed:
            raise KeyboardInterrupt
        return whole(*given, **{**options, "callback": callback})  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run", run)


def interrupted(capsys: Captured, *words: str) -> tuple[str, list[str]]:
    """Run a command that is interrupted; return what it says and the command that it offers."""
    capsys.readouterr()
    assert main(words) == 130
    error = capsys.readouterr().err.rpartition("cifar-lab: Interrupted ")[2]
    *text, _, command = error.rstrip().split("\n")
    return "\n".join(text), shlex.split(command)


@pytest.mark.usefixtures("_small")
def test_an_interrupted_run_says_what_is_kept_and_its_command_resumes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    words = ["run", "cifar10-mlp", "--device", "cpu", "--out", str(tmp_path / "a b")]
    words += ["--seeds", "0-1"]
    with monkeypatch.context() as patched:
        interrupt_at(patched, seed=1, epoch=2)
        text, command = interrupted(capsys, *words)
    folder = tmp_path / "a b" / "cifar10-mlp" / "seed-1"
    # A callback comes after the epoch's checkpoint.
    assert text.startswith("after epoch 2 of 3 of SimpleMLP (cifar10-mlp, seed 1). ")
    assert text.endswith(f"Kept: the checkpoint in {folder} and 1 finished run.")
    assert command == ["cifar-lab", *words, "--resume"]
    assert main(command[1:]) == 0
    printed = capsys.readouterr().out
    assert "epoch   3" in printed and "epoch   2" not in printed
    assert (folder / "result.json").exists()


@pytest.mark.usefixtures("_small")
def test_a_run_that_trains_from_scratch_again_is_resumed_without_that_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    words = ["run", "cifar10-mlp", "--device", "cpu", "--out", str(tmp_path)]
    assert main(words) == 0
    with monkeypatch.context() as patched:
        interrupt_at(patched, seed=0, epoch=1)
        text, command = interrupted(capsys, *words, "--again")
    assert "after epoch 1 of 3" in text and str(tmp_path / "cifar10-mlp" / "seed-0-2") in text
    assert command == ["cifar-lab", *words, "--resume"]
    assert main(command[1:]) == 0
    assert (tmp_path / "cifar10-mlp" / "seed-0-2" / "result.json").exists()


@pytest.mark.usefixtures("_small")
def test_before_an_epoch_is_done_nothing_is_claimed_to_be_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    words = ["run", "cifar10-mlp", "--device", "cpu", "--out", str(tmp_path)]
    with monkeypatch.context() as patched:
        interrupt_at(patched, seed=0, epoch=0)
        text, command = interrupted(capsys, *words)
    assert text.startswith("before the first epoch of SimpleMLP")
    assert "Nothing of it is saved yet" in text and command == ["cifar-lab", *words]
    assert main(words) == 0
    with monkeypatch.context() as patched:
        interrupt_at(patched, seed=0, epoch=0)
        text, command = interrupted(capsys, *words, "--again")
    assert "Nothing of it is saved yet" in text, "the run of before is another one"
    assert command == ["cifar-lab", *words, "--again"]


def test_an_interrupted_grading_names_its_folder_and_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def grade_class(*given: object, **options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("cifar_lab.grading.sessions.grade_class.grade_class", grade_class)
    words = ["grade", "class", "--assignment", "b"]
    assert main(words) == 130
    error = capsys.readouterr().err
    assert "kept in grades-b" in error
    assert error.endswith(f"  cifar-lab {shlex.join(words)}\n")


@pytest.mark.parametrize("command", [["list"], ["doctor"], ["bench"]])
def test_any_command_that_is_interrupted_says_so(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def execute(options: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    name = {"list": "listing"}.get(command[0], command[0])
    monkeypatch.setattr(f"cifar_lab.cli.{name}.execute", execute)
    assert main(command) == 130
    assert capsys.readouterr().err == "\ncifar-lab: Interrupted.\n"


@on_unix
@pytest.mark.slow
def test_ctrl_c_on_a_terminal_ends_a_run_without_a_traceback(tmp_path: Path) -> None:
    words = ["run", "cifar10-mlp", "--dataset", "synthetic", "--epochs", "50", "--device", "cpu"]
    status, text = press_ctrl_c([*words, "--out", str(tmp_path)], after="epoch   2 ")
    assert status == 130 and "Traceback" not in text, text
    folder = tmp_path / "cifar10-mlp" / "seed-0"
    assert f"the checkpoint in {folder}." in text and (folder / "checkpoint.pt").exists()
    assert text.rstrip().endswith("--resume")


def test_a_command_is_written_as_a_shell_takes_it() -> None:
    options = argparse.Namespace(arguments=["run", "x", "--out", "my runs", "--again"])
    text = command_line(options, without=("--again",), also=("--resume",))
    assert text == "cifar-lab run x --out 'my runs' --resume"
    options = argparse.Namespace(arguments=["run", "x", "--resume"])
    assert command_line(options, also=("--resume",)) == "cifar-lab run x --resume"


@on_unix
def test_signals_that_are_held_do_nothing_and_then_work_again() -> None:
    with signals_held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@on_unix
def test_the_signal_to_terminate_interrupts_for_a_while() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminating_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
