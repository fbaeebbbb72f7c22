from __future__ import annotations

import pytest

from cifar_lab.utils.wording import counted, duration


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (2000, "2,000 epochs")]
)
def test_a_noun_agrees_with_its_number(number: int, text: str) -> None:
    assert counted(number, "epoch") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "1 second"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (150, "2 minutes"),
        (89 * 60, "89 minutes"),
        (90 * 60, "1.5 hours"),
        (26 * 3600, "26.0 hours"),
    ],
)
def test_a_duration_is_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text
