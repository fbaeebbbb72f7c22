"""Printed text, also on consoles that lack some of its characters, as on Windows."""

from __future__ import annotations

import sys
from typing import TextIO

from cifar_lab.utils.torchrun import is_writer


def say(text: str) -> None:
    """Print a line to the standard output; characters that the console lacks become escapes.

    Of several processes that torchrun started, the first one alone prints it.
    """
    if is_writer():
        echo(f"{text}\n", sys.stdout)


def progress_stream() -> TextIO:
    """Return where a progress bar is drawn: in a notebook errors are red, and a bar is none."""
    is_notebook = type(sys.stdout).__module__.startswith("ipykernel.")
    return sys.stdout if is_notebook else sys.stderr


def echo(text: str, stream: TextIO) -> None:
    """Print a text without a line break; characters that the console lacks become escapes."""
    try:
        print(text, end="", flush=True, file=stream)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        shown = text.encode(encoding, errors="backslashreplace").decode(encoding)
        print(shown, end="", flush=True, file=stream)
