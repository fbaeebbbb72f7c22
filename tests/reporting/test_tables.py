from __future__ import annotations

import math
import re
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
    iteration_sentence,
    results_table,
    source_code,
    uses_of_test_set,
    variants_table,
    verdicts,
)
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord

MakeResult = Callable[..., Result]


def cells(table: str) -> list[dict[str, str]]:
    """A Markdown table's rows, each cell by its column."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    header, rule, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines)
    assert all(set(cell) == {"-"} for cell in rule) and len(rule) == len(header)
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
        "12.00 (best)",
        "10.00",
        "7.00",
    ]
    assert rows[0]["train loss"] == "3.9000" and rows[0]["seconds"] == "2.0"


def test_a_history_without_validation_has_no_best_epoch(make_result: MakeResult) -> None:
    rows = cells(history_table(make_result()))
    assert [row["validation accuracy %"] for row in rows] == ["", ""]


def test_uses_of_the_test_set_are_told(make_result: MakeResult) -> None:
    once = make_result(test_uses=1)
    assert uses_of_test_set({"a": [once, once]}).endswith("on 1 time in each run.")
    mixed = {"a": [once], "b": [make_result(test_uses=4)]}
    assert uses_of_test_set(mixed).endswith("on between 1 and 4 times in each run.")


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


def test_an_iteration_is_told_by_its_ratios_and_its_gain(make_result: MakeResult) -> None:
    before = make_result(42.0, title="A", parameters=300_000, macs=1_000_000)
    after = make_result(60.5, title="B", parameters=30_000, macs=4_500_000)
    there, back = iteration_sentence(before, after), iteration_sentence(after, before)
    assert re.search(r"B\*\* after A: 30,000 parameters \(10.0 times fewer\)", there)
    assert re.search(r"4,500,000 multiply-accumulates .* \(4.5 times as many\)", there)
    assert "60.50 %, 18.50 points more" in there
    assert "300,000 parameters (10.0 times as many)" in back
    assert "(4.5 times fewer)" in back and "42.00 %, 18.50 points less" in back


def three(make_result: MakeResult, *accuracies: float) -> list[Result]:
    sizes = [("MLP", 300_000, 300_000), ("Conv", 40_000, 1_400_000), ("Big", 900_000, 10_000)]
    return [
        make_result(accuracy, title=title, parameters=parameters, macs=macs)
        for accuracy, (title, parameters, macs) in zip(accuracies, sizes, strict=True)
    ]


def test_findings_tell_every_network_s_size_and_accuracy(make_result: MakeResult) -> None:
    text = findings(three(make_result, 41.25, 61.5, 70.75))
    for figures in (
        ("MLP", "300,000 parameters", "41.25 %"),
        ("**Conv** after MLP", "40,000 parameters", "61.50 %", "20.25 points more"),
        ("**Big** after Conv", "900,000 parameters", "70.75 %", "9.25 points more"),
    ):
        assert any(all(figure in line for figure in figures) for line in text.splitlines()), figures
    assert "1 of the 2 other networks beat MLP with fewer parameters" in text
    assert "most accurate is **Big**: 70.75 % with 900,000" in text
    assert "smallest is **Conv**: 40,000" in text
    assert "1 of these compute more" in text
    assert "CIFAR-10, 2 epochs each, seed 0" in text


def test_findings_claim_no_win_where_there_is_none(make_result: MakeResult) -> None:
    text = findings(three(make_result, 50.0, 50.0, 49.0))
    assert "0 of the 2 other networks beat MLP" in text
    assert "most accurate is **MLP**" in text
    assert "1.00 points less" in text
    assert "not less work" not in text  # nothing about better networks


def test_a_better_but_larger_network_is_no_saving(make_result: MakeResult) -> None:
    text = findings(three(make_result, 50.0, 49.0, 60.0))
    assert "0 of the 2 other networks beat MLP with fewer parameters" in text
    assert "not less work" not in text  # the better one, Big, computes less


def test_findings_on_synthetic_images_say_so(make_result: MakeResult) -> None:
    runs = [make_result(dataset="synthetic") for _ in range(3)]
    assert "SYNTHETIC dataset (not CIFAR)" in findings(runs).splitlines()[0]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_findings_need_two_iterations(make_result: MakeResult, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} results; findings need a baseline and"):
        findings([make_result() for _ in range(count)])


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
    table, note = variants_table([trial("everything", 20.0), trial("less", 18.5)]).split("\n\n")
    # By hand: the square root of 0.2 * 0.8 / 5000 is 0.566 %, of 0.185 * 0.815 / 5000 0.549 %.
    first, second = cells(table)
    assert first["validation accuracy %"] == "20.00 ± 0.57" and first["gain"] == ""
    assert second["validation accuracy %"] == "18.50 ± 0.55"
    assert (second["gain"], second["verdict"]) == ("-1.50", "can't tell")
    assert "standard error from the number of validation images" in note


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
