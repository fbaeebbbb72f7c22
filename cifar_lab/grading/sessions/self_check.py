"""The grader's checks for the student, from the notebook's last cell."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.facts import ASSIGNMENTS
from cifar_lab.experiments.submission import MANIFEST
from cifar_lab.grading.reports import text_table
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import Settings
from cifar_lab.utils.files import user_path


def check_submission(
    folder: str | Path = "submission",
    assignment: str | None = None,
    *,
    data_folder: str | Path | None = None,
) -> None:
    """Run the grader's checks on your own submission and print what they found.

    It takes a minute or two: the notebook is run twice on a small synthetic dataset. Checks that
    can't be made here (on the notebook where it is not in the folder yet, on the accuracy where
    CIFAR is not on this machine) are reported as open; nothing is raised for a check that fails.

    Args:
        folder: The folder that `submit` wrote.
        assignment: The assignment, "a" or "b"; by default the one that the submission names.
        data_folder: The folder with the datasets; None for `$CIFAR_LAB_DATA` or `data`.

    Raises:
        ValueError: No assignment is given, and the submission names none.

    Example:
        folder = cifar_lab.submit(mine, assignment="a", iterations=[mine, second])
        cifar_lab.check_submission(folder)
    """
    folder = user_path(folder)
    content = _manifest(folder, assignment)
    assignment = assignment or str(content.get("assignment"))
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"assignment is {assignment!r}; expected 'a' or 'b'.")
    dataset = content.get("dataset")  # the synthetic one, perhaps, where CIFAR can't be had
    settings = Settings(
        assignment,
        dataset=dataset if dataset in DATASETS else "",
        data_folder=None if data_folder is None else user_path(data_folder),
    )
    for name in _replaced_since(folder, content):
        print(
            f"{shown_name(name)} is not the file that cifar_lab.submit wrote: submit again, or "
            "hand in both."
        )
    print(f"Checking {folder} as the grader will; this takes a minute or two.", flush=True)
    grade = grade_submission(folder, settings, notebook_missing_is_open=True)
    print(text_table(grade))
    if grade.not_made:
        print("A question mark is open: it could not be looked at here, and the grader will.")


def _manifest(folder: Path, assignment: str | None) -> dict[str, Any]:
    """Return what the manifest says, and nothing for one that can't be read but isn't needed."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        if assignment is not None:
            return {}
        raise ValueError(
            f"{folder} does not say which assignment it is for; give assignment='a' or 'b', "
            "or write the folder with cifar_lab.submit."
        ) from error


def _replaced_since(folder: Path, content: dict[str, Any]) -> list[str]:
    """Return the files that changed after the manifest was written, as a power cut leaves them."""
    noted = content.get("files")
    if not isinstance(noted, dict):
        return []
    return [
        name
        for name, digest in noted.items()
        if (folder / name).is_file()
        and hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    ]
