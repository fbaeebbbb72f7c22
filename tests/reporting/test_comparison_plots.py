from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
from matplotlib.figure import Figure

from cifar_lab.experiments.published import load_published, summarize
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Trial
from cifar_lab.reporting import plots
from cifar_lab.reporting.plots.style import BAD, GOOD, NEUTRAL

Check = Callable[[Figure], None]
MakeResult = Callable[..., Result]
MakeTrial = Callable[..., Trial]


def assert_apart(figure: Figure) -> None:
    """No text of the plot's points covers another, and none is outside the figure."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        for one, other in combinations(boxes, 2):
            assert not one.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9))
        for box in boxes:
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_accuracy_against_parameters_has_a_named_point_a_result(
    make_result: MakeResult, assert_drawable: Check
) -> None:
    sizes = {"A": (42_362, 60.0), "B": (308_310, 41.0), "C": (121_306, 72.0)}
    results = [
        make_result(accuracy, title=title, parameters=parameters)
        for title, (parameters, accuracy) in sizes.items()
    ]
    figure = plots.plot_accuracy_against_parameters(results)
    (axes,) = figure.axes
    points = [tuple(points.get_offsets()[0]) for points in axes.collections]
    assert points == list(sizes.values())
    assert {text.get_text(): text.xy for text in axes.texts} == sizes
    assert axes.get_xscale() == "log"
    assert "B: 41.00 % with 308,310" in figure.alt
    assert_drawable(figure)
    low, high = axes.get_xlim()
    ticks = [
        text.get_text() for text in axes.get_xticklabels() if low < text.get_position()[0] < high
    ]
    assert ticks == ["50k", "100k", "200k"]


def test_results_at_one_point_share_it_and_keep_their_names(make_result: MakeResult) -> None:
    results = [make_result(title="A"), make_result(title="B"), make_result(60.0, title="C")]
    (axes,) = plots.plot_accuracy_against_parameters(results).axes
    assert len(axes.collections) == 2
    assert sorted(text.get_text() for text in axes.texts) == ["A = B", "C"]


def test_names_of_points_that_lie_close_do_not_cover_each_other(make_result: MakeResult) -> None:
    results = [
        make_result(60 + step / 4, title=f"a network {step}", parameters=100_000 + 900 * step)
        for step in range(7)
    ]
    assert_apart(plots.plot_accuracy_against_parameters(results))


def test_variants_go_from_top_to_bottom_with_their_gain_on_the_right(
    make_trial: MakeTrial, assert_drawable: Check
) -> None:
    trials = [
        make_trial("first", 70.0, 72.0), make_trial("better", 80.0, 81.0),
        make_trial("same", 80.2, 81.0), make_trial("worse", 60.0, 61.0),
    ]  # fmt: skip
    figure = plots.plot_variants(trials)
    (axes,) = figure.axes
    titles = [label.get_text() for label in axes.get_yticklabels()]
    assert titles == ["first", "better", "same", "worse"]
    low, high = axes.get_ylim()
    assert low > high, "the first stands on top"
    assert [bar.lines[0].get_xdata()[0] for bar in axes.containers] == [71, 80.5, 80.6, 60.5]
    # By hand: the standard deviation of 70 and 72 is the root of two.
    widths = [bar.lines[2][0].get_segments()[0] for bar in axes.containers]
    assert widths[0][:, 0].tolist() == pytest.approx([71 - 2**0.5, 71 + 2**0.5])
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "."]
    assert [list(each) for each in dots] == [list(trial.accuracies) for trial in trials]
    gains = {text.get_text(): text.get_color() for text in axes.texts if text.get_text()[0] in "+-"}
    assert gains == {"+9.50  helps": GOOD, "+0.10  can't tell": NEUTRAL, "-20.10  harms": BAD}
    assert_drawable(figure)
    assert_apart(figure)


def test_variants_can_all_be_compared_with_one(make_trial: MakeTrial) -> None:
    everything, less = make_trial("everything", 20.0), make_trial("less", 12.0)
    figure = plots.plot_variants([everything, less], against=everything)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert "gain over everything" in texts
    assert any(text.startswith("-8.00  harms") for text in texts)
    # By hand: the standard error of 20 % on 5,000 images is 0.566 points.
    (left, _), (right, _) = axes.containers[0].lines[2][0].get_segments()[0]
    assert right - left == pytest.approx(2 * 0.5657, abs=1e-3)


def test_a_plot_of_no_variants_is_refused() -> None:
    with pytest.raises(ValueError, match="no trials to plot"):
        plots.plot_variants([])


def test_the_frontier_has_both_costs_and_a_row_and_a_front_for_each_dataset(
    make_result: MakeResult, assert_drawable: Check
) -> None:
    figures = {  # parameters, operations, accuracies of two seeds
        "A": ("cifar10", 300, 9e12, [40.0, 44.0]),
        "B": ("cifar10", 100, 2e12, [60.0, 61.0]),
        "C": ("cifar10", 200, 1e12, [50.0, 50.0]),
        "D": ("cifar100", 500, 5e12, [30.0, 30.0]),
    }
    results = {
        title: [
            make_result(
                accuracy,
                title=title,
                seed=seed,
                dataset=dataset,
                parameters=parameters,
                training_flops=flops,
            )
            for seed, accuracy in enumerate(accuracies)
        ]
        for title, (dataset, parameters, flops, accuracies) in figures.items()
    }
    figure = plots.plot_frontier(summarize(results), highlight="B")
    assert [axes.get_title() for axes in figure.axes] == ["CIFAR-10"] * 2 + ["CIFAR-100"] * 2
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    fronts = [  # beside the front, an axes' lines are the points and the caps of their bars
        line.get_xydata().tolist()
        for axes in figure.axes
        for line in axes.lines
        if line.get_color() == "lightgrey"
    ]
    assert fronts == [[[100, 60.5]], [[1, 50], [2, 60.5]], [[500, 30]], [[5, 30]]]
    stars = [line for line in figure.axes[1].lines if line.get_marker() == "*"]
    assert [line.get_xydata().tolist() for line in stars] == [[[2, 60.5]]]
    names = [sorted(text.get_text() for text in axes.texts) for axes in figure.axes]
    assert names == [["A", "B", "C"], ["A", "B", "C"], ["D"], ["D"]]
    assert not figure.legends
    assert_drawable(figure)


def test_the_names_of_the_published_frontier_do_not_cover_each_other() -> None:
    assert_apart(plots.plot_frontier(load_published()))


@pytest.mark.parametrize(("dataset", "warned"), [("synthetic", True), ("cifar10", False)])
def test_plots_of_synthetic_figures_say_so(
    make_result: MakeResult, dataset: str, warned: bool
) -> None:
    results = [make_result(dataset=dataset, training_flops=1e12)]
    figure = plots.plot_learning_curves(results)
    curves = figure._suptitle.get_text() if figure._suptitle else ""  # get_suptitle: 3.8
    cost, size = (
        plot(results).axes[0].get_title()
        for plot in (plots.plot_accuracy_against_cost, plots.plot_accuracy_against_parameters)
    )
    frontier = plots.plot_frontier(summarize({"mine": results})).axes[0].get_title()
    for title in (curves, cost, size, frontier):
        assert ("SYNTHETIC" in title) == warned
