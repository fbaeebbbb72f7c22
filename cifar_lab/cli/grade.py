"""`cifar-lab grade`: grade a class's submissions."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.interruption import command_line
from cifar_lab.cli.options import add_data, add_dataset
from cifar_lab.experiments.facts import ASSIGNMENTS
from cifar_lab.utils.console import say
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands

LACKING = 1  # exit status of --check where the machine lacks something


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "grade",
        help="grade a class's submissions; leaves a page for each student and one for the class",
        description="Grade each sub-folder of SUBMISSIONS, or what a course site exports, as it "
        "is: Canvas, Moodle, Gradescope, Brightspace; packed or unpacked. Grades of unchanged "
        "submissions are kept, so the same command resumes an interrupted run. Exit status 3: a "
        "submission has no grade, since the grader itself failed or its files could not be read.",
        epilog="example: cifar-lab grade submissions.zip --assignment a --jobs 2",
    )
    parser.add_argument(
        "path",
        type=user_path,
        metavar="SUBMISSIONS",
        nargs="?",
        help="a folder with one folder or archive per student, or a site's download",
    )
    parser.add_argument("--assignment", choices=list(ASSIGNMENTS), required=True)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=1, help="submissions at a time (default: 1)")
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="grade on the workers of a Dask cluster, such as tcp://HOST:8786",
    )
    parser.add_argument("--settings", type=user_path, help="TOML or JSON: points and limits")
    parser.add_argument(
        "--out", type=user_path, help="folder of the grades (default: grades-a or grades-b)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="grade this student again, and nobody else; may be given several times",
    )
    parser.add_argument(
        "--overrides", type=user_path, help="TOML or JSON: your points, late days and comments"
    )
    parser.add_argument(
        "--gradebook",
        type=user_path,
        metavar="CSV",
        help="the site's exported gradebook, of which a filled copy is written",
    )
    parser.add_argument("--column", help="the gradebook's column to fill (its beginning is enough)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only look at this machine, the workers of a cluster, and which file is whose",
    )
    add_dataset(parser)
    add_data(parser)
    parser.set_defaults(execute=execute, parser=parser)


def execute(options: argparse.Namespace) -> int:
    """Grade the class and return the exit status."""
    if options.column and not options.gradebook:
        options.parser.error("--column belongs to --gradebook")
    if options.check:
        return check(options)
    if options.path is None:
        options.parser.error("the following arguments are required: SUBMISSIONS")
    from cifar_lab.grading.sessions.grade_class import grade_class

    out = options.out or Path(f"grades-{options.assignment}")
    try:
        return grade_class(
            options.path,
            out,
            assignment=options.assignment,
            jobs=options.jobs,
            scheduler=options.scheduler,
            dataset=options.dataset,
            data_folder=options.data,
            settings=options.settings,
            only=options.only,
            overrides=options.overrides,
            gradebook=options.gradebook,
            column=options.column,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted. The grades that were finished are kept in {out}.\n"
            f"To resume with the others:\n  {command_line(options)}"
        ) from None


def check(options: argparse.Namespace) -> int:
    """Say what this machine and workers lack, and which file is whose; nothing is graded."""
    from cifar_lab.grading.collecting.collect import COLLECTED, collect
    from cifar_lab.grading.collecting.table import told
    from cifar_lab.grading.machine import LACKING as LACKED
    from cifar_lab.grading.machine import machine_report
    from cifar_lab.grading.settings_file import read_settings

    settings = read_settings(
        options.settings,
        assignment=options.assignment,
        dataset=options.dataset,
        data_folder=options.data,
    )
    with tempfile.TemporaryDirectory(prefix="cifar-lab-") as scratch:
        folders = []
        if options.path is not None:
            results = options.out or Path(f"grades-{options.assignment}")
            collected = collect(options.path, Path(scratch, COLLECTED), results=results)
            for line in told(collected):
                say(line)
            folders = [student.path for student in collected.students if not student.problem]
        findings = machine_report(settings, options.jobs, folders)
        if options.scheduler is not None:
            from cifar_lab.grading.sessions.on_cluster import workers_report

            findings += workers_report(settings, options.scheduler)
    for finding in findings:
        say(str(finding))
    return LACKING if any(finding.state == LACKED for finding in findings) else 0
