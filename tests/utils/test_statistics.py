from __future__ import annotations

import random

import pytest

from cifar_lab.utils.statistics import mean_and_spread, sample_spread, standard_error


def test_one_value_has_no_spread() -> None:
    assert sample_spread([41.0]) == 0.0 and mean_and_spread([41.0]) == "41.00"
    assert mean_and_spread([41.0, 41.0]) == "41.00 ± 0.00"


def test_the_spread_is_that_of_a_sample() -> None:
    # By hand: mean 42.25; deviations -2.25, .75, 2.25, -.75; squares sum to 11.25; over 3, 3.75.
    assert sample_spread([40.0, 43.0, 44.5, 41.5]) == pytest.approx(3.75**0.5)
    assert mean_and_spread([40.0, 43.0, 44.5, 41.5]) == "42.25 ± 1.94"


def test_the_standard_error_is_the_spread_of_accuracies_on_drawn_images() -> None:
    generator = random.Random(0)
    accuracies = [100 * sum(generator.random() < 0.2 for _ in range(500)) / 500 for _ in range(400)]
    assert standard_error(20.0, 500) == pytest.approx(sample_spread(accuracies), rel=0.1)
