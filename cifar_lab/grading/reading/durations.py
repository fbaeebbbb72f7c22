"""The time of training that a notebook prints, where nothing recorded it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from cifar_lab.grading.reading.shown import all_output
from cifar_lab.grading.submissions.submission import Cell

NAMED = re.compile(  # "Training took ...", "Total time: ...", "Wall time: ..."
    r"\b(?:train(?:ing|ed)?|total|elapsed|wall|fit)\b.{0,60}?\b(?:time|took|takes|duration|"
    r"finished|completed?|done|in|elapsed)\b|\btime\b.{0,20}\b(?:elapsed|total|training)\b|"
    r"\b(?:elapsed|duration|took)\b",
    re.IGNORECASE,
)
OF_AN_EPOCH = re.compile(r"\bepochs?\b", re.IGNORECASE)
CLOCK = re.compile(r"(?<![\d:.])(?:(\d{1,3}):)?(\d{1,3}):(\d{2}(?:\.\d+)?)(?![\d:])")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
PART = re.compile(
    r"(?<![\w.])(\d{1,7}(?:\.\d{1,9})?)\s?(h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)\b",
    re.IGNORECASE,
)
LONGEST_LINE, MOST_LINES = 300, 20_000


def printed_seconds(cells: Iterable[Cell]) -> float | None:
    """Return the seconds that lines on the time of training add up to; None without any.

    Those of epochs count where there is no line on the whole.
    """
    of_all: list[float] = []
    of_epochs: list[float] = []
    for line in all_output(cells).splitlines()[:MOST_LINES]:
        text = line[:LONGEST_LINE]
        named = NAMED.search(text)
        if named is None:
            continue
        seconds = _duration(text[named.start() :])
        if seconds is not None:
            (of_epochs if OF_AN_EPOCH.search(text) else of_all).append(seconds)
    found = of_all or of_epochs
    return math.fsum(found) if found else None


def _duration(text: str) -> float | None:
    """Return the first duration in a text: 12.5 minutes, 1h 2min 3s, 0:12:34."""
    clock = CLOCK.search(text)
    parts = list(PART.finditer(text))
    if clock and (not parts or clock.start() < parts[0].start()):
        hours, minutes, seconds = clock.groups()
        return 3600 * float(hours or 0) + 60 * float(minutes) + float(seconds)
    total, end = 0.0, None
    for part in parts:
        if end is not None and part.start() - end > 6:  # "12 min 5 s", "12 min and 5 s"
            break
        total, end = total + float(part[1]) * UNITS[part[2][0].lower()], part.end()
    return total if end is not None else None
