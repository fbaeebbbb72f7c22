"""What student's code may try in the sandbox, and how each attempt ends."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cifar_lab.grading.isolation import bubblewrap as bubblewrap
from cifar_lab.grading.isolation import cgroup as cgroup
from cifar_lab.grading.isolation import sandbox
from cifar_lab.grading.isolation.answer import BadAnswerError, parse
from cifar_lab.grading.isolation.clock import OwnTime
from cifar_lab.grading.isolation.sandbox import Limits, Outcome, isolation_level, run_isolated
from cifar_lab.grading.isolation.watch import HAS_PROC, Process, are_running, descendants

# With patience for a machine that is busy with other tests.
SMALL = Limits(
    wall_seconds=20,
    cpu_seconds=20,
    memory_mib=300,
    file_mib=20,
    processes=20,
    output_kib=64,
    patience=30,
)
HURRIED = Limits(wall_seconds=0.6, memory_mib=300, file_mib=20, processes=20, patience=1000)
ANSWER = "import child; child.answer({'done': True})\n"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
Run = Callable[..., Outcome]


@pytest.fixture(params=["bubblewrap", "process", "bare"])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to isolate a child; "bare" is a kernel that permits no namespaces."""
    choose(request.param, monkeypatch)
    return request.param


@pytest.fixture
def best(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best way that there is, for behaviour that is the same in all."""
    choose(isolation_level(), monkeypatch)


@pytest.fixture
def walled(monkeypatch: pytest.MonkeyPatch) -> None:
    choose("bubblewrap", monkeypatch)


def choose(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if level == "bubblewrap" and isolation_level() != "bubblewrap":
        pytest.skip("bubblewrap is not installed, or not permitted on this machine")
    kind = "bubblewrap" if level == "bubblewrap" else "process"
    monkeypatch.setattr(sandbox, "isolation_level", lambda: kind)
    monkeypatch.setattr(sandbox, "NAMESPACES", level == "process")


def run(code: str, limits: Limits = SMALL, **given: object) -> Outcome:
    """Run it, and see that it ends with one of the known outcomes."""
    outcome = run_isolated(code, arguments={}, limits=limits, **given)  # type: ignore[arg-type]
    if outcome.status == "ok":
        assert outcome.reason == ""
    else:
        assert (outcome.answer, outcome.arrays) == (None, {})
        assert len(outcome.reason.split()) > 10
    return outcome


def processes_with(text: str) -> list[int]:
    """Processes of this machine with a text in their command line."""
    listing = subprocess.run(["ps", "-Ao", "pid=,args="], capture_output=True, text=True).stdout
    rows = [line.split(maxsplit=1) for line in listing.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 2 and text in row[1]]


# ---- honest code


def test_an_answer_comes_back_with_its_arrays(level, tmp_path):
    (tmp_path / "model.py").write_text("factor = 3")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "notes.txt").write_text("words")
    images = np.arange(12, dtype=np.float32).reshape(3, 4)
    code = (
        "import child, runpy\n"
        "factor = runpy.run_path(child.readable('model'))['factor']\n"
        "notes = (child.readable('more') / 'notes.txt').read_text()\n"
        "images = child.array('images')\n"
        "print('at work')\n"
        "child.answer({'seed': child.arguments()['seed'], 'notes': notes},\n"
        "             product=images * factor, columns=images.T, none=images[:0],\n"
        "             positive=images > 0, one=images.sum())\n"
    )
    outcome = run_isolated(
        code,
        arguments={"seed": 7},
        arrays={"images": images},
        readable={"model": tmp_path / "model.py", "more": tmp_path / "more"},
    )
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert outcome.answer == {"seed": 7, "notes": "words"}
    assert outcome.stdout == "at work\n"
    expected = {
        "product": images * 3,
        "columns": images.T,
        "none": images[:0],
        "positive": images > 0,
        "one": images.sum(),
    }
    assert set(outcome.arrays) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(outcome.arrays[name], values)
        assert outcome.arrays[name].dtype == values.dtype


def test_it_works_in_a_folder_of_its_own_and_an_unchanging_environment(level, monkeypatch):
    monkeypatch.setenv("COURSE_SECRET", "labels")
    code = (
        "import child, os, tempfile, pathlib, getpass\n"
        "pathlib.Path('result.txt').write_text('x'); pathlib.Path.home().joinpath('y').mkdir()\n"
        "child.answer({'variables': dict(os.environ), 'folder': os.getcwd(), 'temporary': "
        "tempfile.mkdtemp(), 'user': getpass.getuser(), 'hash': hash('text')})\n"
    )
    first, second = run(code).answer, run(code).answer
    assert first is not None and second is not None
    assert first["hash"] == second["hash"]
    assert first["user"] == "student"
    assert first["folder"] != str(Path.cwd())
    assert first["temporary"].startswith(first["folder"])
    variables = first["variables"]
    assert "labels" not in variables.values()
    assert {name: variables[name] for name in ("OMP_NUM_THREADS", "MPLBACKEND")} == {
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
    }
    for value in variables.values():
        assert str(Path.home()) not in value.replace(sys.prefix, "").replace(
            str(Path(sandbox.__file__).parents[3]), ""
        ).replace(variables["PYTHONUSERBASE"], "")


def test_a_package_folder_of_ones_own_beats_nothing_of_the_check(level, tmp_path):
    (tmp_path / "child.py").write_text("raise SystemExit('wrong child')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{ANSWER}"
    assert run(code).status == "ok"


@on_linux
def test_loopback_serves_notebook_kernels(level):
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname(), timeout=5)\n" + ANSWER
    )
    assert run(code).status == "ok"


def test_what_the_caller_got_wrong_is_an_error_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="no file or folder"):
        run(ANSWER, readable={"model": tmp_path / "missing.py"})
    with pytest.raises(ValueError, match="file's name"):
        run(ANSWER, arrays={"../images": np.zeros(1)})
    with pytest.raises(TypeError):
        run_isolated(ANSWER, arguments={"model": object()})


def test_a_sandbox_that_does_not_start_is_not_the_students_fault(level, monkeypatch):
    monkeypatch.setattr(sandbox.sys, "executable", "/bin/false")
    with pytest.raises(OSError, match="did not start"):
        run(ANSWER)


def test_a_students_child_py_does_not_meet_the_drivers_once_that_is_put_away(level, tmp_path):
    (tmp_path / "child.py").write_text("answer = 'of the student'")
    code = (
        "import child as kept, gc, sys\n"
        "del sys.modules['child']; gc.collect()\n"
        "sys.path.insert(0, str(kept.readable('student')))\n"
        "import child\n"
        "kept.answer({'seen': child.answer, 'given': kept.arguments()}, x=kept.array('x'))\n"
    )
    outcome = run(code, readable={"student": tmp_path}, arrays={"x": np.ones(2)})
    assert outcome.answer == {"seen": "of the student", "given": {}}
    assert outcome.arrays["x"].tolist() == [1, 1]


def test_libraries_do_not_look_for_a_network(level):
    names = ("WANDB_MODE", "WANDB_SILENT", "HF_HUB_OFFLINE")
    code = f"import child, os\nchild.answer({{name: os.environ[name] for name in {names}}})"
    assert run(code).answer == dict(zip(names, ("offline", "true", "1"), strict=True))


@on_linux
def test_a_python_called_by_a_path_with_dots_is_isolated_as_well(walled, tmp_path):
    python = Path(sys.executable)
    dotted = f"{python.parent}/../{python.parent.name}/{python.name}"
    relative = os.path.relpath(python.parent, tmp_path) + f"/{python.name}"
    code = (
        "from cifar_lab.grading.isolation.sandbox import *\n"
        f"outcome = run_isolated({ANSWER!r}, arguments={{}})\n"
        "print(outcome.status, isolation_level(), isolation_reason(), end='')\n"
    )
    for program in (dotted, relative):
        result = subprocess.run(
            [program, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert result.stdout == "ok bubblewrap ", result.stderr


@on_linux
def test_why_there_is_no_bubblewrap_is_told(tmp_path, monkeypatch):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho first >&2\necho bwrap: not permitted here >&2\nexit 1\n")
    broken.chmod(0o755)
    reason = sandbox.isolation_reason.__wrapped__  # the first one's is kept
    monkeypatch.setattr(sandbox, "isolation_reason", reason)
    for program, expected in (
        (None, "bubblewrap is not installed"),
        (str(broken), "bubblewrap could not start: bwrap: not permitted here"),
    ):
        monkeypatch.setattr(bubblewrap, "program", lambda program=program: program)
        assert reason() == expected
        assert sandbox.isolation_level() == "process"


# ---- ends before the check is through


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("def f():\n    return 1 / 0\n\nf()", "ZeroDivisionError: division by zero (at line 2"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("def f(: pass", "SyntaxError"),
        ("f = lambda: f()\nf()", "RecursionError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class E(Exception):\n    def __str__(self): raise E\nraise E", "E: <"),
        ("raise ValueError('x' * 10_000_000)", "xxx ..."),
        ("raise ValueError('\\ud800\\x1b[2J\\x00')", "ValueError"),
        ("import sys; sys.exit(0)", "sys.exit"),
        ("exit()", "sys.exit"),
        ("import os; os._exit(0)", "os._exit"),
        ("import os; os.closerange(0, 1000); os._exit(0)", "os._exit"),
        ("pass", "exit code 0"),
        ("import os; os.execv('/bin/true', ['true'])", "exit code 0"),
        (f"{ANSWER}raise ValueError('late')", "exit code 1"),
        (f"{ANSWER}import os; os._exit(3)", "exit code 3"),
        (f"{ANSWER}child.answer({{}})", "exit code 1"),
        ("import sys\nsys.stdout = sys.stderr = None\n1 / 0", "ZeroDivisionError"),
    ],
)
def test_code_that_fails_is_told_what_was_seen(best, code, seen):
    outcome = run(code)
    assert outcome.status == "failed"
    assert seen in outcome.reason
    assert len(outcome.reason) < 2000
    assert "\x1b" not in outcome.reason + outcome.stderr
    (outcome.reason + outcome.stderr).encode()


def test_a_traceback_begins_with_the_driver(level):
    outcome = run("def f():\n    return 1 / 0\n\nf()")
    assert outcome.stderr.count("File ") == 2
    assert outcome.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)", "os.abort()"])
def test_an_ending_is_never_ok_without_an_answer(level, ending):
    outcome = run(f"import os, sys\n{ending}")
    assert outcome.status in ("failed", "killed")


# ---- does not end


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import signal, time\n"
        "for each in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(each, signal.SIG_IGN)\n"
        "time.sleep(1000)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["busy", "deaf", "asleep"],
)
def test_code_without_end_is_stopped(level, code):
    outcome = run(code, HURRIED)
    assert outcome.status == "timeout"
    assert "0.6 s" in outcome.reason


WORK = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"


@pytest.fixture
def one_busy_processor() -> Iterator[None]:
    """This test and all that it starts share one processor with two processes without end."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs Linux: ties this test to one processor core")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    command = [sys.executable, "-c", code]  # it ends with this test, even if that is killed
    busy = [subprocess.Popen(command, start_new_session=True) for _ in range(2)]
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        for process in busy:
            process.kill()
            process.wait()


