"""Spreads of figures that were measured several times, and standard errors of accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev


def sample_spread(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample; 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0


def mean_and_spread(values: Sequence[float]) -> str:
    """Return the mean as text, followed by "±" and the spread where there are several values."""
    between = f" ± {sample_spread(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.2f}{between}"


def standard_error(percent: float, count: int) -> float:
    """Return the standard error, in points, of a percentage that was found on `count` items.

    It is that of a binomial share: an accuracy of 20 % on 5,000 images has one of 0.57 points.
    """
    share = percent / 100
    return 100 * (share * (1 - share) / count) ** 0.5
