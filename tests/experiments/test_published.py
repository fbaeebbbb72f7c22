from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import pytest

from cifar_lab.experiments import published
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.ingredients import leave_one_out
from cifar_lab.experiments.published import (
    load_published,
    load_published_run,
    pareto_front,
    published_run_names,
    save_published,
    summarize,
)
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.trials import Trial, save_trials
from cifar_lab.models.counting import count_parameters, count_training_flops
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.recipe import Recipe

MakeResult = Callable[..., Result]


def test_an_experiment_s_figures_are_over_its_seeds(make_result: MakeResult) -> None:
    runs = [
        make_result(accuracy, seed=seed, training_flops=1e12)
        for seed, accuracy in enumerate([50.0, 52.0, 57.0])
    ]
    (one,) = summarize({"cifar10-mlp": runs})
    assert one.test_accuracies == {0: 50.0, 1: 52.0, 2: 57.0}
    assert one.accuracy == mean([50, 52, 57]) and one.spread == stdev([50, 52, 57])
    assert (one.parameters, one.training_flops) == (308_310, 1e12)
    (alone,) = summarize({"cifar10-mlp": runs[:1]})
    assert alone.spread == 0


@pytest.mark.parametrize("change", [{"parameters": 5}, {"dataset": "cifar100"}])
def test_runs_of_different_kinds_have_no_mean(
    make_result: MakeResult, change: dict[str, object]
) -> None:
    runs = [make_result(training_flops=1e12), make_result(seed=1, training_flops=1e12, **change)]
    with pytest.raises(ValueError, match="cifar10-mlp has runs of 2 kinds"):
        summarize({"cifar10-mlp": runs})


def test_results_without_their_cost_are_named(make_result: MakeResult) -> None:
    with pytest.raises(ValueError, match="made before the cost of training was counted"):
        summarize({"cifar10-mlp": [make_result()]})


def test_figures_come_back_from_their_file(make_result: MakeResult, tmp_path: Path) -> None:
    runs = [
        make_result(seed=seed, training_flops=1e12, views={"six": 60.0 + seed}) for seed in (0, 1)
    ]
    figures = summarize({"a": runs, "b": [replace(runs[0], views={})]})
    assert [one.views for one in figures] == [{"six": {0: 60.0, 1: 61.0}}, {}]
    save_published(figures, tmp_path / "figures.json")
    assert load_published(tmp_path / "figures.json") == figures


@pytest.mark.parametrize("text", ["", "{}x", '[{"title": "a"}]', "[3]"])
def test_a_file_with_something_else_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.json").write_text(text)
    with pytest.raises(ValueError, match=r"notes\.json holds no figures"):
        load_published(tmp_path / "notes.json")


def test_the_package_s_own_figures_are_of_its_experiments_on_real_images() -> None:
    figures = load_published()
    assert len({one.experiment for one in figures}) == len(figures)
    for one in figures:
        experiment = EXPERIMENTS[one.experiment]
        classes = {"cifar10": 10, "cifar100": 100}[one.dataset]
        assert one.dataset == experiment.dataset and one.title == experiment.title
        model = experiment.build_model(classes)
        assert one.parameters == count_parameters(model)
        images = 50_000 * (1 - experiment.validation_fraction)
        flops = count_training_flops(model) * images * experiment.recipe.epochs
        assert one.training_flops == pytest.approx(flops)


def test_the_front_is_what_no_other_point_beats() -> None:
    generator = random.Random(0)
    for _ in range(50):
        points = [(generator.randrange(6), generator.randrange(6)) for _ in range(8)]
        front = pareto_front(points)
        for number, (cost, accuracy) in enumerate(points):
            beaten = any(
                c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points
            )
            assert (points[number] in [points[one] for one in front]) is not beaten
        costs = [points[number][0] for number in front]
        assert all(one < other for one, other in itertools.pairwise(costs)), "each place once"


@pytest.mark.parametrize("name", published_run_names())
def test_a_published_run_is_of_its_experiment_s_model_and_data(name: str) -> None:
    result, experiment = load_published_run(name), EXPERIMENTS[name]
    assert result.experiment.removesuffix("-held-out-0.1") == name
    assert result.dataset == experiment.dataset
    model = experiment.build_model(result.num_classes)
    assert result.parameters == count_parameters(model)
    assert result.recipe == experiment.recipe.with_epochs(result.recipe.epochs)
    # A tenth of the training images was held out to draw the curve by.
    trained_on = 45_000 * len(result.history)
    assert result.training_flops == count_training_flops(model) * trained_on
    curve = [record.validation_accuracy for record in result.history]
    assert all(accuracy is not None and 0 < accuracy < 100 for accuracy in curve)
    assert result.test_uses == 1


def test_a_run_that_nobody_made_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="cifar100-smallcifarnet"):
        load_published_run("cifar100-smallcifarnets")


def test_figures_are_read_whatever_an_editor_put_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_published(load_published(), "~/figures.json")
    path = tmp_path / "figures.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_published("~/figures.json") == load_published()


def test_a_comparison_that_ships_is_loaded_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(epochs=1, batch_size=16, optimizer="adam", learning_rate=1e-3)
    histories = {seed: History([EpochRecord(1, 1.0, 50.0, None, 1.0)]) for seed in (0, 1)}
    trial = Trial("no crop", "", "cifar100", recipe, 12, 5e9, 5000, histories)
    (tmp_path / "some-run").mkdir()
    save_trials([trial], tmp_path / "some-ablation.json")
    monkeypatch.setattr(published, "RUNS_FOLDER", tmp_path)
    assert published.load_published_trials("some-ablation") == [trial]
    assert published.published_run_names() == ["some-run"]
    with pytest.raises(ValueError, match="Did you mean 'some-ablation'"):
        published.load_published_trials("some-ablatoin")


def test_the_ablation_that_ships_is_of_the_experiment_as_it_is_now() -> None:
    experiment = EXPERIMENTS["cifar100-smallcifarnet"]
    trials = published.load_published_trials("cifar100-smallcifarnet-ablation")
    assert [trial.title for trial in trials] == [
        variant.title for variant in leave_one_out(experiment, 100)
    ]
    assert {len(trial.history) for trial in trials} == {15}
    whole = replace(experiment.recipe, keep_best=False, patience=None)
    assert trials[0].recipe == replace(whole.with_epochs(15), ema_decay=0.95)
