from __future__ import annotations

import pytest

from cifar_lab.benchmark.comparison import Comparison
from cifar_lab.benchmark.plot import plot_speed
from cifar_lab.benchmark.profile import PARTS
from cifar_lab.benchmark.worker import Measurement
from cifar_lab.training.history import EpochRecord


def made_up(way: str, *seconds: float) -> Measurement:
    records = [EpochRecord(epoch, 1.0, 50.0, None, each) for epoch, each in enumerate(seconds, 1)]
    shares = dict.fromkeys(PARTS, 0.2)
    return Measurement(way, records, 1000, "test", "fp32", shares, 2e6, 4e9, 1536, {})


def test_each_experiment_has_a_bar_of_its_median_speed_up() -> None:
    comparisons = [
        Comparison(
            "a", "A", "cifar10", made_up("baseline", 8, 10, 12), made_up("library", 2, 2, 1)
        ),
        Comparison("b", "B", "cifar100", made_up("baseline", 9), made_up("library", 6)),
    ]
    (axes,) = plot_speed(comparisons).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([5, 1.5])
    assert [text.get_text().strip() for text in axes.texts] == ["5.0 x", "1.5 x"]
    ends = [
        [round(float(x), 6) for x in segment[:, 0]]
        for segment in axes.collections[0].get_segments()
    ]
    assert ends == [[4, 12], [1.5, 1.5]]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["A\n(cifar10, fp32)", "B\n(cifar100, fp32)"]
