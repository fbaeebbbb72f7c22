from __future__ import annotations

import pytest

from cifar_lab.cli.total_estimate import TotalEstimate, expected_seconds
from cifar_lab.experiments.facts import FACTS
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.progress import Progress


def epoch(seconds: float, of: int) -> Progress:
    record = EpochRecord(1, 1.0, None, None, seconds)
    return Progress(None, None, record, History([record]), of)  # type: ignore[arg-type]


def test_the_time_that_is_left_follows_what_was_measured() -> None:
    estimate = TotalEstimate([60, 120, 600], known_device=True)
    assert (
        estimate.begin(0) == "About 13 minutes for all on two CPU cores, corrected as they train."
    )
    for _ in range(3):  # three times slower than expected: 60 s per epoch, not 20
        estimate.after_epoch(epoch(60, of=3))
    assert estimate.begin(1) == "About 36 minutes left for all."
    estimate.after_epoch(epoch(60, of=2))  # as expected; 240 s where 120 were expected
    assert estimate.begin(2) == "About 20 minutes left for all."


def test_on_another_device_nothing_is_told_before_an_epoch_is_measured() -> None:
    estimate = TotalEstimate([60, 120], known_device=False)
    assert estimate.begin(0) == ""
    estimate.after_epoch(epoch(1, of=3))
    assert estimate.begin(1) == "About 6 seconds left for all."


def test_a_training_s_time_is_in_proportion_to_epochs_and_images() -> None:
    facts = FACTS["cifar10-convnet"]
    assert facts.minutes is not None
    whole = expected_seconds(facts, epochs=facts.epochs, images=50_000)
    assert whole == pytest.approx(60 * facts.minutes)
    assert expected_seconds(facts, epochs=1, images=25_000) == pytest.approx(whole / 6)


def test_every_experiment_has_an_expected_time() -> None:
    for facts in FACTS.values():
        assert expected_seconds(facts, epochs=facts.epochs, images=50_000) > 0
