"""Text for consoles that lack some of its characters, as Windows' do."""

from __future__ import annotations

import sys
from typing import TextIO


def say(text: str) -> None:
    """Print a line that may name what the user named; see `echo`."""
    echo(f"{text}\n", sys.stdout)


def echo(text: str, stream: TextIO) -> None:
    """Print a text; characters that the console lacks appear as escapes, such as \u2713."""
    try:
        print(text, end="", flush=True, file=stream)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        shown = text.encode(encoding, errors="backslashreplace").decode(encoding)
        print(shown, end="", flush=True, file=stream)
