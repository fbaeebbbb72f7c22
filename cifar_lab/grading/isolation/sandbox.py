"""Running a student's code where it can do no harm: in a child process with limits.

    outcome = run_isolated(DRIVER, arguments={"seed": 0}, readable={"model": folder / "model.py"})
    if outcome.status == "ok":
        logits = outcome.arrays["logits"]

The *driver* is our own Python source; it runs in the child and calls the student's code. It does
`import child`, which offers

    child.arguments()              the JSON that was handed over as `arguments`
    child.array("images")          one of the numpy arrays that were handed over as `arrays`
    child.readable("model")        where a file or folder that was handed over lies (a `Path`)
    child.answer({...}, name=...)  the driver's answer: once, and last; JSON and numpy arrays

and may print. It starts in an empty work folder, with its own HOME. An exception in it, or an end
without an answer, makes the outcome "failed"; its text is the exception's.

**What is promised** wherever this runs: whatever the child does, `run_isolated` stops it after
`Limits.wall_seconds` of time that is its own (it computes, or it waits by its own doing), so after
little more than that on an idle machine. Time in which the machine is busy with other work does not
count: the load is no verdict on a student. A run to which it left too little for `Limits.patience`
times as long is stopped as "starved", about which the student is not to be told anything. Memory,
its work folder, processes and output are bounded; the answer is parsed as data (no pickles), and
what is malformed is a "bad answer"; nothing of the parent's environment is handed on. The student's
code shares its process with the driver and can forge the driver's answer: believe only what you
verify, and keep labels in the parent. There is no GPU.

With the level **"bubblewrap"** (Linux, the package of that name installed and permitted) the child
sees a file system with Python, its packages (of `cifar_lab`, not the grading), and what it was
handed, all read-only. It can write to memory alone. Elsewhere there is nothing: no datasets, no
home, no other submission. It has no network, sees no process but its own, and all of them end with
it. It shares the host's kernel: a hole in that is a hole in this wall.

With the level **"process"** the child may read and write whatever the user who grades may: labels
on this disk are not safe, and neither is the grading. It gets namespaces of its own for network and
processes, and a bounded /dev/shm, where the Linux kernel permits that to everybody; where it does
not, and on macOS, the network is open, and hostile code can kill the grader, leave a process
running, or fill /dev/shm and other folders of this user's. Grade work of
people you do not know with bubblewrap. On macOS memory and processes are looked at once a second,
and all time counts, however busy the machine is.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import site
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.grading.isolation import bubblewrap as bubblewrap
from cifar_lab.grading.isolation import cgroup as cgroup
from cifar_lab.grading.isolation import files as files
from cifar_lab.grading.isolation.child import THREADS_PER_PROCESS, TOKEN_BYTES
from cifar_lab.grading.isolation.outcome import Outcome, judge
from cifar_lab.grading.isolation.scratch import scratch_folder
from cifar_lab.grading.isolation.supervision import DEFAULT_LIMITS, SURPLUS, Limits, supervise

__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "Outcome",
    "isolation_level",
    "isolation_reason",
    "run_isolated",
]

NAMESPACES = True  # at the level "process": ask the kernel for them
MOST_READABLE_MIB = 2048  # at the level "process", where it is copied
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
PROBE = """
import child
from importlib.util import find_spec
assert find_spec("cifar_lab") and find_spec("numpy") and find_spec("torch")
child.answer({})
"""
NO_LINKS = (
    "{} is a link to another file. A submission was expected to contain its files themselves: put "
    "a copy of the file in its place."
)
MARK = "CIFAR_LAB_SANDBOX"  # an environment variable by which the processes of a run are known


def run_isolated(
    script: str,
    *,
    arguments: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray] = {},
    readable: Mapping[str, Path] = {},
    hidden: Sequence[Path] = (),
    left_out: Callable[[Path], bool] = files.never,
    limits: Limits = DEFAULT_LIMITS,
) -> Outcome:
    """Run a driver in a child process with limits.

    Args:
        script: Source of the driver; see above for what it can import.
        arguments: Arguments, anything that JSON can hold.
        arrays: Arrays of numbers or booleans, by name.
        readable: Files and folders that the child may read, by name. Links in them lead nowhere.
        hidden: Folders that bubblewrap must not show, wherever they are.
        left_out: Function that is asked for each path below a readable folder where that is copied,
            which is at the level "process"; where it is true, that and all below it is not there.
        limits: Limits at which the child is stopped.

    Returns:
        The outcome, whatever the child does.

    Raises:
        ValueError: The caller gave a name that can't be a file's, or a path that is not there.
        TypeError: The caller gave arguments that JSON can't hold.
        OSError: this machine's: no process can be started, no folder written, not Linux or macOS.
    """
    if os.name != "posix":
        raise OSError("Student's code can be isolated on Linux and macOS; grade there, or in WSL.")
    for name in (*arrays, *readable):
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} can't be a file's name; use letters, digits, _, - and dots")
    for name, path in readable.items():
        if path.is_symlink():
            return Outcome("failed", NO_LINKS.format(path.name))
        if not path.is_file() and not path.is_dir():
            raise ValueError(f"There is no file or folder {path} to be read as {name!r}.")
    started = time.monotonic()
    root = scratch_folder("cifar-lab-sandbox-")
    try:
        _lay_out(root, script, arguments, arrays)
        level = isolation_level()
        if level == "process":
            for name, path in readable.items():
                try:
                    files.copy(path, root / "readable" / name, MOST_READABLE_MIB, left_out)
                except OSError as error:
                    if error.errno == errno.ENOSPC:  # this machine's disk
                        raise
                    return Outcome("disk", f"The submission could not be copied: {error}.")
        outcome = _run(root, level, readable, limits, hidden)
    finally:
        files.remove(root)
    return replace(outcome, seconds=time.monotonic() - started)


def isolation_level() -> str:
    """Return how far a child is isolated on this machine: "bubblewrap" or "process"."""
    return "process" if isolation_reason() else "bubblewrap"


@cache
def isolation_reason() -> str:
    """Return why a child is not isolated by bubblewrap here (tried once); "" where it is."""
    if sys.platform != "linux":
        return "bubblewrap is for Linux alone"
    if bubblewrap.program() is None:
        return "bubblewrap is not installed"
    root = scratch_folder("cifar-lab-sandbox-")
    try:
        _lay_out(root, PROBE, {}, {})
        outcome = _run(root, "bubblewrap", {}, Limits(wall_seconds=60))
    except OSError as error:  # with the end of what bubblewrap said
        seen = str(error)
    else:
        if outcome.status == "ok":
            return ""
        seen = outcome.stderr.strip() or outcome.reason
    finally:
        files.remove(root)
    last_line = seen.strip().rpartition("\n")[2]
    return f"bubblewrap could not start: {last_line}"


def _lay_out(
    root: Path, script: str, arguments: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Put what the child reads into the sandbox's folder."""
    inputs = root / "inputs"
    for folder in (inputs, root / "readable", root / "work" / "home", root / "work" / "tmp"):
        folder.mkdir(parents=True)
    user, group = bubblewrap.USER_ID, bubblewrap.USER_ID
    (root / "passwd").write_text(f"student:x:{user}:{group}::{bubblewrap.WORK}/home:/bin/sh\n")
    for name in ("child", "enclosure"):
        source = Path(__file__).with_name(f"{name}.py")
        (inputs / f"{name}.py").write_bytes(source.read_bytes())
    (inputs / "driver.py").write_text(script, encoding="utf-8")
    (inputs / "arguments.json").write_text(json.dumps(dict(arguments)), encoding="utf-8")
    for name, values in arrays.items():
        np.save(inputs / f"{name}.npy", values, allow_pickle=False)


