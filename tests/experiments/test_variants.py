from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import mean, variance

import pytest
from torch import nn

from cifar_lab.data.augment import RandomHorizontalFlip
from cifar_lab.data.image_set import Data, ImageSet, split
from cifar_lab.experiments.comparison_log import ComparisonLog
from cifar_lab.experiments.variants import (
    Trial,
    Variant,
    compare_variants,
    gains,
    load_trials,
    pooled_spread,
    save_trials,
)
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import LeakedTestImagesError

RECIPE = Recipe(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05)


def tiny() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 10))


def deep() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 20), nn.Linear(20, 10))


def trial(title: str, *accuracies: float) -> Trial:
    histories = {
        seed: History([EpochRecord(1, 1.0, accuracy, None, 1.0)])
        for seed, accuracy in enumerate(accuracies)
    }
    return Trial(title, "", "cifar10", RECIPE, 1234, 5.6e12, 5000, histories)


def compare(
    variants: list[Variant], data: Data, folder: Path, seeds: tuple[int, ...] = (0,)
) -> list[Trial]:
    train, validation = split(data.train, 0.2, seed=0)
    return compare_variants(variants, train, validation, seeds=seeds, folder=folder, device="cpu")


def test_each_variant_is_trained_from_each_seed_and_none_twice(data: Data, tmp_path: Path) -> None:
    uses_before = data.test.uses.count
    variants = [Variant("first", tiny, RECIPE), Variant("second", tiny, RECIPE.with_epochs(3))]
    first, second = compare(variants, data, tmp_path, (0, 1))
    assert (first.title, second.title) == ("first", "second")
    assert list(first.histories) == [0, 1] and first.histories[0] != first.histories[1]
    assert first.history == first.histories[0]
    assert first.parameters == 490 and first.validation_images == 10
    # By hand: a linear layer's product forward, and for its weights' gradient; none for the images.
    assert first.training_flops == 2 * 2 * 480 * 40 * 2
    assert second.training_flops == first.training_flops * 3 / 2
    again = compare(variants, data, tmp_path, (0, 1, 2))[0]
    assert {seed: again.histories[seed] for seed in (0, 1)} == first.histories
    assert data.test.uses.count == uses_before


