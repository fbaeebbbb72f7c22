"""`cifar-lab grade`: grade a class's submissions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.interruption import command_line
from cifar_lab.cli.options import add_data, add_dataset
from cifar_lab.experiments.facts import ASSIGNMENTS
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "grade",
        help="grade a folder of submissions; leaves a page for each student and grades.csv",
        description="Grade each sub-folder of SUBMISSIONS. Grades of unchanged submissions are "
        "kept, so the same command resumes an interrupted run. Exit status 3: the grader itself "
        "failed at a submission, which then has no grade.",
        epilog="example: cifar-lab grade submissions/ --assignment a --jobs 2",
    )
    parser.add_argument(
        "path", type=user_path, metavar="SUBMISSIONS", help="a folder with one per student"
    )
    parser.add_argument("--assignment", choices=list(ASSIGNMENTS), required=True)
    parser.add_argument("--jobs", type=int, default=1, help="submissions at a time")
    parser.add_argument("--settings", type=user_path, help="TOML or JSON: points and limits")
    parser.add_argument(
        "--out", type=user_path, help="folder of the grades (default: grades-a or grades-b)"
    )
    add_dataset(parser)
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Grade the class and return the exit status."""
    from cifar_lab.grading.sessions.grade_class import grade_class

    out = options.out or Path(f"grades-{options.assignment}")
    try:
        return grade_class(
            options.path,
            out,
            assignment=options.assignment,
            jobs=options.jobs,
            dataset=options.dataset,
            data_folder=options.data,
            settings=options.settings,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted. The grades that were finished are kept in {out}.\n"
            f"To resume with the others:\n  {command_line(options)}"
        ) from None
