"""Many runs side by side on this machine, each in a process of its own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from runs_compared import all_facts, facts
from tiny_network import FAILS, TINY, waits

from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import Data
from cifar_lab.experiments.catalog import EXPERIMENTS, Experiment
from cifar_lab.experiments.many_runs import _longest_first
from cifar_lab.experiments.pickled import pickled
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.run import run
from cifar_lab.experiments.run_many import RunsFailedError, run_many
from cifar_lab.experiments.run_process import Job, thread_settings
from cifar_lab.experiments.runs_here import visible_gpus
from cifar_lab.experiments.runs_view import RunsView

on_unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def synthetic() -> Data:
    return load("synthetic")


def until(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def children(parent: int) -> list[int]:
    """Return the processes that a process has started and that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(") ")
        except OSError:
            continue
        state, up = rest.split()[:2]
        if int(up) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


def test_a_run_in_a_process_of_its_own_is_the_same_to_the_bit_and_a_failing_one_stops_nothing(
    tmp_path: Path, synthetic: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    random = torch.get_rng_state()
    with pytest.raises(RunsFailedError, match="1 run of 2 failed") as caught:
        run_many([FAILS, TINY], jobs=2, out=tmp_path / "many", device="cpu")
    assert torch.equal(random, torch.get_rng_state())
    error = str(caught.value.failures["fails", 0])
    assert error.startswith("ValueError: this network has no layers\nTraceback")
    assert "lab.run('fails', seed=0" in str(caught.value)
    (result,) = caught.value.results
    assert (result.experiment, result.seed, bool(result.model)) == ("tiny", 0, False)
    printed = capsys.readouterr().out
    assert "tiny, seed 0: epoch   1   train loss" in printed
    assert "fails, seed 0: failed: " in printed
    run(TINY, data=synthetic, out=tmp_path / "alone", device="cpu", progress=False)
    assert all_facts(tmp_path / "many") == all_facts(tmp_path / "alone")


@pytest.mark.slow
def test_runs_side_by_side_come_in_the_order_asked_and_finished_ones_are_loaded(
    tmp_path: Path, synthetic: Data
) -> None:
    out = tmp_path / "many"
    other = Experiment("other", "synthetic", "mlp", TINY.recipe, "Other", validation_fraction=0.1)
    asked = {"seeds": (3, 1), "jobs": 2, "out": out, "device": "cpu", "progress": False}
    results = run_many([TINY, other], **asked)  # type: ignore[arg-type]
    order = [("tiny", 3), ("tiny", 1), ("other", 3), ("other", 1)]
    assert [(result.experiment, result.seed) for result in results] == order
    for experiment in (TINY, other):
        for seed in (3, 1):
            alone = tmp_path / "alone"
            run(experiment, seed=seed, data=synthetic, out=alone, device="cpu", progress=False)
    assert all_facts(out) == all_facts(tmp_path / "alone")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(FileExistsError, match="resume=True"):
        run_many([TINY, other], **asked)  # type: ignore[arg-type]
    again = run_many([TINY, other], **asked, resume=True)  # type: ignore[arg-type]
    assert [result.folder for result in again] == [result.folder for result in results]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@on_unix
@pytest.mark.slow
def test_an_interrupted_call_ends_its_processes_and_resumes_to_the_same_bits(
    tmp_path: Path, synthetic: Data
) -> None:
    marker = tmp_path / "go"
    experiment, out = waits(marker), tmp_path / "many"

    def interrupt() -> None:
        until(tmp_path / "go-reached")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_many(experiment, jobs=2, out=out, device="cpu", progress=False)
    thread.join()
    assert not children(os.getpid())
    folder = out / "waits" / "seed-0"
    assert (folder / "checkpoint.pt").exists() and not (folder / "result.json").exists()
    marker.touch()
    run_many(experiment, out=out, device="cpu", progress=False, resume=True)
    run(experiment, data=synthetic, out=tmp_path / "alone", device="cpu", progress=False)
    assert facts(folder) == facts(tmp_path / "alone" / "waits" / "seed-0")


@on_unix
@pytest.mark.slow
def test_a_run_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from cifar_lab.experiments.run_many import run_many
from tiny_network import waits
run_many(waits(Path({str(tmp_path / "go")!r})), out={str(tmp_path / "out")!r}, device="cpu")
"""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    until(tmp_path / "go-reached")
    (child,) = children(parent.pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@on_unix
@pytest.mark.slow
def test_a_killed_run_is_named_as_such_and_the_other_is_finished(tmp_path: Path) -> None:
    def kill() -> None:
        until(tmp_path / "go-reached")
        for child in children(os.getpid()):
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"one_run" in words:
                os.kill(child, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(RunsFailedError) as caught:
        experiments = [waits(tmp_path / "go"), TINY]
        run_many(experiments, jobs=1, out=tmp_path / "out", device="cpu", progress=False)
    thread.join()
    assert "killed by signal 9 (too little memory?)" in str(caught.value)
    assert [result.experiment for result in caught.value.results] == ["tiny"]


@pytest.mark.slow
def test_a_network_of_the_script_itself_goes_as_code(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    script = tmp_path / "study.py"
    script.write_text(
        "import cifar_lab as lab\n"
        "from cifar_lab.experiments.run_many import run_many\n"
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(3072, 10))\n"
        "recipe = lab.Recipe(epochs=1, batch_size=1000, optimizer='adam', learning_rate=1e-3)\n"
        "mine = lab.Experiment('mine', 'synthetic', Net, recipe, 'Mine')\n"
        "print(run_many(mine, seeds=range(2), jobs=2, device='cpu'))\n"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "mine" / "seed-1" / "result.json").exists()


def test_without_cloudpickle_the_error_says_where_to_put_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    mine = Experiment("mine", "synthetic", lambda: torch.nn.Flatten(), TINY.recipe, "Mine")
    with pytest.raises(TypeError, match=r"%%writefile my_net\.py.*pip install cloudpickle"):
        pickled(mine)
    assert pickle.loads(pickled(TINY)) == TINY


@pytest.mark.slow
def test_a_file_that_the_other_machine_lacks_goes_along(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    content = tmp_path / "content"
    content.write_bytes(pickled(TINY, elsewhere=True))
    code = (
        "import pickle, sys\n"
        f"experiment = pickle.loads(open({str(content)!r}, 'rb').read())\n"
        "print(experiment.name, experiment.model(), 'tiny_network' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("tiny Sequential(") and done.stdout.rstrip().endswith("False")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs is 0"),
        ({"jobs": 2, "scheduler": "tcp://127.0.0.1:9"}, "Give one of the two"),
        ({"backup": ".", "scheduler": "tcp://127.0.0.1:9"}, "does not go with a scheduler"),
        ({"resume": True, "again": True}, "give one"),
        ({"seeds": (1, 2, 1)}, "two runs of 'tiny' with seed 1"),
        ({"backup": "no-such-folder"}, "No folder for backups at no-such-folder"),
        ({"device": "gpu"}, "Device 'gpu' can't be used"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_started(
    options: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_lab.experiments.run_process._start", None)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run_many(TINY, out=tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_taken_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_result: type[Result]
) -> None:
    monkeypatch.setattr("cifar_lab.experiments.run_process._start", None)
    make_result().save(tmp_path / "tiny" / "seed-1" / "result.json")
    with pytest.raises(FileExistsError, match=r"tiny/seed-1 already\. .*--resume"):
        run_many(TINY, seeds=range(2), out=tmp_path)


def test_no_runs_are_no_results(tmp_path: Path) -> None:
    assert run_many([], out=tmp_path / "out") == []


def test_a_job_is_the_same_after_its_way_to_the_process() -> None:
    job = Job("tiny", 3, b"\x00\xffx", "out", resume=True, root="a b")
    assert job.to_line().count(b"\n") == 1 and Job.from_line(job.to_line()) == job


def test_the_longest_runs_begin_first() -> None:
    """By their operations: 22.5 and 0.185 TFLOPs; those of `fails` can not be counted."""
    chosen = [EXPERIMENTS[name] for name in ("cifar10-mlp", "cifar10-resnet-wide")]
    runs = [(each, seed) for seed in (1, 0) for each in [*chosen, FAILS]]
    assert [(each.name, seed) for each, seed in _longest_first(runs)] == [
        (name, seed) for name in ("cifar10-resnet-wide", "cifar10-mlp", "fails") for seed in (1, 0)
    ]


def test_each_job_gets_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert thread_settings(2) == {}, "the caller's own setting holds"
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("cifar_lab.experiments.run_process.available_cores", lambda: 7.5)
    assert thread_settings(2) == {"OMP_NUM_THREADS": "3"}
    assert thread_settings(9) == {"OMP_NUM_THREADS": "1"}


def test_gpus_are_those_that_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7f")
    assert visible_gpus() == ["3", "GPU-7f"]


def test_without_a_terminal_each_epoch_is_a_line_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([100.0, 160.0])
    monkeypatch.setattr("cifar_lab.experiments.runs_view.time.monotonic", lambda: next(clock))
    view = RunsView(2)
    view.event("tiny, seed 0", {"event": "begin", "epochs": 3})
    for epoch in (1, 2):
        facts = {"epoch": epoch, "epochs": 3, "accuracy": 5.0, "seconds": 20.0}
        view.event("tiny, seed 0", {"event": "epoch", **facts, "text": f"epoch   {epoch}"})
    view.end("tiny, seed 0", "test accuracy 9.00 %")
    view.close()
    assert capsys.readouterr().out.splitlines() == [
        "tiny, seed 0: begins, 3 epochs",
        "tiny, seed 0: epoch   1   about 40 seconds left",
        "tiny, seed 0: epoch   2   about 1 minute left",
        "[1/2] tiny, seed 0: test accuracy 9.00 %",
    ]


def test_on_a_terminal_runs_that_have_no_room_get_no_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cifar_lab.experiments.runs_view._lines", lambda stream: 4)
    view = RunsView(3)
    for seed in range(3):
        view.event(f"tiny, seed {seed}", {"event": "begin", "epochs": 3})
    facts = {"event": "epoch", "epochs": 3, "accuracy": 5.0, "seconds": 20.0, "text": "a line"}
    view.event("tiny, seed 2", {**facts, "epoch": 1})
    view.end("tiny, seed 0", "done")
    view.event("tiny, seed 1", {**facts, "epoch": 2})
    view.close()
    printed = capsys.readouterr()
    assert "tiny, seed 1 " in printed.err and "2/3" in printed.err and "5.00 %" in printed.err
    assert "tiny, seed 2" not in printed.err and "a line" not in printed.out + printed.err
    assert "[1/3] tiny, seed 0: done" in printed.err
