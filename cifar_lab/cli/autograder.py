"""`cifar-lab autograder`: the grader as an archive for a course's site."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.options import add_dataset
from cifar_lab.experiments.facts import ASSIGNMENTS
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands

NEXT = """\
On Gradescope, in a Programming Assignment of {points:g} points:
- Configure Autograder: upload {out}, base image Ubuntu 22.04. Building it takes some minutes.
- Settings: container of 4 CPUs and 6 GB, time limit of {minutes} minutes.
- Test Autograder: hand in one submission that is right and one that is not.
There, students' code is isolated by limits and by a user of its own, not by bubblewrap, which such
containers do not permit: code written for that could read the test labels and forge its grade."""


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "autograder",
        help="pack the grader as an archive for Gradescope",
        description="Write the archive that Gradescope builds an autograder of. It holds this "
        "package, the course's settings and, if named, the instructor's overrides.",
        epilog="example: cifar-lab autograder gradescope --assignment a --out autograder.zip",
    )
    parser.add_argument("site", choices=["gradescope"])
    parser.add_argument("--assignment", choices=list(ASSIGNMENTS), required=True)
    parser.add_argument("--out", type=user_path, default=Path("autograder.zip"))
    parser.add_argument("--settings", type=user_path, help="TOML or JSON: points and limits")
    parser.add_argument(
        "--overrides",
        type=user_path,
        help="TOML or JSON: the instructor's points, by a student's e-mail address or name there",
    )
    add_dataset(parser)
    parser.add_argument(
        "--data",
        type=user_path,
        help="take CIFAR's files along from this folder (default: Gradescope downloads them once)",
    )
    parser.add_argument(
        "--packages",
        type=user_path,
        metavar="FILE",
        help="what notebooks may import, one package per line (default: the usual ones)",
    )
    parser.add_argument(
        "--minutes",
        type=int,
        default=40,
        help="the time limit that is set on Gradescope, which stops whatever takes longer "
        "(default: 40, the most)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an archive that is there")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Write the archive and say what to do with it."""
    from cifar_lab.grading.autograder.archive import Course, write_archive
    from cifar_lab.grading.checks.table import checks_of
    from cifar_lab.grading.settings_file import read_settings

    if options.out.exists() and not options.overwrite:
        raise FileExistsError(
            f"{options.out} is there already. Give another --out, or --overwrite to replace it."
        )
    course = Course(
        assignment=options.assignment,
        dataset=options.dataset,
        settings=options.settings,
        overrides=options.overrides,
        data_folder=options.data,
        packages=options.packages,
        minutes=options.minutes,
    )
    write_archive(course, options.out)
    settings = read_settings(options.settings, assignment=options.assignment)
    points = sum(checks_of(settings).values())
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB.")
    print(NEXT.format(out=options.out.name, points=points, minutes=options.minutes))
