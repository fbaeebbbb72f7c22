"""The checks as pytest tests: pytest --pyargs cifar_lab.grading --submission PATH --assignment a"""

import pytest

from cifar_lab.grading.verdicts import Verdict


@pytest.fixture
def check_name(request: pytest.FixtureRequest) -> str:
    """Replaced by the names of the checks where a submission is given."""
    pytest.skip("Nothing to grade: give --submission PATH --assignment a (or b).")


@pytest.fixture
def verdict(check_name: str, request: pytest.FixtureRequest) -> Verdict:
    """Of one check on the submission."""
    return request.getfixturevalue("verdict_of_check")


def test_submission(verdict: Verdict) -> None:
    """One behaviour each, by the name in brackets."""
    from cifar_lab.grading.sessions.plugin import assert_passed

    assert_passed(verdict)
