"""Tasks spread over real workers, which die, join and end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_tasks
import pytest
from dask_processes import Cluster, cluster

from cifar_lab.cluster.connection import connected, usable_workers
from cifar_lab.cluster.spreading import (
    NoWorkersError,
    SchedulerLostError,
    WorkerLostError,
    spread,
)

pytest.importorskip("distributed")
PATH = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", PATH)
        with cluster(tmp_path_factory.mktemp("two")) as made:
            yield made


class Ends:
    """What came of each task."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.errors: dict[str, BaseException] = {}
        self.lost: list[str] = []

    def spread(self, client: Any, function: Any, tasks: Any, **options: Any) -> None:
        spread(
            client,
            function,
            tasks,
            workers=list(usable_workers(client)[0]),
            on_result=self.results.__setitem__,
            on_failure=self.errors.__setitem__,
            on_lost=lambda name, worker: self.lost.append(name),
            **options,
        )


def until(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def test_every_task_is_done_once_and_both_workers_share_them(two: Cluster) -> None:
    ends = Ends()
    with connected(two.address) as client:
        usable, refused = usable_workers(client)
        assert len(usable) == 2 and refused == {}
        assert all(each.same_processor and each.threads == 1 for each in usable.values())
        ends.spread(client, dask_tasks.square, {str(n): (n,) for n in range(20)})
        worked = client.sync(client.scheduler.has_what)
    assert ends.results == {str(n): n * n for n in range(20)} and not ends.errors
    assert sum(map(len, worked.values())) <= 2, "the results that were handed over are forgotten"


def test_an_exception_of_the_function_is_final_and_stops_nothing(two: Cluster) -> None:
    ends = Ends()
    with connected(two.address) as client:
        ends.spread(client, dask_tasks.refuse, {"a": (1,), "b": (2,)})
    assert {name: str(error) for name, error in ends.errors.items()} == {
        "a": "1 is refused",
        "b": "2 is refused",
    }
    assert not ends.lost and not ends.results


def test_after_an_interruption_the_workers_learn_that_nobody_waits(
    two: Cluster, tmp_path: Path
) -> None:
    def interrupt() -> None:
        until(tmp_path / "begun-0")
        until(tmp_path / "begun-1")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with connected(two.address) as client:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            tasks = {str(n): (str(tmp_path), n) for n in range(3)}
            Ends().spread(client, dask_tasks.wait_until_unwanted, tasks)
        until(tmp_path / "ended-0")
        until(tmp_path / "ended-1")
        assert not (tmp_path / "begun-2").exists()
    thread.join()


def test_a_worker_that_does_not_answer_as_wanted_is_refused_by_the_callers_question(
    two: Cluster,
) -> None:
    with connected(two.address) as client:
        usable, refused = usable_workers(client, refuse=str)
        assert usable == {} and list(refused.values()) == ["", ""]


@pytest.mark.slow
def test_a_dead_workers_task_is_tried_on_another_and_at_last_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", PATH)
    with cluster(tmp_path, workers=3, threads=2) as made, connected(made.address) as client:
        ends = Ends()
        tasks = {"once": (str(tmp_path / "once"), 1), "never": (str(tmp_path / "never"), 0)}
        ends.spread(client, dask_tasks.kill_own_worker, tasks)
        assert ends.results == {"once": "after 1", "never": "after 0"} and not ends.errors
        assert "once" in ends.lost
        ends = Ends()
        tasks = {"always": (str(tmp_path / "always"), 9), "never": (str(tmp_path / "never"), 0)}
        ends.spread(client, dask_tasks.kill_own_worker, tasks, attempts=2)
        assert isinstance(ends.errors["always"], WorkerLostError)
        assert "2 times in all" in str(ends.errors["always"])


@pytest.mark.slow
def test_a_worker_that_joins_is_used_and_without_any_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", PATH)
    with cluster(tmp_path, workers=0) as made, connected(made.address) as client:
        with pytest.raises(NoWorkersError, match="2 seconds"):
            Ends().spread(client, dask_tasks.square, {"a": (1,)}, patience=2)
        made.start_worker("late")
        ends = Ends()
        ends.spread(client, dask_tasks.square, {"a": (3,)})
        assert ends.results == {"a": 9}


@pytest.mark.slow
def test_the_schedulers_death_is_an_error_within_half_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", PATH)
    with cluster(tmp_path, workers=1) as made, connected(made.address) as client:

        def kill() -> None:
            until(tmp_path / "go-begun")
            made.processes[0].send_signal(signal.SIGKILL)
            died.append(time.monotonic())

        died: list[float] = []
        thread = threading.Thread(target=kill)
        thread.start()
        ends = Ends()
        with pytest.raises(SchedulerLostError, match="same command"):
            ends.spread(client, dask_tasks.wait_for, {"a": (str(tmp_path / "go"),)})
        assert time.monotonic() - died[0] < 30
        thread.join()
    assert "Traceback" not in capfd.readouterr().err
