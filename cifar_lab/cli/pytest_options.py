"""pytest's plugin: the options that grade a submission; it imports nothing heavy.

Every run of pytest loads it wherever the package is installed, also for other projects. It is not
in `grading`, which the sandbox hides: a submission may run pytest there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.facts import ASSIGNMENTS

if TYPE_CHECKING:
    import pytest

PATHS = {
    "--submission": "the folder to grade",
    "--submissions": "of `cifar-lab grade`: the class's list",
    "--data": "folder of the datasets",
    "--settings": "TOML or JSON with points and limits",
    "--reports": "folder for the grade's files",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `pytest --pyargs cifar_lab.grading`."""
    group = parser.getgroup("cifar_lab", "grading of cifar_lab's assignments")
    for name, text in PATHS.items():
        group.addoption(name, metavar="PATH", type=os.path.expanduser, help=text)
    group.addoption("--assignment", choices=list(ASSIGNMENTS), help="the submission's assignment")
    group.addoption(
        "--dataset", choices=list(DATASETS), help="the dataset of the reported accuracy"
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Load no `conftest.py` where a submission is graded: what lies there may be a student's."""
    if early_config.known_args_namespace.submission:
        early_config.known_args_namespace.noconftest = True


def pytest_configure(config: pytest.Config) -> None:
    """Load the grading only where a submission is to be graded."""
    if config.getoption("submission"):
        from cifar_lab.grading.sessions import plugin

        config.pluginmanager.register(plugin.Grading(config), "cifar_lab_grading_session")