def test_time_that_the_machine_gives_to_others_does_not_count(level, one_busy_processor):
    outcome = run(WORK + ANSWER, Limits(wall_seconds=1.2, memory_mib=300, patience=1000))
    assert outcome.status == "ok"
    assert outcome.seconds > 1.2, "or this test shows nothing"


def test_code_without_end_is_stopped_on_a_busy_machine_too(best, one_busy_processor):
    assert run("while True: pass", HURRIED).status == "timeout"
    assert run("import time; time.sleep(1000)", HURRIED).status == "timeout"


def test_a_machine_that_leaves_it_too_little_is_blamed_itself(best, one_busy_processor):
    outcome = run("while True: pass", Limits(wall_seconds=2, memory_mib=300, patience=1))
    assert outcome.status == "starved"
    assert "machine was too busy" in outcome.reason
    assert "Grade again" in outcome.reason


def test_time_counts_as_it_is_used(monkeypatch):
    """Ten seconds between two looks, each way to spend them."""
    now = 0.0
    monkeypatch.setattr("cifar_lab.grading.isolation.clock.time.monotonic", lambda: now)

    def counted(*looks: list[Process]) -> float:
        nonlocal now
        clock = OwnTime(look_seconds=10)
        clock.restart(looks[0])
        for each in looks[1:]:
            now += 10
            clock.look(each)
        return clock.seconds

    def one(state: str, seconds: float, ended_seconds: float = 0, pid: int = 1) -> Process:
        return Process(pid, 0, 1, 0, 1, state, seconds, ended_seconds)

    assert counted([one("R", 5)], [one("R", 15)]) == 10, "it computes"
    assert counted([one("R", 5)], [one("R", 7)]) == 2, "it is given little"
    assert counted([one("S", 5)], [one("S", 5)]) == 10, "it sleeps"
    assert counted([one("R", 5)], [one("S", 7)]) == 10, "it may have slept"
    two = [one("R", 5), one("R", 5, pid=2)]
    assert counted(two, [one("R", 14), one("R", 14, pid=2)]) == 10, "two at once"
    assert counted(two, [one("R", 6), one("S", 7, pid=2)]) == 3, "one waits for the other"
    assert counted(two, [one("R", 6, ended_seconds=7)]) == 3, "one has ended"
    assert counted(two, [one("R", 6)]) == 10, "one has ended, and nobody was told how"
    assert counted([one("R", 5)], [one("R", 7)], [one("R", 8)]) == 3


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
def test_a_thread_that_computes_shows_although_the_first_one_waits():
    code = (
        "import threading\n"
        "def work():\n"
        "    while True: pass\n"
        "threading.Thread(target=work).start()\n"
    )
    waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    working = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_until(lambda: not are_running(descendants(waiting.pid)))
        wait_until(lambda: descendants(working.pid)[0].threads == 2)
        wait_until(lambda: descendants(working.pid)[0].state == "S")
        assert are_running(descendants(working.pid))
    finally:
        for process in (waiting, working):
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "code",
    [
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
        f"{ANSWER}while True: pass",
        "import sys\nassert sys.stdin.read() == ''\nwhile True: print('x' * 100_000)",
    ],
    ids=["in an exception", "after the answer", "talkative"],
)
def test_code_without_end_is_stopped_wherever_it_hangs(best, code):
    assert run(code, HURRIED).status == "timeout"


