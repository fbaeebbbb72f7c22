"""The same checks for the student, from the notebook's last cell."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.submission import MANIFEST
from cifar_lab.grading.reports import text_table
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import ASSIGNMENTS, Settings


def check(folder: Path, assignment: str | None, data_folder: Path | None) -> None:
    """Print what the checks find.

    Raises:
        ValueError: no assignment is given, and the submission doesn't name one.
    """
    try:
        content = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        if assignment is None:
            raise ValueError(
                f"{folder} does not say which assignment it is for; give assignment='a' or 'b', "
                "or write the folder with cifar_lab.submit."
            ) from error
        content = {}
    assignment = assignment or str(content.get("assignment"))
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"assignment is {assignment!r}; expected 'a' or 'b'.")
    dataset = content.get("dataset")  # the stand-in, perhaps, where CIFAR can't be had
    settings = Settings(
        assignment, dataset=dataset if dataset in DATASETS else "", data_folder=data_folder
    )
    for name in _replaced_since(folder, content):
        print(f"{name} is not the file that cifar_lab.submit wrote: submit again, or hand in both.")
    print(f"Checking {folder} as the grader will; this takes a minute or two.", flush=True)
    grade = grade_submission(folder, settings, notebook_missing_is_open=True)
    print(text_table(grade))
    if grade.not_made:
        print("A question mark is open: it could not be looked at here, and the grader will.")


def _replaced_since(folder: Path, content: dict[str, Any]) -> list[str]:
    """Files that have changed since the manifest was written, as a power cut may leave them."""
    noted = content.get("files")
    if not isinstance(noted, dict):
        return []
    return [
        name
        for name, digest in noted.items()
        if (folder / name).is_file()
        and hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    ]
