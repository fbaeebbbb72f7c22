"""Ctrl-C: the command that resumes, and work that it must not break off."""

from __future__ import annotations

import argparse
import shlex
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cifar_lab.utils.torchrun import command_words


def command_line(
    options: argparse.Namespace, *, without: Collection[str] = (), also: Collection[str] = ()
) -> str:
    """Return the command that is running, as it is typed in a shell.

    Args:
        options: The parsed command line.
        without: The options to leave out.
        also: The options to add where they are missing.
    """
    words = [word for word in options.arguments if word not in without]
    words += [word for word in also if word not in words]
    return shlex.join([*command_words(), *words])


def kept_and_command(kept: Sequence[str], options: argparse.Namespace) -> str:
    """Return what is kept of the work, and the command that resumes it or starts it again."""
    if not kept:
        return f"Nothing of it is saved yet.\nTo start again:\n  {command_line(options)}"
    resumes = command_line(options, without=("--again",), also=("--resume",))
    return f"Kept: {' and '.join(kept)}.\nTo resume:\n  {resumes}"


@contextmanager
def signals_held() -> Iterator[None]:
    """Ignore Ctrl-C and the signal to terminate, while something is brought to its end."""
    with _handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def terminating_interrupts() -> Iterator[None]:
    """Let the signal to terminate raise KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt, signal.SIGTERM):
        yield


@contextmanager
def _handled(handler: Callable[..., Any] | signal.Handlers, *numbers: int) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only that one gets signals
        yield
        return
    earlier = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, own in earlier.items():
            signal.signal(number, signal.SIG_DFL if own is None else own)