def test_processor_time_is_limited_as_well(level):
    outcome = run("while True: pass", Limits(wall_seconds=60, cpu_seconds=1, memory_mib=300))
    assert outcome.status == "timeout"
    assert "1 s of processor time" in outcome.reason


@pytest.mark.parametrize(
    "code",
    [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n",
        "import atexit, time\natexit.register(time.sleep, 1000)\n",
        "import os, time\nif os.fork() == 0: time.sleep(1000)\n",
    ],
)
def test_what_is_left_running_does_not_delay_an_answer(level, code):
    assert run(code + ANSWER).status == "ok"  # or else it would be a timeout


# ---- processes


@on_linux
@pytest.mark.parametrize(
    "target", ["os.getpid()", "os.getppid()", "-os.getpgid(0)", "-os.getpgid(os.getppid())", "-1"]
)
def test_killing_spares_the_grader(level, target):
    if level == "bare" and target in ("-1", "-os.getpgid(os.getppid())"):
        pytest.skip("not tried: without isolation this would kill your own programs")
    code = (
        "import os, signal, time\n"
        f"try: os.kill({target}, signal.SIGKILL)\n"
        "except ProcessLookupError: pass\n"
        "time.sleep(0.2)\n"
    )
    outcome = run(code + ANSWER)
    # Process 1 of a namespace ignores those within it; then the code goes on, and that is fine.
    assert outcome.status in ("killed", "ok")
    if target == "os.getpid()":
        assert outcome.status == "killed"
        assert "SIGKILL" in outcome.reason