def test_variants_are_compared_by_the_last_epoch(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = replace(RECIPE, learning_rate=1e-9, patience=1, keep_best=True)
    variants = [Variant("as it is", tiny, RECIPE), Variant("no learning", tiny, slow)]
    both = compare(variants, data, tmp_path)
    for each in both:
        assert len(each.history) == 2, "no variant stops early"
        assert each.accuracy == each.history[-1].validation_accuracy
        assert each.history[-1].test_accuracy is None
    assert both[0].history[-1].train_loss < both[1].history[-1].train_loss
    assert "no learning" in capsys.readouterr().out


def test_a_changed_recipe_or_model_is_trained_from_scratch(data: Data, tmp_path: Path) -> None:
    variant = Variant("mine", tiny, RECIPE)
    first = compare([variant], data, tmp_path)
    (recipe,) = compare(
        [replace(variant, recipe=replace(RECIPE, learning_rate=0.2))], data, tmp_path
    )
    (model,) = compare([replace(variant, build_model=deep)], data, tmp_path)
    assert recipe.history != first[0].history and model.history != first[0].history
    assert compare([variant], data, tmp_path) == first


def test_checkpoints_of_a_single_seed_in_the_folder_itself_are_found(
    data: Data, tmp_path: Path
) -> None:
    """An earlier version kept them there: a notebook that it began is finished with them."""
    variant = Variant("as it is", tiny, RECIPE)
    first = compare([variant], data, tmp_path / "new")
    (checkpoint,) = (tmp_path / "new" / "seed-0").glob("as-it-is-????????.pt")
    (tmp_path / "old").mkdir()
    checkpoint.rename(tmp_path / "old" / checkpoint.name)
    assert compare([variant], data, tmp_path / "old") == first
    assert not (tmp_path / "old" / "seed-0").exists()


def test_a_line_for_each_run_says_how_many_are_left(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = [Variant("a", tiny, RECIPE), Variant("a long title", tiny, RECIPE)]
    compare(variants, data, tmp_path, (0, 1))
    lines = capsys.readouterr().out.splitlines()
    numbers, titles = ("[1/4]", "[2/4]", "[3/4]", "[4/4]"), ("a           ", "a long title") * 2
    for line, number, title, seed in zip(lines, numbers, titles, (0, 0, 1, 1), strict=True):
        assert line.startswith(f"{number} {title}  seed {seed}: validation accuracy ")
    assert all(re.search("; about .* left$", line) for line in lines[:3])
    assert lines[3].endswith(" s")
    compare(variants, data, tmp_path, (0, 1))
    assert capsys.readouterr().out.count(", already trained\n") == 4


def test_the_time_left_is_in_proportion_to_the_operations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cheap = replace(trial("cheap", 50.0, 50.0), training_flops=1e13)
    dear = replace(trial("dear", 50.0, 50.0), training_flops=3e13)
    log = ComparisonLog([cheap, dear], seeds=2)
    log.add(cheap, 0, epochs=2, seconds=100.0)  # 1e13 in 100 s; 7e13 are left
    log.add(dear, 0, epochs=0, seconds=0.1)  # 4e13
    log.add(cheap, 1, epochs=1, seconds=200.0)  # 1.5e13 in 300 s; 3e13 are left
    log.add(dear, 1, epochs=2, seconds=100.0)
    said = [line.partition("; ")[2] for line in capsys.readouterr().out.splitlines()]
    assert said == ["about 12 minutes left", "about 7 minutes left", "about 10 minutes left", ""]


def test_a_backup_brings_a_comparison_to_another_machine(data: Data, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    variants = [Variant("a", tiny, RECIPE), Variant("b", deep, RECIPE)]
    train, validation = split(data.train, 0.2, seed=0)
    epochs = []

    def compared(place: str) -> list[Trial]:
        return compare_variants(
            variants, train, validation, folder=tmp_path / place / "ladder", device="cpu",
            backup=tmp_path / "drive", callback=lambda progress: epochs.append(progress.title),
        )  # fmt: skip

    first = compared("one")
    assert epochs == ["a", "a", "b", "b"]
    copies, kept = (
        {path.read_bytes(): path.relative_to(tmp_path / place).parent
         for path in (tmp_path / place).rglob("*.pt")}
        for place in ("drive", "one")
    )  # fmt: skip
    assert copies == kept and len(kept) == 2
    assert compared("two") == first and len(epochs) == 4, "nothing was trained again"
    # A checkpoint that the backup lacks gets there.
    for copy in (tmp_path / "drive").rglob("*.pt"):
        copy.unlink()
    assert compared("two") == first and len(epochs) == 4
    assert len(list((tmp_path / "drive").rglob("*.pt"))) == 2
    with pytest.raises(FileNotFoundError, match="mount the drive first"):
        compare_variants(
            variants, train, validation, folder=tmp_path / "three", backup=tmp_path / "none"
        )


def test_trials_come_back_from_their_file(data: Data, tmp_path: Path) -> None:
    recipe = replace(RECIPE, augment=(RandomHorizontalFlip(),))
    trials = compare([Variant("a", tiny, recipe, "architecture")], data, tmp_path, (0, 3))
    save_trials(trials, tmp_path / "trials.json")
    loaded = load_trials(tmp_path / "trials.json")
    assert loaded == trials and isinstance(loaded[0].history, History)
    for text in ("", "{}x", "[1]", '[{"title": "a"}]', "3"):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(ValueError, match=r"other.json holds no trials"):
            load_trials(tmp_path / "other.json")


def test_a_trial_shows_itself_in_a_line() -> None:
    assert repr(trial("no crop", 50.0, 52.0)) == (
        "Trial(no crop: validation accuracy 51.00 ± 1.41 %, 2 seeds, on cifar10, 1,234 parameters)"
    )


def test_a_network_is_not_taken_for_what_builds_it() -> None:
    with pytest.raises(TypeError, match="build_model is a Sequential that is already built"):
        Variant("mine", tiny(), RECIPE)  # type: ignore[arg-type]


def test_choosing_by_test_images_is_refused(data: Data, test: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(LeakedTestImagesError, match="validation"):
        compare_variants([Variant("a", tiny, RECIPE)], data.train, test, folder=tmp_path)


@pytest.mark.parametrize("count", [0, 2])
def test_variants_need_titles_of_their_own(data: Data, tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="titles are .*; expected one or more, all different"):
        compare([Variant("mine", tiny, RECIPE)] * count, data, tmp_path)


@pytest.mark.parametrize("seeds", [(), (0, 0)])
def test_a_comparison_needs_different_seeds(
    data: Data, tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="seeds are .*; expected one or more, all different"):
        compare([Variant("a", tiny, RECIPE)], data, tmp_path, seeds)


def test_the_spread_is_pooled_over_all_variants() -> None:
    trials = [trial("a", 50.0, 51.0, 55.0), trial("b", 60.0, 62.0, 61.0), trial("c", 70.0)]
    expected = mean([variance([50, 51, 55]), variance([60, 62, 61])]) ** 0.5
    assert pooled_spread(trials) == pytest.approx(expected)
    assert pooled_spread(trials[2:]) is None


def test_a_gain_has_an_error_and_a_verdict() -> None:
    trials = [trial("a", 50.0, 52.0), trial("b", 60.0, 60.0), trial("c", 60.5, 60.5)]
    # By hand: variances 2, 0 and 0, so the pooled spread is the root of 2/3, and for two seeds each
    # the standard error of a difference is the same.
    error = pytest.approx((2 / 3) ** 0.5)
    steps = [(gain.trial.title, gain.points, gain.error, gain.verdict) for gain in gains(trials)]
    assert steps == [("b", 9.0, error, "helps"), ("c", 0.5, error, "can't tell")]
    over_b = [(gain.points, gain.verdict) for gain in gains(trials, against=trials[1])]
    assert over_b == [(-9.0, "harms"), (0.5, "can't tell")]


def test_from_one_seed_the_error_is_that_of_the_images() -> None:
    start = trial("a", 50.0)
    much, little, less = trial("b", 60.0), trial("c", 51.0), trial("d", 35.0)
    # By hand: two binomial shares of 5,000 images.
    error = 100 * (0.5 * 0.5 / 5000 + 0.6 * 0.4 / 5000) ** 0.5
    verdicts = [(gain.points, gain.verdict) for gain in gains([much, little, less], against=start)]
    assert verdicts == [
        (10.0, "helps (one seed)"),
        (1.0, "can't tell"),
        (-15.0, "harms (one seed)"),
    ]
    assert gains([start, much])[0].error == pytest.approx(error)


def test_a_known_spread_makes_single_seeds_tell() -> None:
    (gain,) = gains([trial("b", 53.0)], against=trial("a", 50.0, 50.0), spread=1.0)
    assert gain.error == pytest.approx((1 + 1 / 2) ** 0.5) and gain.verdict == "helps"
