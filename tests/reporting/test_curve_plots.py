from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cifar_lab.data.augment import CutMix
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Trial
from cifar_lab.reporting import plots
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.recipe import Recipe

Check = Callable[[Figure], None]
MakeResult = Callable[..., Result]


def long_history(epochs: int = 40) -> History:
    """The accuracy rises to epoch 30 and falls after it; validation loss was measured."""
    return History(
        EpochRecord(epoch, 4 / epoch, 60 - abs(epoch - 30), None, 1.0, 4 / epoch + 0.5)
        for epoch in range(1, epochs + 1)
    )


def values(lines: list[Line2D]) -> list[list[float]]:
    return [np.asarray(line.get_ydata(), dtype=float).tolist() for line in lines]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def stars(axes: Axes) -> list[tuple[float, float]]:
    return [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "*"]


def test_learning_curves_have_a_line_a_result(
    make_result: MakeResult, assert_drawable: Check
) -> None:
    unwatched = [EpochRecord(epoch, 1.5, None, None, 1.0) for epoch in (1, 2, 3)]
    results = [make_result(60.0, title="A"), make_result(title="B", history=unwatched)]
    figure = plots.plot_learning_curves(results)
    losses, accuracies = figure.axes
    assert values(losses.lines) == [[2.0, 1.25], [1.5] * 3]
    assert [line.get_xdata().tolist() for line in losses.lines] == [[1, 2], [1, 2, 3]]
    watched, gap = values(accuracies.lines)
    assert watched == [50.0, 60.0] and np.isnan(gap).all()
    assert legend(figure) == ["A", "B"]
    assert (losses.get_ylabel(), accuracies.get_ylabel()) == ("training loss", "test accuracy (%)")
    assert "A: training loss 2.00 after epoch 1, 1.25 after epoch 2; test accuracy 60.00 %" in (
        figure.alt
    )
    assert_drawable(figure)