def test_a_crash_of_native_code_is_called_by_its_name(level):
    outcome = run("import ctypes; ctypes.string_at(0)")
    assert outcome.status == "killed"
    assert "SIGSEGV" in outcome.reason


DAEMON = (
    "import os\n"
    "reading, writing = os.pipe()\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        os.write(writing, str(os.getpid()).encode())\n"
    "        os.execve('/bin/sleep', ['{name}', '600'], {env})\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "os.kill(int(os.read(reading, 20)), 0)  # it is there\n"
)
ENDINGS = {"ok": ANSWER, "timeout": "while True: pass", "killed": "os.kill(os.getpid(), 9)"}


@pytest.mark.parametrize("status", ENDINGS)
def test_a_daemon_does_not_outlive_the_run(level, status):
    name = f"daemon-{level}-{os.getpid()}-{time.time_ns()}"
    outcome = run(DAEMON.format(name=name, env="{}") + ENDINGS[status], HURRIED)
    assert outcome.status == status
    assert processes_with(name) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_daemon_does_not_outlive_the_process_that_would_end_it(level):
    name = f"daemon-{level}-{os.getpid()}-{time.time_ns()}"
    code = DAEMON.format(name=name, env="os.environ") + "os.kill(os.getppid(), 9)\n"
    run(code + "import time; time.sleep(0.2)", HURRIED)
    assert processes_with(name) == []


