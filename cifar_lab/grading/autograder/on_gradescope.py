"""What the archive's `setup.sh` and `run_autograder` call on Gradescope's machine.

    python -m cifar_lab.grading.autograder.on_gradescope prepare SOURCE PLACE
    python -m cifar_lab.grading.autograder.on_gradescope grade SUBMISSION GRADE PLACE
    python -m cifar_lab.grading.autograder.on_gradescope report GRADE RESULTS SOURCE PLACE METADATA

`grade` runs students' code and may run as a user who can read nothing else; `report` takes its
answer as data, and puts the instructor's word on it, which other students' names stand in.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cifar_lab.data.download import ensure_files
from cifar_lab.grading.checks.table import checks_of
from cifar_lab.grading.machine import LACKING, machine_report
from cifar_lab.grading.overrides import Override, Overrides, apply_override, read_overrides
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.grading.reports import gradescope
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.settings_file import read_settings
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.files import write_text

# Names in the archive, and in the folder that `prepare` makes.
COURSE, SETTINGS, OVERRIDES, DATA = "course.json", "settings.json", "overrides.json", "data"
TEMPLATES = ("template.ipynb", "template.md")
MOST_BYTES = 16 * 2**20  # of a grade


def settings_in(place: Path) -> Settings:
    """Return the course's settings, from the archive or from the folder that `prepare` made."""
    course = json.loads((place / COURSE).read_text(encoding="utf-8"))
    template = next((place / name for name in TEMPLATES if (place / name).is_file()), None)
    return read_settings(
        place / SETTINGS,
        assignment=course["assignment"],
        dataset=course["dataset"],
        data_folder=place / DATA,
        template=template,
    )


def prepare(source: Path, place: Path) -> int:
    """Put what grading needs into a folder that everybody can read; return the exit status."""
    place.mkdir(parents=True, exist_ok=True)
    for name in (COURSE, SETTINGS, *TEMPLATES):
        if (source / name).is_file():
            shutil.copy(source / name, place / name)
    if (source / DATA).is_dir():
        shutil.copytree(source / DATA, place / DATA, dirs_exist_ok=True)
    settings = settings_in(place)
    if settings.dataset != "synthetic":
        ensure_files(settings.dataset, place / DATA)
    for path in (place, *place.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    findings = machine_report(settings)
    print(*findings, sep="\n")
    return int(any(one.state == LACKING for one in findings))


def grade(submission: Path, graded: Path, place: Path) -> int:
    """Make all checks on a submission, and write the grade."""
    found = grade_submission(submission, settings_in(place))
    write_text(graded, json.dumps(found.to_dict()))
    return 0


def report(graded: Path, results: Path, source: Path, place: Path, metadata: Path) -> int:
    """Write Gradescope's results of a grade, with the instructor's word on it."""
    settings = settings_in(place)
    given = source / OVERRIDES
    overrides = read_overrides(given if given.is_file() else None, settings)
    override = _override_of(overrides, metadata)
    shown = apply_override(read_given_grade(graded, settings), override, overrides.late_penalty)
    write_text(results, json.dumps(gradescope(shown), indent=1))
    return 0


def read_given_grade(path: Path, settings: Settings) -> Grade:
    """Return a grade that a process wrote in which students' code may have run.

    Raises:
        ValueError: It is no grade by these settings.
    """
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"The grade has more than {MOST_BYTES:,} bytes.")
    try:
        found = Grade.from_dict(json.loads(text))
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"The grade is malformed: {error}.") from error
    points = {check.name: worth for check, worth in checks_of(settings).items()}
    if {one.check: one.points for one in found.verdicts} != points or not all(
        is_number(one.earned) and 0 <= one.earned <= one.points for one in found.verdicts
    ):
        raise ValueError("The grade is not one by the settings of this course.")
    return found


def _override_of(overrides: Overrides, metadata: Path) -> Override | None:
    """Return the instructor's word on one of a submission's students, by e-mail address or name."""
    try:
        users: Any = json.loads(metadata.read_text(encoding="utf-8"))["users"]
        names = [user.get(key) for key in ("email", "name") for user in users]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return next((overrides[one] for one in names if one and one in overrides), None)


def main(arguments: Sequence[str]) -> int:
    """Do what the first argument says, and return the exit status."""
    return COMMANDS[arguments[0]](*map(Path, arguments[1:]))


COMMANDS: dict[str, Callable[..., int]] = {"prepare": prepare, "grade": grade, "report": report}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
