"""The child's side of `run_isolated`: what a driver imports as `child`.

This file is copied into the sandbox and run there; it needs the standard library
alone (and numpy where arrays are handed over). It limits itself, then runs the driver, and sees to
it that the driver's end, whatever it is, is told from an end that the student's code brought about.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import runpy
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOKEN_BYTES = 32
MIB = 2**20
THREADS_PER_PROCESS = 4  # on the average over all processes
CPU_GRACE_SECONDS = 2  # from the signal SIGXCPU, which names the cause, to SIGKILL
# However many processes there are, the parent gets its turn to look at them; at 19 this one would
# get next to nothing besides other work.
NICENESS = 10
# Memory that Python and torch map but don't use: 730 MiB after `import torch`, more with threads.
UNUSED_MAPPINGS_MIB = 2048

_line: dict[str, Any] = {"fd": -1, "token": b""}  # to the parent, until the one answer is given


def arguments() -> dict[str, Any]:
    """Return what the caller handed over as `arguments`."""
    return json.loads((ROOT / "inputs" / "arguments.json").read_text(encoding="utf-8"))


def array(name: str) -> Any:
    """Return one of the arrays that the caller handed over, as a `numpy.ndarray`."""
    import numpy as np  # only drivers that use arrays wait for it

    return np.load(ROOT / "inputs" / f"{name}.npy", allow_pickle=False)


def readable(name: str) -> Path:
    """Return where a file or folder of the caller's lies; it is not to be written to."""
    return ROOT / "readable" / name


def answer(content: dict[str, Any], **arrays: Any) -> None:
    """Give the driver's answer: once, and last.

    Args:
        content: Answer, anything that JSON can hold.
        arrays: Numpy arrays of numbers or booleans.

    Raises:
        RuntimeError: an answer was given before.
    """
    packed = {}
    if arrays:
        import numpy as np

        for name, values in arrays.items():
            file = io.BytesIO()
            np.save(file, values, allow_pickle=False)
            packed[name] = file.getvalue()
    _tell({"status": "ok", "answer": content}, packed)


def _tell(report: dict[str, Any], packed: dict[str, bytes] | None = None) -> None:
    """Send the token, the length of a JSON report (8 bytes), the report and the arrays."""
    fd, token = _line["fd"], _line["token"]
    if not token:
        raise RuntimeError("The answer was given before; a driver gives one.")
    packed = packed or {}
    report["arrays"] = [[name, len(content)] for name, content in packed.items()]
    text = json.dumps(report).encode()
    _line["token"] = b""
    for part in (token, len(text).to_bytes(8, "big"), text, *packed.values()):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(fd, rest) :]


def main() -> None:
    """Take the settings, limit this process, run the driver and end."""
    settings = json.loads((ROOT / "inputs" / "settings.json").read_text(encoding="utf-8"))
    fd = int(sys.argv[1])
    token = sys.stdin.buffer.read(TOKEN_BYTES)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a Path is no shorter here)
        os.dup2(nothing.fileno(), 0)
    own_users = settings["enclosed"]
    if not own_users:
        from enclosure import enclose  # copied beside this file

        own_users = enclose(
            settings["parent"],
            namespaces=settings["namespaces"],
            shared_mib=settings["limits"]["file_mib"],
        )
    os.nice(NICENESS)
    _set_limits(settings["limits"], own_users=own_users)
    os.set_inheritable(fd, False)
    os.write(fd, token)  # from here on, what happens is the driver's or the student's
    _line.update(fd=fd, token=token)
    sys.path[:] = [path for path in sys.path if path != str(ROOT / "inputs")]
    sys.modules["child"] = sys.modules["__main__"]
    os.chdir(ROOT / "work")
    sys.argv = [str(ROOT / "inputs" / "driver.py")]
    code = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except BaseException as error:
        _tell_of(error)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed or replaced by the student's code
                stream.flush()
        os._exit(code)  # past threads and exit handlers that the student's code left behind


def _tell_of(error: BaseException) -> None:
    """Print and report what ended the driver, and where in its code or the student's."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip()[-2000:]
    text = text.encode(errors="replace").decode()
    kind = "exit" if isinstance(error, SystemExit) else "exception"
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        kind = "memory"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        kind = "disk"
    places = list(traceback.walk_tb(error.__traceback__))
    own = [place for place in places if not _is_ours(place[0].f_code.co_filename)]
    where = f"line {own[-1][1]} of {Path(own[-1][0].f_code.co_filename).name}" if own else ""
    below = error.__traceback__
    while own and below is not None and below.tb_frame is not own[0][0]:
        below = below.tb_next
    with suppress(Exception):  # the student's code may have closed or replaced stderr
        traceback.print_exception(type(error), error, below)
    _tell({"status": "failed", "kind": kind, "error": text, "where": where})


def _is_ours(filename: str) -> bool:
    """Return whether code is ours or a package's, and not the driver's or the student's."""
    places = (sys.prefix, sys.base_prefix, "<frozen", str(ROOT / "packages"), __file__)
    return filename.startswith(places)


def _set_limits(limits: dict[str, int], *, own_users: bool) -> None:
    """Let the kernel refuse what the parent would be too late to see."""
    import resource  # only where the child runs: there is none on Windows

    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, limits["cpu_seconds"], CPU_GRACE_SECONDS)
    _limit(resource.RLIMIT_FSIZE, limits["file_mib"] * MIB)
    _limit(resource.RLIMIT_NOFILE, 1024)
    # Torch maps far more of the address space than it uses; this counts private, writable memory.
    _limit(resource.RLIMIT_DATA, (limits["memory_mib"] + UNUSED_MAPPINGS_MIB) * MIB)
    # Linux 5.14 and later count processes and threads within the namespace, others everywhere.
    if own_users and tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (5, 14):
        _limit(resource.RLIMIT_NPROC, limits["processes"] * THREADS_PER_PROCESS)
    if sys.platform == "linux":
        with suppress(OSError):  # where memory runs out all the same, it shall end this process
            Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(which: int, value: int, grace: int = 0) -> None:
    """Set a limit; what it sends a signal for is refused outright after some grace."""
    import resource

    hard = resource.getrlimit(which)[1]
    most = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    with suppress(OSError, ValueError):  # macOS refuses some; the parent watches as well
        resource.setrlimit(which, (min(value, most), most))


if __name__ == "__main__":
    main()