@on_linux
@pytest.mark.parametrize("most", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_fork_bomb_is_stopped(level, most):
    """It is bounded: should the sandbox fail, the machine stays usable."""
    name = f"bomb-{level}-{os.getpid()}-{time.time_ns()}"
    code = (
        "import ctypes, os, time\n"
        f"ctypes.CDLL(None).prctl(15, b'{name[:15]}', 0, 0, 0)\n"
        f"for _ in range({most}):\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(30); os._exit(0)\n"
        "time.sleep(30)\n"
    )
    outcome = run(code)
    if most > 128 and outcome.status == "failed":  # refused more by the system, before the count
        assert "BlockingIOError" in outcome.stderr
    else:
        assert outcome.status == "killed"
        assert "20 processes" in outcome.reason
    assert processes_with(name[:15]) == []


@on_linux
def test_a_fork_bomb_of_generations_is_stopped(level):
    """Each process starts two and ends, eight generations deep: 511 at most."""
    code = (
        "import os, time\n"
        "depth = 0\n"
        "while depth < 8:\n"
        "    if os.fork() and os.fork():\n"
        "        break\n"
        "    depth += 1\n"
        "time.sleep(20 if depth == 8 else 0.2)\n"
        "while True: time.sleep(1)\n"
    )
    outcome = run(code)
    assert outcome.status == "killed"


@on_linux
def test_threads_are_counted_too(level):
    code = (
        "import threading, time\n"
        "threading.stack_size(65536)\n"
        "for _ in range(400): threading.Thread(target=time.sleep, args=(30,)).start()\n"
        "time.sleep(30)"
    )
    outcome = run(code)
    assert outcome.status in ("killed", "failed")
    assert "threads" in outcome.reason or "thread" in outcome.reason


# ---- memory and disk


@pytest.mark.parametrize(
    "code",
    [
        "kept = bytearray(3_000_000_000)",
        "kept = [bytearray(b'x' * 10_000_000) for _ in range(100)]",
        pytest.param(
            "import mmap\nkept = [mmap.mmap(-1, 10**7) for _ in range(100)]\n"
            "for each in kept: each.write(b'x' * 10**7)",
            marks=on_linux,
        ),
    ],
    ids=["at once", "in pieces", "shared"],
)
def test_a_memory_bomb_is_stopped(level, code):
    outcome = run(f"{code}\nimport time; time.sleep(30)")
    assert outcome.status == "memory"
    assert "300 MiB" in outcome.reason


@on_linux
def test_a_memory_bomb_of_several_processes_is_stopped(level):
    code = (
        "import os, time\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        kept = os.urandom(80_000_000); time.sleep(30)\n"
        "time.sleep(30)"
    )
    assert run(code).status == "memory"


@on_linux
def test_memory_that_processes_share_counts_once(level):
    code = (
        "import os, time\n"
        "kept = os.urandom(150_000_000)\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0: time.sleep(0.4); os._exit(0)\n"
        "for _ in range(4): os.wait()\n"
    )
    assert run(code + ANSWER).status == "ok"


WRITE = "with open('{}', 'wb') as file:\n        for _ in range({}): file.write(bytes(10**6))\n"


@pytest.mark.parametrize(
    "code",
    [
        "if True:\n    " + WRITE.format("large", 30),
        "for number in range(30):\n    "
        + WRITE.format("{number}", 1).replace("'{number}'", "str(number)"),
        "import os\nfor number in range(200):\n    os.makedirs(f'a/{number}')\n    "
        + WRITE.format("{number}", 1).replace("'{number}'", "f'a/{number}/file'"),
        "for number in range(1500): open(str(number), 'w').close()\n",
        "import tempfile\nkept = [tempfile.TemporaryFile() for _ in range(30)]\n"
        "for file in kept: file.write(bytes(10**6)); file.flush()\n",
        pytest.param(
            "import os\nkept = [os.memfd_create(str(number)) for number in range(30)]\n"
            "for file in kept: os.write(file, bytes(10**6))\n",
            marks=on_linux,
        ),
    ],
    ids=["one file", "many files", "folders", "empty files", "deleted files", "memfd"],
)
def test_a_disk_filler_is_stopped(level, code, monkeypatch):
    monkeypatch.setattr("cifar_lab.grading.isolation.files.MOST_FILES", 1000)
    outcome = run(f"{code}\nimport time; time.sleep(30)")
    assert outcome.status == "disk"
    assert "20 MiB" in outcome.reason


@pytest.mark.parametrize("depth", [150, pytest.param(2500, marks=pytest.mark.slow)])
def test_a_folder_that_is_deeper_than_any_path_is_removed(level, tmp_path, monkeypatch, depth):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os\n"
        f"for _ in range({depth}):\n"
        "    os.mkdir('d' * 50); os.chdir('d' * 50)\n"
        "open('file', 'w').close(); os.chmod('.', 0)\n"
    )
    assert run(code + ANSWER).status in ("ok", "disk")
    wait_until(lambda: list(tmp_path.iterdir()) == [])


# ---- output and answers


def test_a_gigabyte_of_output_is_drained_and_its_end_kept(level):
    code = (
        "import os\n"
        "for _ in range(1000):\n"
        "    for descriptor in (1, 2):\n"
        "        rest = memoryview(b'x' * 500_000)\n"
        "        while rest: rest = rest[os.write(descriptor, rest):]\n"
        "print('the end')\n"
    )
    outcome = run(code + ANSWER)
    assert outcome.status == "ok"
    assert outcome.stdout.endswith("xxxthe end\n")
    assert len(outcome.stdout) <= 64 * 1024
    assert len(outcome.stderr) <= 64 * 1024


@pytest.mark.parametrize("closing", ["os.close(1); os.close(2)", "sys.stdout.close()"])
def test_closed_output_does_not_matter(level, closing):
    assert run(f"import os, sys\n{closing}\n{ANSWER}").status == "ok"


def test_output_is_fit_for_terminals_and_xml(level):
    printed = r"b'\x1b[31mred\x1b[0m \x00\x07 \xff caf\xc3\xa9\r\nnext\n'"
    code = f"import os; os.write(1, {printed})\n"
    outcome = run(code + ANSWER)
    assert outcome.stdout == "red  \ufffd café\nnext\n"


TOKEN = b"T" * 32


def message(report: bytes, rest: bytes = b"") -> bytes:
    """What a child sends, as documented: the token, a length, JSON and arrays."""
    return TOKEN + len(report).to_bytes(8, "big") + report + rest


def with_array(content: bytes, size: int | None = None) -> bytes:
    listed = [["x", len(content) if size is None else size]]
    return message(json.dumps({"status": "ok", "answer": {}, "arrays": listed}).encode(), content)


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def claim(descr: str, shape: str) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}"


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{}]), allow_pickle=True)
    return file.getvalue()