def _run(
    root: Path,
    level: str,
    readable: Mapping[str, Path],
    limits: Limits,
    hidden: Sequence[Path] = (),
) -> Outcome:
    """Run the driver that was laid out, and judge how it ended."""
    enclosed = level == "bubblewrap"
    settings = {
        "limits": asdict(limits),
        "enclosed": enclosed,
        "namespaces": NAMESPACES,
        "parent": os.getpid(),
    }
    (root / "inputs" / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    command = bubblewrap.command(root, readable, limits.file_mib, hidden) if enclosed else []
    inside = bubblewrap.INSIDE if enclosed else root
    command += [str(bubblewrap.interpreter()), "-B", str(inside / "inputs" / "child.py")]
    mark = secrets.token_hex(16)
    token = secrets.token_bytes(TOKEN_BYTES)
    group = cgroup.make(f"cifar-lab-{mark}", limits.processes * THREADS_PER_PROCESS + SURPLUS)
    try:
        ending = supervise(
            command if group is None else cgroup.within(group, command),
            _environment(inside, enclosed, mark),
            token=token,
            mark=f"{MARK}={mark}",
            work=None if enclosed else root / "work",
            limits=limits,
        )
    finally:
        if group is not None:
            cgroup.remove(group)
    return judge(ending, token, limits)


def _environment(inside: Path, enclosed: bool, mark: str) -> dict[str, str]:
    """Return all variables of the child: the same on every machine but for paths."""
    package = inside / "packages" if enclosed else bubblewrap.PACKAGE.parent
    variables = {
        "PATH": f"{bubblewrap.interpreter().parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(inside / "work" / "home"),
        "TMPDIR": str(inside / "work" / "tmp"),
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "CUDA_VISIBLE_DEVICES": "",
        "WANDB_MODE": "offline",  # there is no network: libraries shall not look for it
        "WANDB_SILENT": "true",
        "HF_HUB_OFFLINE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUSERBASE": site.getuserbase(),
        MARK: mark,
    }
    variables |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    if package.name not in ("site-packages", "dist-packages"):  # where it is found anyway
        variables["PYTHONPATH"] = str(package)
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    own = [path for path in libraries if path and Path(path).is_relative_to(sys.base_prefix)]
    if own:  # of a Python that was built to need it
        variables["LD_LIBRARY_PATH"] = ":".join(own)
    return variables
