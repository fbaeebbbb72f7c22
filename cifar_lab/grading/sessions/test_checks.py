"""The checks as tests: `pytest --pyargs cifar_lab.grading --submission=PATH --assignment a`."""

import pytest

from cifar_lab.grading.verdicts import Verdict


@pytest.fixture
def check_name(request: pytest.FixtureRequest) -> str:
    """Skip the test; with a submission, its checks' names take the place of this fixture."""
    pytest.skip("Nothing to grade: give --submission PATH --assignment a (or b).")


@pytest.fixture
def verdict(check_name: str, request: pytest.FixtureRequest) -> Verdict:
    """Return the verdict of one check on the submission."""
    return request.getfixturevalue("verdict_of_check")


def test_submission(verdict: Verdict) -> None:
    """Pass where the submission passes the check whose name is in brackets."""
    from cifar_lab.grading.sessions.plugin import assert_passed

    assert_passed(verdict)
