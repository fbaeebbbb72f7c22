"""Functions that the tests' workers run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cifar_lab.cluster.spreading import is_wanted


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise ValueError(f"{number} is refused")


def kill_own_worker(marker: str, times: int) -> str:
    """Kill the process of the worker, the first times."""
    path = Path(marker)
    done = len(path.read_text()) if path.exists() else 0
    if done < times:
        path.write_text("x" * (done + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return f"after {done}"


def wait_until_unwanted(folder: str, number: int) -> str:
    """Note the beginning, and the end where nobody wants the result any more."""
    Path(folder, f"begun-{number}").touch()
    deadline = time.monotonic() + 60
    while is_wanted() and time.monotonic() < deadline:
        time.sleep(0.05)
    Path(folder, f"ended-{number}").touch()
    return "nobody reads this"


def wait_for(path: str) -> str:
    """Wait until there is a file."""
    Path(f"{path}-begun").touch()
    deadline = time.monotonic() + 60
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return "seen"
