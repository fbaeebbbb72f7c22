"""The figures of a grade that charts and tables show, and those of the course's own networks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from cifar_lab.experiments.facts import FACTS
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.grading.verdicts import Grade

ACCURACIES = {  # of a history's entries
    "train_accuracy": "training images",
    "validation_accuracy": "validation images",
    "test_accuracy": "test images",
}
MOST_EPOCHS = 2_000


@dataclass(frozen=True)
class Network:
    """A network's place among others.

    Attributes:
        name: Name, of the network or of the student.
        parameters: Number of parameters.
        accuracy: Test accuracy in percent.
        letter: Letter that stands for it in charts.
    """

    name: str
    parameters: int
    accuracy: float
    letter: str = ""

    def beats(self, other: Network) -> bool:
        """Return whether it is no worse in both regards, and better in one."""
        mine, others = (-self.parameters, self.accuracy), (-other.parameters, other.accuracy)
        return mine != others and all(a >= b for a, b in zip(mine, others, strict=True))


def references(dataset: str) -> list[Network]:
    """Return the course's networks for a dataset with their published accuracies, by size."""
    known = [one for one in FACTS.values() if one.dataset == dataset and one.accuracy is not None]
    known.sort(key=lambda one: one.parameters)
    return [
        Network(one.title, one.parameters, float(one.accuracy or 0), letter)
        for one, letter in zip(known, ascii_uppercase, strict=False)
    ]


def network_of(grade: Grade) -> Network | None:
    """Return a student's network with the accuracy that was measured; None without one."""
    accuracy, size = percentage(grade, "measured_accuracy"), parameters(grade)
    if accuracy is None or not size:
        return None
    return Network(grade.submission, size, accuracy)


def front(networks: Iterable[Network]) -> list[Network]:
    """Return the networks that no other beats, by size; the first of equals."""
    best: list[Network] = []
    for one in sorted(networks, key=lambda one: (one.parameters, -one.accuracy)):
        if not best or one.accuracy > best[-1].accuracy:
            best.append(one)
    return best


def percentage(grade: Grade, name: str) -> float | None:
    """Return a fact that is a percentage; None where it is not known."""
    return _within(grade.facts.get(name), 0, 100)


def parameters(grade: Grade) -> int | None:
    """Return the number of the network's parameters; None where it is not known."""
    size = _within(grade.facts.get("parameters"), 0, 1e15)
    return None if size is None else int(size)


def minutes(grade: Grade) -> float | None:
    """Return how long training took, as reported; None where it is not known."""
    return _within(grade.facts.get("training_minutes"), 0, 1e7)


def reported_curves(grade: Grade) -> dict[str, list[tuple[int, float]]]:
    """Return the reported accuracies by epoch: of training, validation and test images."""
    history = grade.facts.get("history")
    entries = history[:MOST_EPOCHS] if isinstance(history, list) else []
    curves: dict[str, list[tuple[int, float]]] = {title: [] for title in ACCURACIES.values()}
    for place, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            continue
        epoch = _within(entry.get("epoch"), 0, 1e6)
        for name, title in ACCURACIES.items():
            accuracy = _within(entry.get(name), 0, 100)
            if accuracy is not None:
                curves[title].append((place if epoch is None else int(epoch), accuracy))
    return {title: sorted(points) for title, points in curves.items() if points}


def hints(grade: Grade) -> list[tuple[str, str]]:
    """Return what is worth the instructor's look: kinds, and a sentence with figures on each."""
    found = grade.facts.get("hints")
    entries = found if isinstance(found, list) else []
    return [
        (str(one.get("kind", "")), str(one.get("text", ""))) for one in entries if _is_object(one)
    ]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _within(value: Any, least: float, most: float) -> float | None:
    return float(value) if is_number(value) and least <= value <= most else None
