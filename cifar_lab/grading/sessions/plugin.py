"""Grading one submission as a pytest session, one test per check."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.grading.checks.table import checks_of
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import details, summary, write_reports
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.sessions.fingerprint import fingerprint
from cifar_lab.grading.sessions.grade import as_grade, judge
from cifar_lab.grading.sessions.grade_class import process_warning
from cifar_lab.grading.settings_file import settings_of
from cifar_lab.grading.verdicts import BLOCKED, FAILED, PASSED, Grade, Verdict

GRADER_ERROR = 3  # pytest's exit status for an internal error; a failed check gives 1


class Grading:
    """The evidence for a session's tests, and the grade that is written when they have run.

    Raises:
        pytest.UsageError: The options can't be used.
    """

    def __init__(self, config: pytest.Config) -> None:
        option = config.getoption
        self.folder = Path(option("submission"))
        if not self.folder.exists():
            raise pytest.UsageError(f"There is no {self.folder}; --submission names a folder.")
        found = config.inipath
        if found is not None and found.resolve().is_relative_to(self.folder.resolve()):
            raise pytest.UsageError(
                f"pytest took its settings from the submission: {found}. Leave them out: write "
                "--submission=PATH with an equals sign, and -c /dev/null."
            )
        if hasattr(config, "workerinput") or config.getoption("numprocesses", None):
            raise pytest.UsageError("The checks of one submission run in one process: give -n 0.")
        if not option("assignment"):
            raise pytest.UsageError("Say which assignment it is: --assignment a or b.")
        try:
            self.settings = settings_of(config)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
        self.reports = None if option("reports") is None else Path(option("reports"))
        checks = checks_of(self.settings).items()
        self.checks = {check.name: (check, points) for check, points in checks}
        self.evidence = Evidence(self.folder, self.settings)
        self.verdicts: dict[str, Verdict] = {}
        self.errors = 0
        self.started, self.of_files = time.monotonic(), fingerprint(self.folder, self.settings)

    def verdict(self, name: str) -> Verdict:
        """Return a check's verdict; it is found when it is first asked for."""
        if name not in self.verdicts:
            self.verdicts[name] = judge(self.evidence, *self.checks[name])
        return self.verdicts[name]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test for each of the assignment's checks."""
        if "check_name" in metafunc.fixturenames:
            metafunc.parametrize("check_name", list(self.checks), scope="session")

    @pytest.fixture
    def verdict_of_check(self, check_name: str, record_property: Any) -> Verdict:
        """Return a verdict; in a fixture pytest calls an exception an error, not a failure."""
        verdict = self.verdict(check_name)
        for name in ("status", "points", "earned"):
            record_property(name, getattr(verdict, name))
        return verdict

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Generator[None, Any, Any]:
        """Count what is the grader's own fault."""
        report = yield
        error = getattr(call.excinfo, "value", None)
        if report.failed and not isinstance(error, pytest.fail.Exception):
            self.errors += 1
            report.sections.append(("Grader error", "This is no verdict on the submission."))
        return report

    def grade(self) -> Grade | None:
        """Return the whole grade; None where a check is missing."""
        if self.errors or set(self.verdicts) != set(self.checks):
            return None
        verdicts = tuple(self.verdicts[name] for name in self.checks)
        return as_grade(self.evidence, verdicts, self.started, self.of_files)

    def pytest_sessionfinish(self, session: Any, exitstatus: int) -> None:
        """Write the files, and tell a grader's error from a failed check."""
        grade = self.grade()
        if grade is not None and self.reports is not None:
            try:
                write_reports(grade, self.reports)
            except OSError as error:
                self.errors += 1
                print(f"\nThe grade can't be written to {self.reports}: {error}")
        if self.errors:
            session.exitstatus = GRADER_ERROR

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the points."""
        grade = self.grade()
        terminalreporter.section("grade")
        if isolation_level() != "bubblewrap":
            terminalreporter.line(process_warning())
        if grade is not None:
            terminalreporter.line(f"{shown_name(grade.submission)}: {summary(grade)}")
        elif self.errors:
            terminalreporter.line("No grade: the grader itself failed. See the errors above.")
        else:
            terminalreporter.line("No grade: not all checks were run.")


def assert_passed(verdict: Verdict) -> None:
    """Pass, fail or skip as the verdict says."""
    if verdict.status == FAILED:
        pytest.fail(f"{verdict.title}\n{details(verdict)}", pytrace=False)
    if verdict.status != PASSED:
        kind = "blocked" if verdict.status == BLOCKED else "could not be made"
        pytest.skip(f"{kind}: {verdict.seen}")