def test_a_well_formed_answer_is_read():
    file = io.BytesIO()
    np.save(file, np.array([1.5, 2.5]))
    report = parse(with_array(file.getvalue()), TOKEN)
    assert report is not None
    assert report.answer == {}
    assert report.arrays["x"].tolist() == [1.5, 2.5]
    assert parse(b"", TOKEN) is None


@pytest.mark.parametrize(
    "content",
    [
        b"ok",
        b"{}" * 100,
        TOKEN,
        TOKEN + b"\xff" * 8 + b"x",
        TOKEN + (9).to_bytes(8, "big") + b"short",
        message(b"not json"),
        message(b"\xff\xfe"),
        message(b"[" * 200_000),
        message(b"[]"),
        message(b"null"),
        message(b"{}"),
        message(b'{"status": "ok"}'),
        message(b'{"status": "ok", "answer": [], "arrays": []}'),
        message(b'{"status": "ok", "answer": {}, "arrays": 3}'),
        message(b'{"status": "ok", "answer": {}, "arrays": [["x", -1]]}'),
        message(b'{"status": "ok", "answer": {"x": "\\ud800"}, "arrays": []}'),
        message(b'{"status": "ok", "answer": {}, "arrays": []}', b"more"),
        message(b'{"status": "failed", "kind": [], "error": {}, "where": 1}'),
        with_array(b""),
        with_array(b"x", size=10**15),
        with_array(b"PK" + bytes(100)),
        with_array(npy(claim("<f8", "(1000000000000,)"))),
        with_array(npy(claim("<f8", "(-1, -1)"), bytes(8))),
        with_array(npy(claim("<f8", "(True,)"), bytes(8))[:-1]),
        with_array(npy(claim("<f8", "(2,)"), bytes(8))),
        with_array(npy(claim("|O", "(1,)"), bytes(8))),
        with_array(npy(claim("|V0", "(1,)"))),
        with_array(npy("(" * 5000)),
        with_array(pickled()),
    ],
)
def test_a_malformed_answer_is_told_from_a_good_one(content):
    with pytest.raises(BadAnswerError):
        parse(content, TOKEN)


SEND = "import child, os\nfd, token = child._line['fd'], child._line['token']\n"


@pytest.mark.parametrize("sent", ["b'ok'", "token", "token + bytes([0] * 7 + [3]) + b'[]]'"])
def test_a_malformed_answer_is_a_bad_answer(best, sent):
    outcome = run(f"{SEND}os.write(fd, {sent}); os._exit(0)")
    assert outcome.status == "bad answer"
    assert outcome.reason.startswith("The answer ")


@pytest.mark.parametrize("ending", ["", "import time; time.sleep(1000)"])
def test_an_answer_without_end_is_a_bad_answer(level, ending):
    limits = Limits(wall_seconds=20, answer_mib=2, memory_mib=300)
    code = f"{SEND}for _ in range(50): os.write(fd, bytes(100_000))\n{ending}"
    outcome = run(code, limits)
    assert outcome.status == "bad answer"
    assert "2 MiB" in outcome.reason


def test_files_that_are_left_behind_are_no_answer(level, tmp_path):
    (tmp_path / "secret").write_text("labels")
    code = (
        "import os\n"
        f"os.symlink({str(tmp_path / 'secret')!r}, 'answer.json')\n"
        "os.mkfifo('fifo'); os.mkdir('answer'); open('answer.npy', 'wb').write(b'x')\n"
    )
    assert run(code).status == "failed"
    assert run(code + ANSWER).answer == {"done": True}
    assert (tmp_path / "secret").read_text() == "labels"


# ---- what is out of reach


