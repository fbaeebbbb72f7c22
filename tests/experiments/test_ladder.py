from __future__ import annotations

from pathlib import Path
from statistics import mean, variance

import pytest
from torch import nn

from cifar_lab.data.image_set import Data, ImageSet, split
from cifar_lab.experiments.ablation import Trial, Variant
from cifar_lab.experiments.ladder import Rung, climb, ladder_table, pooled_spread, steps, verdicts
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord
from cifar_lab.utils.errors import LeakedTestImagesError

RECIPE = Recipe(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05)


def tiny() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 10))


def rung(title: str, *accuracies: float) -> Rung:
    trials = tuple(
        Trial(title, "", "cifar10", RECIPE, [EpochRecord(1, 1.0, accuracy, None, 1.0)], 5000)
        for accuracy in accuracies
    )
    return Rung(title, 1234, 5.6e12, trials)


def test_each_variant_is_trained_from_each_seed_and_none_twice(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, validation = split(data.train, 0.2, seed=0)
    uses_before = data.test.uses.count
    variants = [Variant("first", tiny, RECIPE), Variant("second", tiny, RECIPE.with_epochs(3))]

    def go(seeds: list[int]) -> list[Rung]:
        return climb(variants, train, validation, seeds=seeds, folder=tmp_path, device="cpu")

    first, second = go([0, 1])
    assert (first.title, second.title) == ("first", "second")
    assert len(first.trials) == 2 and first.trials[0].history != first.trials[1].history
    assert first.parameters == 490
    # By hand: a linear layer's product forward, and for its weights' gradient; none for the images.
    assert first.training_flops == 2 * 2 * 480 * len(train) * 2
    assert second.training_flops == first.training_flops * 3 / 2
    assert go([0, 1, 2])[0].trials[:2] == first.trials, "what was finished is not trained again"
    assert data.test.uses.count == uses_before


def test_a_ladder_is_not_climbed_on_test_images(data: Data, test: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(LeakedTestImagesError):
        climb([Variant("a", tiny, RECIPE)], data.train, test, seeds=[0], folder=tmp_path)


@pytest.mark.parametrize("seeds", [[], [0, 0]])
def test_a_ladder_needs_different_seeds(data: Data, tmp_path: Path, seeds: list[int]) -> None:
    train, validation = split(data.train, 0.2, seed=0)
    with pytest.raises(ValueError, match="expected one or more, all different"):
        climb([Variant("a", tiny, RECIPE)], train, validation, seeds=seeds, folder=tmp_path)


def test_the_spread_is_pooled_over_all_rungs() -> None:
    rungs = [rung("a", 50.0, 51.0, 55.0), rung("b", 60.0, 62.0, 61.0), rung("c", 70.0)]
    expected = mean([variance([50, 51, 55]), variance([60, 62, 61])]) ** 0.5
    assert pooled_spread(rungs) == pytest.approx(expected)
    assert pooled_spread(rungs[2:]) is None


def test_a_table_has_each_step_s_gain_error_and_verdict() -> None:
    rungs = [rung("a", 50.0, 52.0), rung("b", 60.0, 60.0), rung("c", 60.5, 60.5)]
    # By hand: variances 2, 0 and 0, so the pooled spread is the root of 2/3, and for two seeds each
    # the standard error of a difference is the same.
    assert ladder_table(rungs).splitlines()[2:] == [
        "| a | 1,234 | 5.6 | 51.00 ± 1.41 |  |  |",
        "| b | 1,234 | 5.6 | 60.00 ± 0.00 | +9.00 ± 0.82 | helps |",
        "| c | 1,234 | 5.6 | 60.50 ± 0.00 | +0.50 ± 0.82 | can't tell |",
    ]
    first, last = ladder_table(rungs[:1] + rungs[2:], against=rungs[1]).splitlines()[2:]
    assert "| -9.00 ± 0.82 | harms |" in first and "| +0.50 ± 0.82 | can't tell |" in last


def test_one_seed_can_not_tell() -> None:
    lines = ladder_table([rung("a", 50.0), rung("b", 60.0)]).splitlines()
    assert lines[3] == "| b | 1,234 | 5.6 | 60.00 | +10.00 | can't tell |"


def test_a_spread_that_is_known_makes_single_seeds_tell() -> None:
    (step,) = steps([rung("b", 53.0)], against=rung("a", 50.0, 50.0), spread=1.0)
    assert step.error == pytest.approx((1 + 1 / 2) ** 0.5) and step.verdict == "helps"


def test_the_verdicts_are_told_in_words() -> None:
    rungs = [rung("a", 50.0, 52.0), rung("b", 60.0, 60.0), rung("c", 60.5, 60.5)]
    assert verdicts(rungs).splitlines() == [
        "- **Helped:** b (+9.00).",
        "- **Did harm:** none.",
        "- **Not told apart from luck:** c (+0.50).",
    ]
    assert "**Did harm:** a (-9.00)." in verdicts(rungs[:1], against=rungs[1])


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no rungs"):
        ladder_table([])
