"""A notebook's cells: what a failure says of itself, and what is run behind it."""

from __future__ import annotations

import os
import socket
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from cifar_lab.grading.sandboxed import platforms
from cifar_lab.grading.sandboxed.cells import Cells
from cifar_lab.grading.sandboxed.failures import describe
from cifar_lab.grading.sandboxed.seen import CELL_MARK


class Shell:
    """Runs cells as IPython does, and notes the values that they leave in `seen`."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.names: dict[str, Any] = {"seen": self.seen}

    def transform_cell(self, source: str) -> str:
        return source

    def run_cell(self, source: str, *, store_history: bool) -> Any:
        import linecache

        name = f"<ipython-input-{len(self.seen)}-{id(source)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        error = None
        try:
            exec(compile(source, name, "exec"), self.names)  # noqa: S102 (our own text)
        except BaseException as caught:
            error = caught
        return SimpleNamespace(error_before_exec=None, error_in_exec=error)


def run(*sources: str, go_on: bool = True, seconds: float = 60) -> tuple[Shell, Cells]:
    shell = Shell()
    cells = [{"source": source, "may_fail": source.startswith("# may")} for source in sources]
    found = Cells(shell, cells, lambda: {"seen": shell.seen}, seconds)
    found.run(go_on=go_on)
    return shell, found


def test_cells_behind_one_that_failed_are_run_and_told_apart() -> None:
    shell, cells = run("seen.append(1)", "seen.append(2)\nnone\nseen.append(3)", "seen.append(4)")
    assert shell.seen == [1, 2, 4]
    failures = cells.failures()
    assert failures["error"]["cell"] == 2 and failures["error"]["line"] == 2
    assert failures["error"]["cells"] == 3
    assert failures["watch_before"] == {"seen": [1, 2]}
    assert failures["later_errors"] == []
    _, cells = run("none", "none", "seen.append(none)")
    assert cells.failures()["later_errors"] == [2, 3]


def test_where_asked_the_first_failure_is_the_end() -> None:
    shell, cells = run("seen.append(1)", "none", "seen.append(4)", go_on=False)
    assert shell.seen == [1]
    assert cells.error is not None and cells.error["kind"] == "NameError"


def test_nothing_failed_where_a_cell_may_fail() -> None:
    shell, cells = run("# may fail\nnone", "seen.append(1)")
    assert shell.seen == [1]
    assert cells.failures() == {"error": None, "later_errors": []}


def test_the_rest_of_a_cell_is_run_behind_an_import_that_fails() -> None:
    imports = "import os\nimport nobody_s\nfrom nobody_s import (\n    x,\n)\nimport sys"
    shell, cells = run(f"{imports}\nseen.append(sys)", "seen.append(os)")
    assert shell.seen == [sys, os]
    assert cells.error is not None and cells.error["line"] == 2
    shell, _ = run("import nobody_s\nnone\nseen.append(1)")
    assert shell.seen == []


@pytest.mark.parametrize("how", ["raise MemoryError", "import os\nraise OSError(28, 'full')"])
def test_where_memory_or_space_is_used_up_nothing_more_is_run(how: str) -> None:
    assert run(how, "seen.append(1)")[0].seen == []


def test_a_cell_ends_when_the_time_of_all_is_used_up() -> None:
    started = time.process_time()
    busy = "while True:\n    try:\n        sum(range(1000))\n    except Exception:\n        pass"
    shell, cells = run("seen.append(1)", busy, "seen.append(2)", seconds=0.4)
    assert time.process_time() - started < 5
    assert shell.seen == [1]
    assert cells.error is not None
    assert (cells.error["cell"], cells.error["time"]) == (2, True)
    run("sum(range(10**6))")  # and no alarm is left


def test_each_cell_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    run("seen.append(1)", "import sys\nsys.stderr = None", "seen.append(2)")
    assert capsys.readouterr().err.splitlines() == [f"{CELL_MARK} {number}" for number in (1, 2, 3)]


def failure(source: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    shell = Shell()
    shell.names |= names or {}
    error = shell.run_cell(source, store_history=True).error_in_exec
    return describe(error, source, 1, 1)


def test_a_failure_tells_by_whom_it_was_raised_and_why() -> None:
    own = failure("def f():\n    raise OSError(101, 'Network is unreachable')\nf()")
    assert not (own["in_library"] or own["in_python"] or own["network"])
    of_python = failure("import json\njson.loads('x')")
    assert of_python["in_python"] and not of_python["in_library"]
    of_library = failure("import torch\ntorch.nn.Linear(2, 2)(torch.ones(3))")
    assert of_library["in_library"] and not of_library["in_python"]


def test_the_network_is_seen_through_other_errors() -> None:
    def ask() -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    source = "try:\n    ask()\nexcept OSError as error:\n    raise ValueError('x') from error"
    wrapped = failure(source, {"ask": ask})
    assert wrapped["network"] and wrapped["causes"][0].startswith("gaierror: ")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    assert failure(f"import socket\nsocket.create_connection({address!r})")["network"]


def test_other_reasons_are_seen_where_they_arise() -> None:
    assert failure("import os\nos.environ['NOBODY_S_KEY']")["environment"]
    assert not failure("{}['NOBODY_S_KEY']")["environment"]
    assert failure("import subprocess\nsubprocess.run(['nobody-s-program'])")["program"]
    assert not failure("open('nobody-s-program')")["program"]
    assert failure("import subprocess\nsubprocess.run(['false'], check=True)")["command"]


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError('\\ud800')",
        "class E(Exception):\n    def __str__(self):\n        raise KeyError\nraise E",
        "class E(Exception):\n    def __eq__(self, other):\n        raise E\nraise E() from E()",
        "a = ValueError(1)\nb = ValueError(2)\na.__cause__, b.__cause__ = b, a\nraise a",
        "raise type('x' * 10_000, (Exception,), {})('y' * 10_000)",
        "x = '" + "z" * 100_000 + "'\nraise ValueError(x)",
        "def f(n):\n    return f(n + 1)\nf(0)",
    ],
)
def test_any_failure_can_be_described(source: str) -> None:
    described = failure(source)
    assert str(described).encode("utf-8")
    assert len(str(described)) < 20_000


def test_questions_are_counted() -> None:
    before = platforms.questions()
    platforms.QUESTIONS.append("How many?")
    assert platforms.questions() == before + 1
    platforms.QUESTIONS.pop()
