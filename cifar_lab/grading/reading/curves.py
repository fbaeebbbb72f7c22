"""The accuracies that a notebook prints after each epoch, where no history was handed in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cifar_lab.grading.reading.shown import all_output
from cifar_lab.grading.submissions.submission import Cell

EPOCH = re.compile(r"\bepoch\b\W{0,4}(?:no\.?|number)?\W{0,4}(\d{1,5})", re.IGNORECASE)
ACCURACY = re.compile(
    r"(?<![a-z])(train|val|test)[a-z]{0,7}[\s_-]{0,3}(?:set\s)?acc(?:uracy)?(?:\s?\(%\))?"
    r"[\s:=|]{0,6}(\d{1,3}(?:\.\d{1,9})?)",
    re.IGNORECASE,
)
NAMES = {"train": "train_accuracy", "val": "validation_accuracy", "test": "test_accuracy"}
LINES_OF_AN_EPOCH = 6  # in which its figures may stand
LONGEST_LINE, MOST_LINES = 500, 20_000


def printed_history(cells: Iterable[Cell]) -> list[dict[str, float]]:
    """Return epochs with their accuracies in percent, of the training that was printed last."""
    runs: list[dict[int, dict[str, float]]] = [{}]
    epoch, age = None, 0
    for line in all_output(cells).splitlines()[:MOST_LINES]:
        named = EPOCH.search(line[:LONGEST_LINE])
        age += 1
        if named:
            number, age = int(named[1]), 0
            if epoch is not None and number < epoch:  # another training begins
                runs.append({})
            epoch = number
        if epoch is None or age > LINES_OF_AN_EPOCH:
            continue
        for kind, value in ACCURACY.findall(line[:LONGEST_LINE]):
            runs[-1].setdefault(epoch, {})[NAMES[kind.lower()]] = float(value)
    run = next((one for one in reversed(runs) if one), {})
    values = [value for figures in run.values() for value in figures.values()]
    scale = 100 if values and max(values) <= 1 else 1
    return [
        {"epoch": number} | {name: scale * value for name, value in figures.items()}
        for number, figures in sorted(run.items())
    ]
