"""Workers, schedulers and submissions that die in the middle of a class, and a larger class."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dask_processes import Cluster, cluster
from handed_in.correct import CORRECT
from handed_in.making import code, notebook
from handed_in.mutants import MUTANTS

from cifar_lab.cli.main import main
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import read_grade
from cifar_lab.grading.sessions.keeping import GRADER_ERROR_FILE

pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ALL = {name: mutant.make for name, mutant in MUTANTS.items()} | {
    name: make for name, (_, make) in CORRECT.items()
}
VARIED = (
    "an unpacked archive with a wrapped model's weights",
    "a notebook that is a pipe",
    "a hostile pickle as weights",
    "SIGKILL to its parent",
    "reading labels from disk",
)


def arguments(class_: Path, *more: object) -> list[str]:
    given = ["grade", class_, "--assignment", "a", "--dataset", "synthetic", *more]
    return list(map(str, given if "--out" in more else [*given, "--out", class_.parent / "out"]))


@pytest.fixture
def class_(tmp_path: Path) -> Path:
    """Four submissions that take seconds, most of which they sleep."""
    cells = [code("import time\ntime.sleep(6)"), code("accuracy = 0")]
    for name in ("anna", "bert", "carl", "dora"):
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / "notebook.ipynb").write_text(json.dumps(notebook(cells)))
    return tmp_path / "class"


def sent(made: Cluster, pattern: str = "*") -> Iterator[tuple[str, Path]]:
    """The names of the workers that grade now, each with a file of what they grade."""
    for log in made.folder.glob("worker-*.log"):
        for folder in re.findall(r"Local Directory: +(\S+)", log.read_text(errors="replace")):
            for file in Path(folder).glob(f"cifar-lab-*/submission/{pattern}"):
                yield log.stem, file


def finished(class_: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (class_.parent / "out").glob("*/grade.json")}


class Watch:
    """Does something in a thread as soon as something is so, as often as that comes true."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(look,))

    def _watch(self, look: Callable[[], bool]) -> None:
        while not look() and not self._over.wait(0.05):
            pass

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def table(out: Path) -> dict[str, dict[str, str]]:
    """The rows of the class's table, by submission, without how long it took."""
    text = (out / "grades.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    return {row["submission"]: row | {"grading minutes": ""} for row in rows}


def statuses(out: Path) -> dict[str, str]:
    return {name: row["status"] for name, row in table(out).items()}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def processes_with(text: str) -> list[str]:
    """The command lines of processes that name a path."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in found if text in line]


@pytest.mark.skipif(isolation_level() != "bubblewrap", reason="no bubblewrap here")
def test_a_worker_that_is_killed_in_the_middle_loses_nothing_and_leaves_nothing(
    class_: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with cluster(tmp_path / "cluster") as made:

        def kill() -> bool:
            for name, file in sent(made):
                if name == "worker-0" and processes_with(str(file.parents[2])):
                    made.processes[1].send_signal(signal.SIGKILL)  # its sandbox runs already
                    made.start_worker("worker-2")
                    return True
            return False

        with Watch(kill):
            assert main(arguments(class_, "--scheduler", made.address)) == 0
        said = capsys.readouterr()
        assert made.processes[1].poll() == -signal.SIGKILL
        assert said.out.count("has gone") == 1 and "is tried once more" in said.out
        assert "4 of 4 have a grade" in said.out and said.err == ""
        assert set(statuses(tmp_path / "out").values()) == {"graded"}
        made.wait_for(2)
        scratch = made.folder / "scratch"
        assert not list(scratch.glob("*/worker-*/cifar-lab*")), "the dead worker's files are gone"
        assert not [one for one in processes_with(str(scratch)) if "dask worker" not in one]


def test_one_that_ends_every_worker_is_tried_twice_and_the_others_are_graded(
    class_: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (class_ / "carl" / "deadly.txt").write_text("")
    killed: set[str] = set()
    with cluster(tmp_path / "cluster", workers=3) as made:

        def kill() -> bool:
            for name, _ in sent(made, "deadly.txt"):
                if name not in killed:
                    killed.add(name)
                    number = int(name.rpartition("-")[2])
                    made.processes[1 + number].send_signal(signal.SIGKILL)
            return False

        with Watch(kill):
            assert main(arguments(class_, "--scheduler", made.address)) == 3
    assert len(killed) == 2
    assert "carl: GRADER ERROR, no grade" in capsys.readouterr().out
    found = statuses(tmp_path / "out")
    assert found.pop("carl") == "grader error"
    assert set(found.values()) == {"graded"}
    error = (tmp_path / "out" / "carl" / GRADER_ERROR_FILE).read_text()
    assert "2 times in all" in error


def test_the_schedulers_death_keeps_what_is_finished_and_the_same_command_resumes(
    class_: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    died: list[float] = []
    with cluster(tmp_path / "first") as made:

        def kill() -> bool:
            if finished(class_):
                made.processes[0].send_signal(signal.SIGKILL)
                died.append(time.monotonic())
            return bool(died)

        with Watch(kill):
            assert main(arguments(class_, "--scheduler", made.address)) == 1
        assert time.monotonic() - died[0] < 30
    said = capsys.readouterr()
    assert "The Dask scheduler has gone" in said.err and "the same command" in said.err
    assert "Traceback" not in said.err
    kept = finished(class_)
    assert 1 <= len(kept) < 4
    with cluster(tmp_path / "second", workers=0) as made:
        made.start_worker("worker-0")
        assert main(arguments(class_, "--scheduler", made.address)) == 0
    assert capsys.readouterr().out.count("unchanged") == len(kept)
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert set(statuses(tmp_path / "out").values()) == {"graded"}


def test_an_interruption_keeps_what_is_finished_and_the_same_command_resumes(
    class_: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> bool:
        if finished(class_):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return True
        return False

    with cluster(tmp_path / "cluster") as made:
        with Watch(interrupt):
            assert main(arguments(class_, "--scheduler", made.address)) == 130
        said = capsys.readouterr()
        assert "The grades that were finished are kept" in said.err
        assert f"--scheduler {made.address}" in said.err
        kept = finished(class_)
        assert 1 <= len(kept) < 4
        assert main(arguments(class_, "--scheduler", made.address)) == 0
        assert capsys.readouterr().out.count("unchanged") == len(kept)


def test_varied_submissions_have_the_grades_and_the_table_of_one_machine(tmp_path: Path) -> None:
    class_ = tmp_path / "class"
    for name in VARIED:
        ALL[name]().write(class_ / name)
    with cluster(tmp_path / "cluster") as made:
        spread = arguments(class_, "--out", tmp_path / "dask", "--scheduler", made.address)
        assert main(spread) == 0
        assert not list(made.folder.glob("scratch/*/worker-*/cifar-lab*"))
    assert main(arguments(class_, "--out", tmp_path / "xdist", "--jobs", 2)) == 0
    for name in VARIED:
        dask, xdist = (read_grade(tmp_path / out / name) for out in ("dask", "xdist"))
        assert dask is not None and xdist is not None
        assert replace(dask, seconds=0) == replace(xdist, seconds=0)
        assert names_in(tmp_path / "dask" / name) == names_in(tmp_path / "xdist" / name)
    assert table(tmp_path / "dask") == table(tmp_path / "xdist")
