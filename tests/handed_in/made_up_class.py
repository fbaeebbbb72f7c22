"""A class of grades that nobody earned, for the class's page and table: drawn, not graded.

In `tests/`, `python -m handed_in.made_up_class FOLDER` writes its pages, to be looked at.
"""

from __future__ import annotations

import hashlib
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cifar_lab.grading.checks.table import checks_of
from cifar_lab.grading.reports import write_class, write_reports
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict

GIVEN_NAMES = "Anna Bert Carla Deniz Émile Fatima Grégoire Hana Ivo Jürgen Kai Li Mei Noor Olga"
FAMILY_NAMES = "Abel Brandt Chen Dvořák Eze Fischer García Hansen İnan Jones Kowalski Lopez Ma"
NO_PACKAGE = (
    "The notebook needs the package timm, which the grading machine lacks.",
    "Instructor: install it where cifar-lab is installed (pip install timm), and grade again.",
)
NO_DATA = (
    "CIFAR-10's files are not on this machine, so the accuracy could not be measured.",
    "Instructor: name their folder in --data or $CIFAR_LAB_DATA.",
)
HOSTILE = [
    "<script>alert(1)</script>",
    "=HYPERLINK(1)",
    "line\nbreak",
    "not utf-8 \udcff",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "-rf",
    "0042",
    "1e5",
    "😀" * 60,
    "'; DROP TABLE students; --\"<b>",
    "</style></script><img src=x onerror=alert(1)>",
]
NETWORK = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, {width}, 3, padding=1)
        self.head = nn.Linear({width}, 10)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))
"""


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def verdicts(draw: random.Random, skill: float, assignment: str = "a") -> tuple[Verdict, ...]:
    """Verdicts of all checks; the better the student, the more of them pass."""
    runs = draw.random() < 0.75 + 0.25 * skill
    excuse = draw.choices([None, NO_PACKAGE, NO_DATA], [0.93, 0.04, 0.03])[0]
    found = []
    for check, points in checks_of(Settings(assignment)).items():
        status, earned, seen, remedy = PASSED, points, f"as expected: {check.name}", ""
        excused = {NO_DATA: ("accuracy_agrees",), NO_PACKAGE: WAITING}.get(excuse, ())
        if excuse is not None and check.name in excused:
            status, earned, (seen, remedy) = NOT_MADE, 0.0, excuse
        elif not runs and check.name == "notebook_runs":
            status, earned = FAILED, 0.0
            seen = "NameError in cell 9 of 24 code cells: name 'x' is not defined\n\nprint(x)"
            remedy = "Restart the kernel, run all cells, and fix this one."
        elif not runs and check.name in WAITING:
            status, earned, remedy = BLOCKED, 0.0, "Fix that one first."
            seen = "Not looked at, since another check did not pass: The notebook runs."
        elif draw.random() > 0.85 + 0.15 * skill:
            share = draw.choice([0, 0, 0.5]) if "written" in check.name else 0
            status, earned = FAILED, round(points * share, 1)
            seen, remedy = f"Something else than expected: <{check.name}>.", "Look at it & fix it."
        expected = check.expected(Settings(assignment))
        found.append(
            Verdict(check.name, check.title, status, points, earned, expected, seen, remedy)
        )
    return tuple(found)


WAITING = ("steps_cleared", "loss_on_logits", "test_in_eval", "test_not_trained", "zero_grad")
WAITING += tuple(check.name for check in list(checks_of(Settings("a")))[11:15])


def facts(draw: random.Random, skill: float, name: str) -> dict[str, Any]:
    size = int(10 ** draw.uniform(3.5, 5.6))
    measured = min(89.0, 38 + 14 * skill + 6.5 * (len(str(size)) - 3) + draw.gauss(0, 4))
    history, epochs = [], draw.choice([1, 3, 3, 3, 10, 40])
    for epoch in range(1, epochs + 1):
        reached = measured * (1 - 0.45 * 0.6**epoch)
        history.append(
            {
                "epoch": epoch,
                "train_accuracy": min(100.0, reached + 2 + epoch / 10),
                "test_accuracy": reached + draw.gauss(0, 0.8),
            }
        )
    return {
        "measured_accuracy": round(measured, 2),
        "reported_accuracy": round(measured + draw.choice([0, 0, 0.01, 3]), 2),
        "parameters": size,
        "training_minutes": round(draw.uniform(0.5, 20), 1),
        "history": history,
        "weights_sha256": digest(name, "weights"),
        "code_cells": [digest(name, cell) for cell in range(12)] + [digest("taught", 1)],
        "versions": {"python": "3.11.7", "ipython": "8.20"},
        "hints": [],
    }


def made_up_class(students: int = 300, seed: int = 1, hostile: bool = True) -> list[Grade]:
    """Grades of a class with copies, hints, excuses and, if asked for, names that do harm."""
    draw = random.Random(seed)  # noqa: S311 (nothing secret)
    names = list(HOSTILE) if hostile else []
    while len(names) < students:
        one = f"{draw.choice(GIVEN_NAMES.split())} {draw.choice(FAMILY_NAMES.split())}"
        names.append(f"{one}_{10_000 + len(names)}")
    grades = []
    for name in names[:students]:
        skill = draw.random() ** 0.5
        grades.append(
            Grade(
                submission=name,
                assignment="a",
                dataset="cifar10",
                verdicts=verdicts(draw, skill),
                seconds=round(draw.lognormvariate(2.4, 0.5), 1),
                isolation="bubblewrap",
                versions={"cifar-lab": "0.1.0", "torch": "2.8.0"},
                fingerprint=digest(name),
                facts=facts(draw, skill, name),
            )
        )
    return _with_matters(grades)


def _with_matters(grades: list[Grade]) -> list[Grade]:
    """Some are alike, some have a hint, and some have the instructor's word."""
    if len(grades) < 8:
        return grades
    *rest, one, two, three, four = grades
    copied = {"code_cells": one.facts["code_cells"][:9], "weights_sha256": digest("same")}
    two = replace(two, facts=two.facts | copied)
    one = replace(one, facts=one.facts | {"weights_sha256": digest("same")})
    text = "98.41 % on the test images, 10.45 % on training images, 9.97 % on mirrored test images."
    three = replace(three, facts=three.facts | {"hints": [{"kind": "memorised", "text": text}]})
    first, *others = four.verdicts
    decided = replace(first, earned=1.0, status=FAILED, overridden="The archive was damaged; half.")
    four = replace(
        four,
        verdicts=(decided, *others),
        comment="Handed in by e-mail, as agreed.",
        late_days=2,
        deduction=10.0,
    )
    return [*rest, one, two, three, four]


if __name__ == "__main__":
    out = Path(sys.argv[1])
    made = made_up_class()
    for grade in made:
        if "/" not in grade.submission:
            write_reports(grade, out / grade.submission)
    ignored = [("notes.txt", "no notebook"), ("__MACOSX", "made by macOS")]
    write_class(out, made, ["Zoë Broken_1"], ["Yves Late_2"], [], ignored)