def test_validation_loss_is_dashed_in_the_colour_of_the_training_loss(
    assert_drawable: Check,
) -> None:
    figure = plots.plot_learning_curves(long_history())
    train, validation = figure.axes[0].lines
    assert train.get_color() == validation.get_color()
    assert (train.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert values([validation])[0] == pytest.approx([4 / epoch + 0.5 for epoch in range(1, 41)])
    assert {"training loss", "validation loss", "best epoch by validation"} <= set(legend(figure))
    assert figure.axes[1].get_ylabel() == "validation accuracy (%)"
    assert_drawable(figure)


def test_the_best_epoch_by_validation_is_marked_and_none_by_test(make_result: MakeResult) -> None:
    figure = plots.plot_learning_curves(long_history())
    assert stars(figure.axes[1]) == [(30, 60)]
    assert "best: 60.00 % after epoch 30" in figure.alt
    assert not stars(plots.plot_learning_curves(make_result()).axes[1])


def test_long_runs_have_no_marks_and_leave_out_the_extremes_of_their_start(
    make_result: MakeResult,
) -> None:
    losses, accuracies = plots.plot_learning_curves(long_history()).axes
    assert all(line.get_marker() == "None" for line in losses.lines)
    assert losses.get_ylim()[1] < 4, "the loss of the first epoch"
    assert 31 < accuracies.get_ylim()[0] < 35, "the accuracy after the first epoch is 31"
    losses, _ = plots.plot_learning_curves(make_result()).axes
    assert all(line.get_marker() != "None" for line in losses.lines)
    assert losses.get_ylim()[1] > 2


def test_the_end_of_mixing_is_marked(make_result: MakeResult, assert_drawable: Check) -> None:
    recipe = Recipe(40, 8, "sgd", 0.1, mix=CutMix(), unmixed_epochs=6)
    result = make_result(history=long_history(), recipe=recipe)
    figure = plots.plot_learning_curves(result)
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["mixing ends"]
        assert axes.texts[0].xy[0] == 34.5
    assert_drawable(figure)
    plain = plots.plot_learning_curves(replace(result, recipe=Recipe(40, 8, "sgd", 0.1)))
    assert not any(axes.texts for axes in plain.axes)


def test_all_that_has_a_history_can_be_plotted(
    make_result: MakeResult, make_trial: Callable[..., Trial]
) -> None:
    history, result, trial = long_history(3), make_result(title="A"), make_trial("T", 50.0, 52.0)
    for runs, titles in (
        (history, ["this run"]),
        (list(history), ["this run"]),
        (result, ["A"]),
        (trial, ["T"]),
        ([result, trial], ["A", "T"]),
        ([history, history], ["run 1", "run 2"]),
        ({"small": history, "large": history}, ["small", "large"]),
        ({"a": result, "t": trial}, ["A", "T"]),
        ({"a": [result], "t": [trial]}, ["A", "T"]),
        ([result, make_result(title="A", seed=3)], ["A, seed 0", "A, seed 3"]),
        ({"slow": result, "fast": make_result(title="A")}, ["slow", "fast"]),
    ):
        figure = plots.plot_learning_curves(runs)
        names = [name.split(" (")[0] for name in legend(figure)]  # (test), where both kinds are
        assert names[: len(titles)] == titles
        lines = figure.legends[0].get_lines()[: len(titles)]
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(titles)


def test_what_has_no_history_is_refused() -> None:
    with pytest.raises(TypeError, match="7 has no learning curve; expected the history"):
        plots.plot_learning_curves([7])
    with pytest.raises(ValueError, match="no curves to plot"):
        plots.plot_learning_curves([])
    with pytest.raises(ValueError, match="no epochs"):
        plots.plot_learning_curves(History())


def test_accuracy_against_cost_shares_a_training_s_operations_among_its_epochs(
    make_result: MakeResult, assert_drawable: Check
) -> None:
    """A training of 6e12 operations over three epochs has done 2e12 after the first."""
    validated = [EpochRecord(epoch, 1.5, 10.0 * epoch, None, 1.0) for epoch in (1, 2, 3)]
    results = [
        make_result(60.0, title="A", training_flops=1e12),
        make_result(title="B", history=validated, training_flops=6e12),
    ]
    figure = plots.plot_accuracy_against_cost(results)
    (axes,) = figure.axes
    first, second = axes.lines
    assert first.get_xdata().tolist() == pytest.approx([0.5, 1])
    assert first.get_ydata().tolist() == [50.0, 60.0]
    assert second.get_xdata().tolist() == pytest.approx([2, 4, 6])
    assert second.get_ydata().tolist() == [10.0, 20.0, 30.0]
    assert legend(figure) == ["A (test)", "B (validation)"]
    assert axes.get_xscale() == "log" and "TFLOPs" in axes.get_xlabel()
    assert_drawable(figure)


def test_a_result_without_its_cost_is_named(make_result: MakeResult) -> None:
    with pytest.raises(ValueError, match="The run of A was made before its cost"):
        plots.plot_accuracy_against_cost([make_result(title="A")])


def test_shifts_have_a_line_a_network_with_its_name_at_the_end(assert_drawable: Check) -> None:
    accuracies = {"MLP": [40.0, 30.0, 20.0], "A": [60.0, 58.0, 55.0], "B": [61.0, 58.0, 55.2]}
    figure = plots.plot_shift([0, 2, 4], accuracies)
    (axes,) = figure.axes
    assert values(axes.lines) == list(accuracies.values())
    assert all(line.get_xdata().tolist() == [0, 2, 4] for line in axes.lines)
    assert [text.get_text() for text in axes.texts] == list(accuracies)
    assert_drawable(figure)
    heights = [text.get_window_extent() for text in axes.texts]
    assert heights[0].y1 < heights[1].y0 < heights[1].y1 <= heights[2].y0 + 1


def test_the_learning_rate_is_drawn_step_by_step(assert_drawable: Check) -> None:
    recipe = Recipe(4, 8, "sgd", 0.2, schedule="cosine", warmup_epochs=2, schedule_per="epoch")
    figure = plots.plot_learning_rate(recipe, steps_per_epoch=3)
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xdata(), np.arange(12) / 3)
    # By hand: warm-up to 0.1 and 0.2; then half a cosine over two epochs: 0.2, 0.1.
    np.testing.assert_allclose(line.get_ydata(), np.repeat([0.1, 0.2, 0.2, 0.1], 3))
    assert_drawable(figure)
