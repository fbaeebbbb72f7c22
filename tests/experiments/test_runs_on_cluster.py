"""Many runs on a real Dask cluster on loopback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from dask_processes import cluster
from runs_compared import all_facts, facts
from tiny_network import FAILS, TINY, waits

from cifar_lab.cluster.spreading import NoWorkersError, SchedulerLostError
from cifar_lab.data.datasets import load
from cifar_lab.experiments.results import load_result
from cifar_lab.experiments.run import run
from cifar_lab.experiments.run_many import RunsFailedError, run_many

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals"),
]


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def runs_on_this_machine(out: Path) -> list[int]:
    """Return the processes of runs whose worker got this folder as its working directory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if b"one_run" in words and (folder / "cwd").resolve() == out:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_ten_runs_on_two_workers_are_those_of_one_after_the_other_to_the_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, data = tmp_path / "many", load("synthetic")
    with cluster(tmp_path / "dask") as made:
        results = run_many(TINY, seeds=range(10), scheduler=made.address, out=out, device="cpu")
    printed = capsys.readouterr().out
    assert [result.seed for result in results] == list(range(10))
    assert "Workers: 2, with room for 2 runs at a time." in printed
    assert "Not shared" not in printed
    assert re.search(r"tiny, seed 9: epoch   1   train loss", printed)
    assert "[10/10] tiny, seed " in printed
    for seed in range(10):
        run(TINY, seed=seed, data=data, out=tmp_path / "alone", device="cpu", progress=False)
    assert all_facts(out) == all_facts(tmp_path / "alone")
    assert not [path for path in out.iterdir() if path.name != "tiny"], "the mark is removed"


def test_a_killed_workers_run_resumes_on_another_to_the_same_bits_and_failures_stop_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker, out = tmp_path / "go", tmp_path / "many"
    experiment = waits(marker)
    with cluster(tmp_path / "dask", workers=1) as made:

        def kill() -> None:
            until((tmp_path / "go-reached").exists)
            until(lambda: len(runs_on_this_machine(made.folder)) == 1)
            made.processes[1].send_signal(signal.SIGKILL)
            until(lambda: not runs_on_this_machine(made.folder), 30)
            assert (out / "waits" / "seed-0" / "checkpoint.pt").exists()
            marker.touch()
            made.start_worker("another")

        killer = in_thread(kill)
        with pytest.raises(RunsFailedError, match="this network has no layers") as caught:
            experiments = [experiment, FAILS, TINY]
            run_many(experiments, scheduler=made.address, out=out, device="cpu")
        killer.join()
    assert [result.experiment for result in caught.value.results] == ["waits", "tiny"]
    printed = capsys.readouterr().out
    assert "it is tried again" in printed
    # The checkpoint has two of three epochs: they are trained once.
    assert printed.count("waits, seed 0: epoch   1 ") == 1
    assert printed.count("waits, seed 0: epoch   3 ") == 1
    alone = tmp_path / "alone"
    run(experiment, data=load("synthetic"), out=alone, device="cpu", progress=False)
    assert facts(out / "waits" / "seed-0") == facts(alone / "waits" / "seed-0")


def test_the_schedulers_death_is_told_within_half_a_minute_and_the_call_goes_on(
    tmp_path: Path,
) -> None:
    marker, out, died = tmp_path / "go", tmp_path / "many", []
    longer = replace(TINY, recipe=TINY.recipe.with_epochs(4))  # so it begins first
    experiments = [longer, waits(marker)]
    with cluster(tmp_path / "dask", workers=1) as made:

        def kill() -> None:
            until((tmp_path / "go-reached").exists)
            made.processes[0].send_signal(signal.SIGKILL)
            died.append(time.monotonic())

        killer = in_thread(kill)
        with pytest.raises(SchedulerLostError, match="Finished work is kept"):
            run_many(experiments, scheduler=made.address, out=out, device="cpu", progress=False)
        assert time.monotonic() - died[0] < 30
        killer.join()
        assert load_result(out / "tiny" / "seed-0").seed == 0
        # The worker ends the run, which nobody waits for.
        until(lambda: not runs_on_this_machine(made.folder), 60)
    before = (out / "tiny" / "seed-0" / "result.json").stat().st_mtime_ns
    marker.touch()
    with cluster(tmp_path / "dask-2") as made:
        results = run_many(
            experiments, scheduler=made.address, out=out, device="cpu", resume=True, progress=False
        )
    assert [result.experiment for result in results] == ["tiny", "waits"]
    assert (out / "tiny" / "seed-0" / "result.json").stat().st_mtime_ns == before


