"""pytest's options for grading; it imports nothing heavy, since every run of pytest loads it.

A package of its own: pytest can't take options from a conftest.py of `--pyargs`, and importing
`cifar_lab` takes the seconds that PyTorch takes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `pytest --pyargs cifar_lab.grading`."""
    group = parser.getgroup("cifar_lab", "grading of cifar_lab's assignments")
    group.addoption(
        "--submission", metavar="PATH", type=os.path.expanduser, help="the folder to grade"
    )
    group.addoption(
        "--submissions",
        metavar="PATH",
        type=os.path.expanduser,
        help="of `cifar-lab grade`: the class's folder",
    )
    group.addoption("--assignment", choices=("a", "b"), help="which assignment it is for")
    group.addoption(
        "--dataset", choices=("cifar10", "cifar100", "synthetic"), help="of the reported accuracy"
    )
    group.addoption(
        "--data", metavar="PATH", type=os.path.expanduser, help="folder of the datasets"
    )
    group.addoption(
        "--settings",
        metavar="PATH",
        type=os.path.expanduser,
        help="TOML or JSON with points and limits",
    )
    group.addoption(
        "--reports", metavar="PATH", type=os.path.expanduser, help="folder for the grade's files"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Only where something is to be graded, load what does it."""
    if config.getoption("submission"):
        from cifar_lab.grading.sessions import plugin

        config.pluginmanager.register(plugin.Grading(config), "cifar_lab_grading_session")
