from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cifar_lab.experiments.published import pareto_front
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Trial
from cifar_lab.models import SimpleMLP
from cifar_lab.models.counting import count_parameters
from cifar_lab.reporting.tables import (
    findings,
    history_table,
    iteration_figures,
    markdown_table,
    results_table,
    source_code,
    uses_of_test_set,
    variants_table,
    verdicts,
)
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.recipe import Recipe

MakeResult = Callable[..., Result]


def cells(table: str) -> list[dict[str, str]]:
    """A Markdown table's rows, each cell by its column."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    header, rule, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines)
    assert all(set(cell) <= {"-", ":"} for cell in rule) and len(rule) == len(header)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_the_table_has_means_and_spreads_over_seeds(make_result: MakeResult) -> None:
    runs = [
        make_result(accuracy, seed=seed, seconds=seconds)
        for accuracy, seed, seconds in [(40.0, 0, 10), (43.0, 1, 20), (44.5, 2, 33), (41.5, 7, 21)]
    ]
    row, other = cells(results_table({"cifar10-mlp": runs, "mine": [make_result(title="Mine")]}))
    # By hand: mean 42.25; deviations -2.25, .75, 2.25, -.75; squares sum to 11.25; over 3, 3.75.
    assert row["test accuracy %"] == f"42.25 ± {math.sqrt(3.75):.2f}"
    assert row["seconds"] == "21"
    assert row["seeds"] == "0-2, 7"
    assert row["experiment"] == "SimpleMLP"
    assert row["parameters"] == "308,310" and row["MACs"] == "308,200"
    assert row["train loss"] == "1.2500"  # the last epoch's
    assert row["course's %"] == "42.35"
    assert other["experiment"] == "Mine" and other["course's %"] == ""
    assert other["test accuracy %"] == "50.00"  # one run has no spread


def test_accuracies_with_several_views_have_a_column_of_their_own(make_result: MakeResult) -> None:
    runs = [make_result(seed=seed, views={"six": 60.0 + 2 * seed}) for seed in (0, 1)]
    with_views, without = cells(results_table({"viewed": runs, "cifar10-mlp": [make_result()]}))
    assert with_views["course's %"] == "" and without["course's %"] == "42.35"
    assert with_views["with six views %"] == f"61.00 ± {math.sqrt(2):.2f}"
    assert with_views["test accuracy %"] == "50.00 ± 0.00" and without["with six views %"] == ""
    mixed = [make_result(), *runs[1:]]  # the first of an earlier version
    for group in ([make_result()], mixed, mixed[::-1]):
        assert "views" not in results_table({"mine": group})


def test_a_mean_over_precisions_is_named_under_the_table(make_result: MakeResult) -> None:
    alike = [make_result(seed=seed) for seed in (0, 1)]
    other = [make_result(title="Mixed", seed=seed) for seed in (0, 1)]
    other[1] = replace(other[1], precision="bf16")
    assert results_table({"alike": alike}).splitlines()[-1].startswith("| SimpleMLP")
    table = results_table({"alike": alike, "other": other})
    assert table.splitlines()[-1] == "Mixed was trained in bf16 and fp32."
    assert len(cells(table)) == 2


def test_runs_on_different_numbers_of_images_have_no_mean(make_result: MakeResult) -> None:
    texts = ["50000 of cifar10, 0123, 4567", "50000 of cifar10, 89ab, 4567", ""]
    alike = [replace(make_result(seed=seed), images=images) for seed, images in enumerate(texts)]
    assert "50.00" in results_table({"alike": alike})
    few = replace(alike[0], images="1000 of cifar10, 0123, 4567")
    with pytest.raises(ValueError, match="training on 1000 of cifar10 and 50000 of cifar10"):
        results_table({"mixed": [*alike, few]})


def test_the_history_has_the_first_the_fifth_the_best_and_the_last_epoch(
    make_result: MakeResult,
) -> None:
    accuracies = [1.0, 9.0, 12.0, 11.0, 10.0, 8.0, 7.0]
    history = [
        EpochRecord(epoch, 4 - epoch / 10, accuracy, None, 2.0)
        for epoch, accuracy in enumerate(accuracies, 1)
    ]
    rows = cells(history_table(make_result(history=history)))
    assert [row["epoch"] for row in rows] == ["1", "3", "5", "7"]
    assert [row["validation accuracy %"] for row in rows] == [
        "1.00",
        "12.00",
        "10.00",
        "7.00",
    ]
    assert [row["note"] for row in rows] == ["", "best", "", ""]
    assert "validation loss" not in rows[0]
    assert rows[0]["train loss"] == "3.9000" and rows[0]["seconds"] == "2.0"


def test_a_history_without_validation_has_no_best_epoch(make_result: MakeResult) -> None:
    rows = cells(history_table(make_result()))
    assert [row["validation accuracy %"] for row in rows] == ["", ""]
    assert [row["note"] for row in rows] == ["", ""]


def test_the_history_has_the_validation_loss_where_it_was_measured(make_result: MakeResult) -> None:
    history = [EpochRecord(1, 2.0, 20.0, None, 1.0, 2.25), EpochRecord(2, 1.5, 30.0, None, 1.0)]
    rows = cells(history_table(make_result(history=history)))
    assert [row["validation loss"] for row in rows] == ["2.2500", ""]


def test_uses_of_the_test_set_are_told(make_result: MakeResult) -> None:
    once = make_result(test_uses=1)
    assert uses_of_test_set({"a": [once, once]}) == "Each run evaluated on the test set once."
    mixed = {"a": [once], "b": [make_result(test_uses=4)]}
    assert uses_of_test_set(mixed).endswith("test set between 1 and 4 times.")


@pytest.mark.parametrize(("dataset", "title"), [("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100")])
def test_the_table_says_what_it_is_of(make_result: MakeResult, dataset: str, title: str) -> None:
    table = results_table({"cifar10-mlp": [make_result(dataset=dataset)]})
    assert table.splitlines()[0] == f"Test images of {title}."


def test_a_table_of_synthetic_images_says_so_and_leaves_out_the_course_s_figures(
    make_result: MakeResult,
) -> None:
    table = results_table({"cifar10-mlp": [make_result(dataset="synthetic")]})
    assert "SYNTHETIC" in table.splitlines()[0]
    assert "course" not in table and "42.35" not in table
    assert len(cells(table)) == 1


def test_runs_on_different_datasets_are_not_tabulated_together(make_result: MakeResult) -> None:
    runs = {"a": [make_result()], "b": [make_result(dataset="synthetic")]}
    with pytest.raises(ValueError, match="on cifar10 and synthetic; a table compares"):
        results_table(runs)


@pytest.mark.parametrize("results", [{}, {"cifar10-mlp": []}])
def test_a_table_of_nothing_is_refused(results: dict[str, list[Result]]) -> None:
    with pytest.raises(ValueError, match="no results to tabulate"):
        results_table(results)


def three(make_result: MakeResult, *accuracies: float) -> list[Result]:
    sizes = [("MLP", 300_000, 300_000), ("Conv", 30_000, 1_350_000), ("Big", 900_000, 10_000)]
    return [
        make_result(accuracy, title=title, parameters=parameters, macs=macs)
        for accuracy, (title, parameters, macs) in zip(accuracies, sizes, strict=True)
    ]


def test_an_iteration_has_its_figures_beside_those_of_the_network_before(
    make_result: MakeResult,
) -> None:
    text = iteration_figures(three(make_result, 41.25, 61.5, 60.75))
    alike, first, table, second, other = text.split("\n\n")
    assert alike == "On CIFAR-10, 2 epochs each, seed 0."
    assert (first, second) == ("**Iteration 1: Conv**", "**Iteration 2: Big**")
    # By hand: 30 of 300 thousand is a tenth, 1350 of 300 thousand 4.5 times; 61.5 - 41.25.
    assert table.splitlines()[2:] == [
        "| Parameters | 300,000 | 30,000 | × 0.10 |",
        "| MACs per image | 300,000 | 1,350,000 | × 4.50 |",
        "| Result: test accuracy % | 41.25 | 61.50 | +20.25 |",
    ]
    assert [row["change"] for row in cells(other)] == ["× 30.00", "× 0.0074", "-0.75"]


def test_the_figures_of_iterations_hold_no_opinion(make_result: MakeResult) -> None:
    text = iteration_figures(three(make_result, 41.25, 61.5, 60.75)).lower()
    assert not any(word in text for word in ("better", "worse", "beat", "more", "fewer", "best"))


def test_figures_on_synthetic_images_say_so(make_result: MakeResult) -> None:
    runs = [make_result(dataset="synthetic") for _ in range(3)]
    assert "SYNTHETIC dataset (not CIFAR)" in iteration_figures(runs).splitlines()[0]


def test_earlier_notebooks_find_the_figures_under_their_old_name() -> None:
    assert findings is iteration_figures


@pytest.mark.parametrize("count", [0, 1])
def test_figures_need_an_iteration(make_result: MakeResult, count: int) -> None:
    with pytest.raises(ValueError, match=f"There is {count} result.*a baseline and at least one"):
        iteration_figures([make_result() for _ in range(count)])


def test_iterations_that_differ_in_more_than_the_network_are_refused(
    make_result: MakeResult,
) -> None:
    with pytest.raises(ValueError, match="differ in dataset, recipe, precision or seed"):
        iteration_figures([make_result(), make_result(seed=1)])


def trial(title: str, *accuracies: float) -> Trial:
    histories = {
        seed: [EpochRecord(1, 3.5, accuracy, None, 1.0)] for seed, accuracy in enumerate(accuracies)
    }
    recipe = Recipe(epochs=1, batch_size=16, optimizer="sgd", learning_rate=0.05)
    return Trial(title, "", "cifar10", recipe, 1234, 5.6e12, 5000, histories)


TRIALS = [trial("a", 50.0, 52.0), trial("b", 60.0, 60.0), trial("c", 60.5, 60.5)]


def test_variants_over_seeds_have_spreads_gains_and_verdicts() -> None:
    # By hand: variances 2, 0 and 0, so the pooled spread is the root of 2/3, and for two seeds each
    # the standard error of a difference is the same.
    table, note = variants_table(TRIALS).split("\n\n")
    assert table.splitlines()[2:] == [
        "| a | 1,234 | 5.6 | 3.5000 | 51.00 ± 1.41 |  |  |",
        "| b | 1,234 | 5.6 | 3.5000 | 60.00 ± 0.00 | +9.00 ± 0.82 | helps |",
        "| c | 1,234 | 5.6 | 3.5000 | 60.50 ± 0.00 | +0.50 ± 0.82 | can't tell |",
    ]
    assert "standard deviation between seeds" in note
    first, last = cells(variants_table([TRIALS[0], TRIALS[2]], against=TRIALS[1]))
    assert (first["gain"], first["verdict"]) == ("-9.00 ± 0.82", "harms")
    assert (last["gain"], last["verdict"]) == ("+0.50 ± 0.82", "can't tell")


def test_a_variant_with_one_seed_has_the_standard_error_of_its_images() -> None:
    trials = [trial("everything", 20.0), trial("less", 18.5), trial("wrong", 5.0)]
    table, note = variants_table(trials, against=trials[0]).split("\n\n")
    # By hand: the square root of 0.2 * 0.8 / 5000 is 0.566 %, of 0.185 * 0.815 / 5000 0.549 %.
    first, second, third = cells(table)
    assert first["validation accuracy %"] == "20.00 ± 0.57" and first["gain"] == ""
    assert second["validation accuracy %"] == "18.50 ± 0.55"
    assert second["gain"].startswith("-1.50") and second["verdict"] == "can't tell"
    assert third["verdict"].startswith("harms"), "15 points are no noise of 5,000 images"
    assert "standard error from the number of validation images" in note
    assert "**Did harm:** wrong (-15.00)." in verdicts(trials, against=trials[0])


def test_a_table_of_no_variants_is_refused() -> None:
    with pytest.raises(ValueError, match="no trials to tabulate; compare_variants"):
        variants_table([])


def test_the_verdicts_are_told_in_words() -> None:
    assert verdicts(TRIALS).splitlines() == [
        "- **Helped:** b (+9.00).",
        "- **Did harm:** none.",
        "- **Not told apart from noise:** c (+0.50).",
    ]
    assert "**Did harm:** a (-9.00)." in verdicts(TRIALS[:1], against=TRIALS[1])


def test_source_code_is_the_code_that_runs() -> None:
    namespace: dict[str, Any] = {}
    header = "from __future__ import annotations\nfrom torch import nn\n"
    exec(header + source_code(SimpleMLP, pareto_front), namespace)
    assert count_parameters(namespace["SimpleMLP"]()) == 308_310
    assert namespace["pareto_front"]([(2.0, 3.0), (1.0, 3.0)]) == [1]


def test_columns_of_numbers_are_aligned_at_the_right() -> None:
    rows = [
        ["a", "1,234", "+0.50 ± 0.82", "86.15 %", "× 0.25", "0-2, 7", "3 × 32", "", "-1"],
        ["b", "**5**", "-9", "", "", "4", "10", "", "one"],
    ]
    table = markdown_table(list("abcdefghi"), rows)
    assert table.splitlines()[1] == "|---|---:|---:|---:|---:|---:|---|---|---|"


def test_the_table_of_variants_has_its_numbers_at_the_right_and_words_at_the_left() -> None:
    rule = variants_table(TRIALS).splitlines()[1]
    assert rule == "|---|---:|---:|---:|---:|---:|---|"