def test_an_interruption_ends_the_runs_on_the_workers(tmp_path: Path) -> None:
    with cluster(tmp_path / "dask", workers=1) as made:

        def interrupt() -> None:
            until((tmp_path / "go-reached").exists)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        interrupter = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_many(
                waits(tmp_path / "go"), scheduler=made.address, out=tmp_path / "out", device="cpu"
            )
        interrupter.join()
        until(lambda: not runs_on_this_machine(made.folder), 30)
        assert made.processes[1].poll() is None, "the worker goes on"


def test_where_the_folder_is_not_shared_the_files_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        pytest.skip("needs bubblewrap, to hide the folder from the worker")
    out = tmp_path / "many"
    out.mkdir()
    hidden = (bubblewrap, "--dev-bind", "/", "/", "--tmpfs", str(out), "--die-with-parent")
    with cluster(tmp_path / "dask", workers=0) as made:
        made.start_worker("elsewhere", before=hidden)
        made.wait_for(1)
        run_many(TINY, seeds=range(2), scheduler=made.address, out=out, device="cpu")
        printed = capsys.readouterr().out
        assert "Not shared with " in printed and "seed-1" in printed
        kept = out / "tiny" / "seed-0"
        assert {path.name for path in kept.iterdir()} == {
            "result.json",
            "weights.pt",
            "checkpoint.pt",
        }
        # An interrupted run is done again from the start, in its folder.
        (kept / "result.json").unlink()
        run_many(TINY, seeds=range(2), scheduler=made.address, out=out, device="cpu", resume=True)
    data = load("synthetic")
    for seed in range(2):
        run(TINY, seed=seed, data=data, out=tmp_path / "alone", device="cpu", progress=False)
    assert all_facts(out) == all_facts(tmp_path / "alone")
    assert list(out.iterdir()) == [out / "tiny"]
    assert not list((made.folder / "scratch").rglob("result.json")), "the worker keeps none"


def test_without_a_usable_worker_the_error_names_each_and_its_reason(tmp_path: Path) -> None:
    torch = tmp_path / "torch" / "torch-1.2.3.dist-info"
    torch.mkdir(parents=True)
    (torch / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.2.3\n")
    with cluster(tmp_path / "dask", workers=0) as made:
        with pytest.raises(NoWorkersError, match=f"dask worker {made.address}"):
            run_many(TINY, scheduler=made.address, out=tmp_path / "out")
        made.start_worker("old", environment={"PYTHONPATH": str(tmp_path / "torch")})
        made.wait_for(1)
        with pytest.raises(NoWorkersError, match=r"tcp://127\.0\.0\.1:\d+: it has torch 1\.2\.3"):
            run_many(TINY, scheduler=made.address, out=tmp_path / "out")


def test_a_worker_opens_no_port_beyond_loopback(tmp_path: Path) -> None:
    """Ours is the client, which opens none; the test's scheduler and worker listen on 127.0.0.1."""
    with cluster(tmp_path / "dask", workers=1) as made:
        assert made.address.startswith("tcp://127.0.0.1:")
        before = listening()
        run_many(TINY, scheduler=made.address, out=tmp_path / "out", progress=False, device="cpu")
        assert listening() <= before


def listening() -> set[str]:
    """Return the sockets of this process that listen on TCP."""
    own = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                found.add(fields[1])
    return found