def outside(code: str) -> str:
    """Try something, and answer what came of it."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    return (
        f"import child, os, socket, pathlib\nseen = None\ntry:\n{body}"
        "except OSError as error:\n    seen = type(error).__name__\nchild.answer({'seen': seen})\n"
    )


def seen_by(code: str, **given: object) -> object:
    outcome = run(outside(code), **given)  # type: ignore[arg-type]
    assert outcome.answer is not None, outcome
    return outcome.answer["seen"]


def test_files_outside_are_not_there(walled, tmp_path):
    (tmp_path / "labels").write_text("3, 1, 4")
    path = str(tmp_path / "labels")
    assert seen_by(f"seen = open({path!r}).read()") == "FileNotFoundError"
    assert seen_by(f"open({str(tmp_path / 'new')!r}, 'w').write('x')") == "FileNotFoundError"
    assert not (tmp_path / "new").exists()
    home = str(Path.home())
    visible = seen_by(f"seen = [str(p) for p in pathlib.Path({home!r}).rglob('*.txt')][:5]")
    assert visible in ("FileNotFoundError", []) or all(
        str(each).startswith((sys.prefix, sys.base_prefix))
        for each in visible  # type: ignore[attr-defined]
    )


def test_only_the_work_folder_can_be_written_to(walled, tmp_path):
    (tmp_path / "model.py").write_text("pass")
    given = {"readable": {"model": tmp_path / "model.py"}}
    assert seen_by("child.readable('model').write_text('x')", **given) == "OSError"
    for place in (
        "'/new'",
        "'/usr/new'",
        "'/etc/new'",
        "'/dev/new'",
        "'/sandbox/new'",
        "'/sandbox/inputs/new'",
        "'/sandbox/packages/cifar_lab/new'",
        "os.__file__",
        "pathlib.__file__ + 'x'",
    ):
        assert seen_by(f"open({place}, 'a').write('x')") in ("OSError", "PermissionError"), place
    assert (tmp_path / "model.py").read_text() == "pass"


def test_the_package_is_there_without_its_grader(walled):
    code = (
        "import child, importlib.util, os, sys\n"
        "package = importlib.util.find_spec('cifar_lab').submodule_search_locations[0]\n"
        "found = [os.path.join(folder, name) for top in {*sys.path, package, '/sandbox'}\n"
        "         for folder, _, names in os.walk(top) for name in names\n"
        "         if name in ('supervision.py', 'test_sandbox.py')]\n"
        "child.answer({'found': found, 'files': sorted(os.listdir(package)),\n"
        "              'grader': os.listdir(os.path.join(package, 'grading'))})\n"
    )
    outcome = run(code)
    assert outcome.answer is not None
    assert "evaluation" in outcome.answer["files"]
    assert outcome.answer["grader"] == []
    assert outcome.answer["found"] == []


def test_datasets_inside_a_folder_that_is_shown_are_hidden(walled, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    for place in (tmp_path, tmp_path / "data"):
        (place / "labels").write_text("3, 1, 4")
    shown = [*bubblewrap.python_folders(), tmp_path]
    monkeypatch.setattr(bubblewrap, "python_folders", lambda: shown)
    monkeypatch.setenv("CIFAR_LAB_DATA", str(tmp_path / "data"))
    assert seen_by(f"seen = open('{tmp_path}/labels').read()") == "3, 1, 4"
    assert seen_by(f"seen = open('{tmp_path}/data/labels').read()") == "FileNotFoundError"


def test_a_checkout_inside_a_folder_that_is_shown_is_hidden(walled, monkeypatch):
    checkout = bubblewrap.PACKAGE.parent
    if Path(sys.prefix).is_relative_to(checkout) or checkout.name == "site-packages":
        pytest.skip("checked only where the checkout is not in the same folder as Python")
    shown = [*bubblewrap.python_folders(), checkout]
    monkeypatch.setattr(bubblewrap, "python_folders", lambda: shown)
    assert seen_by(f"seen = os.listdir({str(checkout)!r})") in ([], "FileNotFoundError")
    code = "from importlib.util import find_spec\nassert find_spec('cifar_lab')\n"
    assert run(code + ANSWER).status == "ok"


def test_the_host_cannot_be_reached_over_the_network(walled):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address, timeout=5).close()  # from outside it can
        seen = seen_by(f"socket.create_connection({address!r}, timeout=5); seen = 'connected'")
    assert seen == "ConnectionRefusedError"
    assert seen_by("socket.create_connection(('192.0.2.1', 80), timeout=5)") == "OSError"


@on_linux
def test_namespaces_close_the_network_without_bubblewrap_too(monkeypatch):
    choose("process", monkeypatch)
    if run("import os\n1 / (os.getppid() == 1)\n" + ANSWER).status != "ok":
        pytest.skip("only root makes network namespaces here; bubblewrap's tests cover it")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        seen = seen_by(f"socket.create_connection({address!r}, timeout=5); seen = 'connected'")
    assert seen == "ConnectionRefusedError"


@on_linux
@pytest.mark.parametrize("kind", ["bubblewrap", "process"])
def test_shared_memory_is_bounded_and_ends_with_the_run(kind, monkeypatch):
    choose(kind, monkeypatch)
    if run("import os\n1 / (os.getppid() in (0, 1))\n" + ANSWER).status != "ok":
        pytest.skip("only root makes namespaces here; bubblewrap's tests cover it")
    place = f"/dev/shm/cifar-lab-test-{os.getpid()}"
    left = f"with open({place!r}, 'wb') as file: file.write(bytes(10**6))\n"
    assert run(left + ANSWER).status == "ok"
    filled = (
        f"with open({place!r}, 'wb') as file:\n    for _ in range(40): file.write(bytes(10**6))"
    )
    assert run(filled).status == "disk"
    assert not Path(place).exists()


def test_processes_of_the_host_are_not_seen(walled):
    seen = seen_by("seen = [int(name) for name in os.listdir('/proc') if name.isdigit()]")
    assert isinstance(seen, list)
    assert os.getpid() not in seen or os.getpid() < 5
    assert len(seen) <= 3


def test_a_submission_that_is_a_link_is_refused(level, tmp_path):
    (tmp_path / "labels").write_text("3, 1, 4")
    (tmp_path / "weights.pt").symlink_to(tmp_path / "labels")
    outcome = run(ANSWER, readable={"weights": tmp_path / "weights.pt"})
    assert outcome.status == "failed"
    assert "weights.pt is a link" in outcome.reason


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_odd_files_in_a_submission_do_no_harm(level, tmp_path):
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "notebook.ipynb").write_text("{}")
    (folder / "endless").symlink_to(folder)
    (folder / "device").symlink_to("/dev/zero")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    code = "import child\nassert (child.readable('all') / 'notebook.ipynb').read_text() == '{}'\n"
    assert run(code + ANSWER, readable={"all": folder}).status == "ok"


def test_a_submission_that_is_too_large_to_copy_is_refused(monkeypatch, tmp_path):
    choose("process", monkeypatch)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**13)
    outcome = run(ANSWER, readable={"sparse": tmp_path / "sparse"})
    assert outcome.status == "disk"
    assert "2048 MiB" in outcome.reason


def test_what_is_no_file_of_a_submission_is_neither_copied_nor_counted(monkeypatch, tmp_path):
    choose("process", monkeypatch)
    for name in ("model.py", ".git/objects/large", "data/.venv/bin/python", "data/kept.txt"):
        path = tmp_path / "submission" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    with (tmp_path / "submission/.git/objects/large").open("wb") as file:
        file.truncate(10**13)
    asked = []

    def left_out(path: Path) -> bool:
        asked.append(path.name)
        return path.name.startswith(".")

    code = (
        "import child\n"
        "folder = child.readable('all')\n"
        "child.answer({'files': sorted(str(p.relative_to(folder)) for p in folder.rglob('*'))})\n"
    )
    outcome = run(code, readable={"all": tmp_path / "submission"}, left_out=left_out)
    assert outcome.answer == {"files": ["data", "data/kept.txt", "model.py"]}
    assert "objects" not in asked, "what is left out is not walked"


# ---- the parent


def children_of_this_process() -> set[str]:
    """Zombies among them; those that other tests keep are there before and after."""
    tasks = Path("/proc/self/task")
    return {pid for path in tasks.glob("*/children") for pid in path.read_text().split()}


def state_of_this_process() -> dict[str, object]:
    return {
        "folder": Path.cwd(),
        "variables": dict(os.environ),
        "handlers": {each: signal.getsignal(each) for each in signal.Signals},
        "descriptors": len(list(Path("/dev/fd").iterdir())),
        "threads": threading.active_count(),
        "children": children_of_this_process(),
        "limits": Path("/proc/self/limits").read_text() if sys.platform == "linux" else None,
    }


def test_a_control_group_bounds_what_root_may_start():
    group = cgroup.make(f"cifar-lab-test-{time.time_ns()}", 4)
    if group is None:
        pytest.skip("needs root: makes a control group that limits processes")
    try:
        script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 > /dev/null 2>&1 & done; wait"
        command = cgroup.within(group, ["/bin/sh", "-c", script])
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "fork" in result.stderr
    finally:
        wait_until(lambda: cgroup.remove(group) or not group.exists())  # the sleeping ones end


@pytest.mark.parametrize("code", [ANSWER, "while True: pass"])
def test_the_parent_is_as_it_was(level, code, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = state_of_this_process()
    run(code, HURRIED)
    assert state_of_this_process() == before
    assert list(tmp_path.iterdir()) == []


@on_linux
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGKILL])
def test_nothing_goes_on_when_the_grader_is_stopped(level, which, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    name = f"left-{level}-{time.time_ns()}"
    code = f"import os; os.execv('/bin/sleep', ['{name}', '600'])"

    def grade() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
        run(code)

    grader = multiprocessing.get_context("fork").Process(target=grade)
    grader.start()
    try:
        wait_until(lambda: processes_with(name) != [])
        assert grader.pid is not None
        os.kill(grader.pid, which)
        grader.join(300)
    finally:
        grader.kill()
    wait_until(lambda: processes_with(name) == [])
    if which == signal.SIGINT:
        assert grader.exitcode == 1
        assert list(tmp_path.iterdir()) == []


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_runs_side_by_side_do_not_meet(level):
    outcomes: dict[int, Outcome] = {}

    def one(number: int) -> None:
        hostile = "import os; os.kill(0, 9)" if number % 2 else ""
        code = f"import child, time\ntime.sleep(0.3)\n{hostile}\nchild.answer({{'is': {number}}})"
        outcomes[number] = run(code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcomes[number].status for number in range(4)] == ["ok", "killed", "ok", "killed"]
    assert outcomes[2].answer == {"is": 2}
