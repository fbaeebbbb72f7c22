"""How a run in the sandbox ended, in words for the student whose code it was."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cifar_lab.grading.isolation.answer import BadAnswerError, Report, parse
from cifar_lab.grading.isolation.child import THREADS_PER_PROCESS
from cifar_lab.grading.isolation.supervision import Ending, Limits

CONTROL_CHARACTERS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MOST_CHARACTERS = 1000  # of an exception's text within a reason


@dataclass(frozen=True)
class Outcome:
    """How a run in the sandbox ended.

    Attributes:
        status: "ok"; "failed" (an exception in the child, or no answer), "timeout", "memory",
            "disk" or "killed" (ended by a signal, or for too many processes); "bad answer";
            "starved" (the machine was too busy: nothing is known of the child).
        reason: Sentences for the student on what happened, what was expected and what to do (for
            the instructor where starved); "" where ok.
        answer: JSON that the driver answered; None unless ok.
        arrays: Arrays that the driver answered; none unless ok.
        stdout: End of what the child printed, without control characters.
        stderr: End of its error output, with the traceback of an exception.
        seconds: Seconds from start to end.
    """

    status: str
    reason: str = ""
    answer: dict[str, Any] | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0


def judge(ending: Ending, token: bytes, limits: Limits) -> Outcome:
    """Return the outcome of a run that ended.

    Args:
        ending: Ending of the child.
        token: Bytes with which each message of our own part of the child begins.
        limits: Limits that it had.

    Raises:
        OSError: it ended before any code of the student's could run: this machine is to blame.
    """
    stdout, stderr = readable_text(ending.stdout), readable_text(ending.stderr)
    if ending.crossed == "starved":
        return Outcome("starved", _of_starving(ending, limits), stdout=stdout, stderr=stderr)
    if ending.crossed != "answer" and not ending.answer.startswith(token):
        raise OSError(
            f"The sandbox did not start (exit code {ending.code}, limit crossed: "
            f"{ending.crossed}). {stderr.strip()[-MOST_CHARACTERS:]}"
        )
    report: Report | None = None
    if ending.crossed:
        status, reason = _of_limit(ending.crossed, limits)
    else:
        try:
            report = parse(ending.answer[len(token) :], token)
            status, reason = _of_report(report, ending.code, limits)
        except BadAnswerError as error:
            status, reason = _of_signal(ending.code, limits) or ("bad answer", _BAD % error)
    if status != "ok" or report is None:
        return Outcome(status, reason, stdout=stdout, stderr=stderr)
    return Outcome(status, reason, report.answer, report.arrays, stdout, stderr)


def readable_text(content: bytes) -> str:
    """Return text of unknown origin, without what would steer a terminal or break XML."""
    text = content.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return CONTROL_CHARACTERS.sub("", text).replace("\ufffe", "").replace("\uffff", "")


_BAD = (
    "The answer %s. The check expected what its own code sends; let your code write to no file "
    "or pipe that it did not open itself."
)


def _of_limit(crossed: str, limits: Limits) -> tuple[str, str]:
    """Return status and reason of a run that was stopped."""
    return {
        "wall": (
            "timeout",
            f"It still ran after {limits.wall_seconds:g} s, in which time lost to other work of "
            "this machine does not count, and was stopped. It was expected to end by itself; look "
            "for a loop without end, for something that waits, and for work that the check does "
            "not need.",
        ),
        "memory": ("memory", _MEMORY.format(limits.memory_mib)),
        "disk": ("disk", _DISK.format(limits.file_mib)),
        "processes": (
            "killed",
            f"It had more than {limits.processes} processes, or "
            f"{limits.processes * THREADS_PER_PROCESS} threads, at one time and was stopped. "
            "Look for processes that start others without end, and use fewer workers.",
        ),
        "answer": ("bad answer", _BAD % f"is larger than {limits.answer_mib} MiB"),
    }[crossed]


def _of_starving(ending: Ending, limits: Limits) -> str:
    return (
        f"This machine was too busy: it left {ending.own_seconds:.3g} s for the student's code in "
        f"{ending.passed_seconds:.0f} s, where {limits.wall_seconds:g} s are allowed. The code was "
        "stopped before it could end, and may be good. Grade again when the machine has less "
        "other work, or with fewer jobs at once."
    )


_MEMORY = (
    "It needed more than the {} MiB of memory that are allowed. Look for tensors that are much "
    "too large or are collected in a list, and use smaller batches."
)
_DISK = (
    "It wrote more, or more files, than the {} MiB of disk space that are allowed. Save no data "
    "sets and no checkpoint of every step, and look for a loop that writes without end."
)


def _of_report(report: Report | None, code: int, limits: Limits) -> tuple[str, str]:
    """Return status and reason of a run that ended by itself."""
    if report is not None and report.failure:
        return _of_failure(report.failure, limits)
    if report is not None and code == 0:
        return "ok", ""
    return _of_signal(code, limits) or (
        "failed",
        f"The process ended (exit code {code}) before the check was through. Your code was "
        "expected to return; remove calls of exit, quit, sys.exit and os._exit.",
    )


def _of_failure(failure: dict[str, str], limits: Limits) -> tuple[str, str]:
    """Return status and reason of a driver that an exception ended."""
    error = readable_text(failure["error"].encode())
    if len(error) > MOST_CHARACTERS:
        error = f"{error[:MOST_CHARACTERS]} ..."
    where = readable_text(failure["where"].encode())
    seen = f"{error} (at {where})" if where else error
    if failure["kind"] == "memory":
        return "memory", f"{_MEMORY.format(limits.memory_mib)} It ended with {seen}."
    if failure["kind"] == "disk":
        return "disk", f"{_DISK.format(limits.file_mib)} It ended with {seen}."
    if failure["kind"] == "exit":
        return "failed", (
            f"Your code ended the process with {seen}. It was expected to return; remove calls of "
            "exit, quit and sys.exit."
        )
    return "failed", (
        f"An exception ended the run: {seen}. It was expected to run through; run the same in a "
        "fresh notebook to see it, and fix the line that it names."
    )


def _of_signal(code: int, limits: Limits) -> tuple[str, str] | None:
    """Return status and reason of a process that a signal ended; None where none did."""
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return None
    if name == "SIGXCPU":
        return "timeout", (
            f"It used {limits.cpu_seconds} s of processor time and was stopped. It was expected to "
            "need less; look for a loop without end and for work that the check does not need."
        )
    if name == "SIGXFSZ":
        return "disk", _DISK.format(limits.file_mib)
    if name == "SIGKILL":
        return "killed", (
            "The process was killed from outside or by itself (SIGKILL) before the check was "
            "through. It was expected to return; send no signals, and see that memory suffices."
        )
    return "killed", (
        f"The process was ended by the signal {name} before the check was through. It was expected "
        "to return; a crash like this comes from native code, often called with wrong sizes."
    )
