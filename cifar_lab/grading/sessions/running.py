"""Running a class's pytest session, away from whatever lies in the current folder."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cifar_lab.data.datasets import default_root
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.sessions.class_list import ClassList, write_settings
from cifar_lab.grading.settings import Settings
from cifar_lab.utils.console import say

LIST, SETTINGS = ".cifar-lab-class.json", ".cifar-lab-settings.json"  # in a folder of results
PACKAGE_FOLDER = Path(__file__).parents[3]


def require_pytest() -> None:
    """Say what is missing for a session.

    Raises:
        ImportError: pytest or pytest-xdist is missing.
    """
    try:
        import pytest  # noqa: F401 (only whether it is there)
        import xdist  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Grading a class needs {error.name}: pip install 'cifar-lab[grading]'"
        ) from error


class Progress:
    """One line for each submission; a pytest plugin of the controlling process where one runs.

    Attributes:
        names: Names of the submissions.
        seen: Names of those that were graded, or at which the grader failed.
        failed: The grader's errors, by the submission's name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.seen: set[str] = set()
        self.failed: dict[str, str] = {}

    def tell(self, name: str, line: str) -> None:
        """Print a submission's line: its points, say."""
        self.seen.add(name)
        say(f"[{len(self.seen)}/{len(self.names)}] {shown_name(name)}: {line}")

    def tell_failure(self, name: str, error: str, line: str = "GRADER ERROR, no grade") -> None:
        """Print that the grader itself failed at a submission."""
        self.failed[name] = error
        self.tell(name, line)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Print a submission's points, or that the grader failed at it."""
        if report.when != "call" and not report.failed:
            return
        number = re.search(r"\[(\d+)\]", report.nodeid)  # a worker that died tells nothing else
        name = self.names[int(number[1])] if number else report.nodeid
        if report.failed:
            self.tell_failure(name, str(report.longrepr))
        else:
            self.tell(name, dict(report.user_properties)["summary"])

    def pytest_collectreport(self, report: Any) -> None:
        """Print why a worker could not even begin."""
        if report.failed:
            say(str(report.longrepr))


def run_session(class_: ClassList, settings: Settings, out: Path, jobs: int) -> tuple[Any, int]:
    """Grade a list of submissions, several at a time.

    Args:
        class_: Submissions.
        settings: Settings that they are checked with.
        out: Folder of the results, which exists.
        jobs: Number of submissions that are graded at the same time.

    Returns:
        The `Progress`, and pytest's exit status.
    """
    progress = Progress(list(class_.folders))
    if not class_.folders:
        return progress, 0
    import pytest

    out = out.resolve()
    class_.write(out / LIST)
    write_settings(settings, out / SETTINGS)
    with _away_from_here() as empty:
        arguments = _arguments(out, empty, min(jobs, len(class_.folders)))
        status = int(pytest.main([*arguments, "--assignment", settings.assignment], [progress]))
    for name in (LIST, SETTINGS):
        (out / name).unlink(missing_ok=True)
    return progress, status


def _arguments(out: Path, empty: Path, workers: int) -> list[str]:
    """Return the arguments of the pytest session that grades the class.

    Only the plugins that are named take part, and pytest's own reporter, which tells of workers and
    not of submissions, is none of them.
    """
    from cifar_lab.grading.sessions import class_session

    arguments = [str(Path(class_session.__file__)), "-c", os.devnull, "--rootdir", str(empty)]
    arguments += ["--noconftest", "-p", "no:cacheprovider", "-p", "no:terminal"]
    arguments += ["-p", "xdist", "-p", "cifar_lab.cli.pytest_options"]
    arguments += ["-n", str(workers), "--dist", "load", "--maxschedchunk", "1"]
    arguments += ["--submissions", str(out / LIST), "--settings", str(out / SETTINGS)]
    return [*arguments, "--reports", str(out)]


@contextmanager
def _away_from_here() -> Iterator[Path]:
    """Enter an empty folder, from which nothing can be imported, until the session has ended.

    A worker's Python looks for modules in the current folder before it looks into its own: a stray
    `types.py` among the submissions, or a student's folder of that name, would be run.
    """
    from cifar_lab.grading.sessions.class_session import ISOLATION

    here, path = Path.cwd(), list(sys.path)
    changes = {
        "PYTHONSAFEPATH": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "CIFAR_LAB_DATA": str(default_root().resolve()),  # `data` is in the folder that is left
        ISOLATION: isolation_level(),
    }
    with tempfile.TemporaryDirectory(prefix="cifar-lab-") as empty, _environment(changes):
        sys.path[:] = [one for one in path if _may_be_imported_from(one, here)]
        os.chdir(empty)
        try:
            yield Path(empty)
        finally:
            os.chdir(here)
            sys.path[:] = path


def _may_be_imported_from(folder: str, here: Path) -> bool:
    """Return whether a folder of `sys.path` is not there only since Python was started in it."""
    return bool(folder) and (Path(folder) != here or here == PACKAGE_FOLDER)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            with suppress(KeyError):
                del os.environ[name]
            if value is not None:
                os.environ[name] = value
