"""The same checks for the student, from the notebook's last cell."""

from __future__ import annotations

import json
from pathlib import Path

from cifar_lab.grading.grade import grade_submission
from cifar_lab.grading.reports import text_table
from cifar_lab.grading.settings import ASSIGNMENTS, Settings
from cifar_lab.submission import MANIFEST


def check(folder: Path, assignment: str | None) -> None:
    """Print what the checks find.

    Raises:
        ValueError: no assignment is given, and the submission doesn't name one.
    """
    if assignment is None:
        try:
            content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            assignment = str(content["assignment"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{folder} does not say which assignment it is for; give assignment='a' or 'b', "
                "or write the folder with cifar_lab.submit."
            ) from error
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"assignment is {assignment!r}; expected 'a' or 'b'.")
    print(f"Checking {folder} as the grader will; this takes a minute or two.", flush=True)
    grade = grade_submission(folder, Settings(assignment), notebook_missing_is_open=True)
    print(text_table(grade))
    if grade.not_made:
        print("A question mark is open: it could not be looked at here, and the grader will.")
