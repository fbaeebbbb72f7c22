from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.published import summarize
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Trial
from cifar_lab.reporting import plots
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord

MakeResult = Callable[..., Result]
RECIPE = Recipe(epochs=1, batch_size=8, optimizer="sgd", learning_rate=0.1)


def assert_drawable(figure: Figure) -> None:
    """It saves to a PNG that is not a blank page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    assert np.asarray(Image.open(buffer).convert("L")).std() > 1


def shown(figure: Figure) -> list[np.ndarray]:
    """All pictures of a figure, in order."""
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_images_stand_in_a_row_of_their_class(train: ImageSet) -> None:
    figure = plots.plot_images(train, per_class=3)
    pictures = shown(figure)
    assert len(pictures) == 30
    for label, name in enumerate(train.class_names):
        of_class = train.images[train.labels == label][:3].permute(0, 2, 3, 1)
        np.testing.assert_array_equal(pictures[3 * label : 3 * label + 3], of_class)
        assert figure.axes[3 * label].texts[0].get_text() == name
    assert_drawable(figure)


def test_a_class_with_few_images_leaves_its_row_short(train: ImageSet) -> None:
    few = train.subset(torch.tensor([0, 1]))
    assert len(shown(plots.plot_images(few, per_class=4))) == 2


def test_predictions_show_the_true_class_and_the_likeliest(train: ImageSet) -> None:
    logits = torch.zeros(len(train), 10)
    logits[7, [2, 5, 1]] = torch.tensor([0.6, 0.3, 0.02]).log() - np.log(0.08 / 7)
    figure = plots.plot_predictions(train, logits, [7, 0])
    assert len(shown(figure)) == 2
    np.testing.assert_array_equal(shown(figure)[0], train.images[7].permute(1, 2, 0))
    names = train.class_names
    assert figure.axes[0].get_title().splitlines() == [
        f"true: {names[int(train.labels[7])]}",
        f"{names[2]} 60 %",
        f"{names[5]} 30 %",
        f"{names[1]} 2 %",
    ]
    assert_drawable(figure)


def test_learning_curves_have_a_line_a_result(make_result: MakeResult) -> None:
    unwatched = [EpochRecord(epoch, 1.5, None, None, 1.0) for epoch in (1, 2, 3)]
    results = [make_result(60.0, title="A"), make_result(title="B", history=unwatched)]
    figure = plots.plot_learning_curves(results)
    losses, accuracies = figure.axes
    assert [line.get_ydata().tolist() for line in losses.lines] == [[2.0, 1.25], [1.5] * 3]
    assert [line.get_xdata().tolist() for line in losses.lines] == [[1, 2], [1, 2, 3]]
    watched, gap = (line.get_ydata() for line in accuracies.lines)
    assert watched.tolist() == [50.0, 60.0] and np.isnan(gap).all()
    assert [text.get_text() for text in accuracies.get_legend().get_texts()] == ["A", "B"]
    assert_drawable(figure)


def test_accuracy_against_cost_shares_a_training_s_operations_among_its_epochs(
    make_result: MakeResult,
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
    assert first.get_xdata().tolist() == pytest.approx([0.5e12, 1e12])
    assert first.get_ydata().tolist() == [50.0, 60.0]
    assert second.get_xdata().tolist() == pytest.approx([2e12, 4e12, 6e12])
    assert second.get_ydata().tolist() == [10.0, 20.0, 30.0]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["A", "B (validation)"]
    assert axes.get_xscale() == "log"
    assert_drawable(figure)


def test_a_result_without_its_cost_is_named(make_result: MakeResult) -> None:
    with pytest.raises(ValueError, match="The run of A was made before its cost"):
        plots.plot_accuracy_against_cost([make_result(title="A")])


def test_accuracy_against_parameters_has_a_named_point_a_result(make_result: MakeResult) -> None:
    sizes = {"A": (42_362, 60.0), "B": (308_310, 41.0), "C": (121_306, 72.0)}
    results = [
        make_result(accuracy, title=title, parameters=parameters)
        for title, (parameters, accuracy) in sizes.items()
    ]
    figure = plots.plot_accuracy_against_parameters(results)
    (axes,) = figure.axes
    points = [tuple(points.get_offsets()[0]) for points in axes.collections]
    assert points == list(sizes.values())
    assert [text.get_text() for text in axes.texts] == list(sizes)
    assert [text.xy for text in axes.texts] == points
    assert axes.get_xscale() == "log"
    assert_drawable(figure)


def test_results_at_one_point_share_it_and_keep_their_names(make_result: MakeResult) -> None:
    results = [make_result(title="A"), make_result(title="B"), make_result(60.0, title="C")]
    (axes,) = plots.plot_accuracy_against_parameters(results).axes
    assert len(axes.collections) == 2
    assert [text.get_text() for text in axes.texts] == ["A = B", "C"]


def test_variants_have_a_bar_each_and_a_dot_for_each_seed() -> None:
    def trial(title: str, *accuracies: float) -> Trial:
        histories = {
            seed: [EpochRecord(1, 1.0, accuracy, None, 1.0)]
            for seed, accuracy in enumerate(accuracies)
        }
        return Trial(title, "", "cifar10", RECIPE, 10, 1e12, 100, histories)

    figure = plots.plot_variants([trial("bottom", 70.0, 72.0), trial("top", 80.0, 81.0)])
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [71, 80.5]
    assert [list(line.get_xdata()) for line in axes.lines] == [[70, 72], [80, 81]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bottom", "top"]
    assert_drawable(figure)


def test_the_frontier_has_both_costs_and_a_front_for_each_dataset(make_result: MakeResult) -> None:
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
    by_parameters, by_flops = figure.axes
    assert by_parameters.get_xscale() == by_flops.get_xscale() == "log"
    fronts = [  # beside the fronts, an axes' lines are the points and the caps of their bars
        [line.get_xydata().tolist() for line in axes.lines if line.get_color() == "lightgrey"]
        for axes in (by_parameters, by_flops)
    ]
    assert fronts[0] == [[[100, 60.5]], [[500, 30]]]
    assert fronts[1] == [[[1e12, 50], [2e12, 60.5]], [[5e12, 30]]]
    stars = [line for line in by_flops.lines if line.get_marker() == "*"]
    assert [line.get_xydata().tolist() for line in stars] == [[[2e12, 60.5]]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        f"{title} ({dataset})" for title, (dataset, *_) in figures.items()
    ]
    assert_drawable(figure)


@pytest.mark.parametrize(("dataset", "warned"), [("synthetic", True), ("cifar10", False)])
def test_plots_of_synthetic_figures_say_so(
    make_result: MakeResult, dataset: str, warned: bool
) -> None:
    results = [make_result(dataset=dataset, training_flops=1e12)]
    curves = plots.plot_learning_curves(results).get_suptitle()
    (axes,) = plots.plot_accuracy_against_parameters(results).axes
    frontier = plots.plot_frontier(summarize({"mine": results})).get_suptitle()
    for title in (curves, axes.get_title(), frontier):
        assert ("SYNTHETIC" in title) == warned


def test_a_confusion_matrix_is_in_percent_of_each_true_class() -> None:
    confusion = torch.tensor([[3, 1, 0], [0, 10, 0], [0, 0, 0]])  # the last class never came
    figure = plots.plot_confusion(confusion, ["cat", "dog", "frog"])
    (axes,) = figure.axes
    percent = [[75, 25, 0], [0, 100, 0], [0, 0, 0]]
    np.testing.assert_array_equal(shown(figure)[0], percent)
    assert [int(text.get_text()) for text in axes.texts] == sum(percent, [])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "frog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert_drawable(figure)


def test_each_filter_is_a_picture_over_the_full_range() -> None:
    weights = torch.randn(13, 3, 5, 5)
    weights[4] = 0.25  # a constant one is no division by zero
    figure = plots.plot_weights(weights, columns=5)
    assert len(figure.axes) == 15  # three rows of five
    pictures = shown(figure)
    assert len(pictures) == 13
    for index, picture in enumerate(pictures):
        weight = weights[index].permute(1, 2, 0).numpy()
        low, high = (0, 1) if index == 4 else (weight.min(), weight.max())
        expected = 0 * weight if index == 4 else (weight - low) / (high - low)
        np.testing.assert_allclose(picture, expected, atol=1e-6)
    assert_drawable(figure)


@pytest.mark.parametrize("shape", [(8, 16, 3, 3), (10, 3072)])
def test_weights_that_look_at_no_rgb_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 3, H, W\)"):
        plots.plot_weights(torch.zeros(shape))


def test_shifts_have_a_line_a_network() -> None:
    accuracies = {"MLP": [40.0, 30.0, 20.0], "ConvNet": [60.0, 58.0, 55.0]}
    figure = plots.plot_shift([0, 2, 4], accuracies)
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == list(accuracies.values())
    assert all(line.get_xdata().tolist() == [0, 2, 4] for line in axes.lines)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(accuracies)
    assert_drawable(figure)


def test_augmented_images_stand_beside_the_ones_they_come_from(train: ImageSet) -> None:
    def darken(images: Tensor, generator: torch.Generator) -> Tensor:
        return images * torch.rand(len(images), 1, 1, 1, generator=generator)

    def leave(images: Tensor, generator: torch.Generator) -> Tensor:
        return images

    images = train.images[:3]
    figure = plots.plot_augmented(images, {"darker": darken, "same": leave}, seed=1, draws=2)
    assert [axes.get_title(loc="left") for axes in figure.axes[:5]] == [
        "as it is", "darker", "", "same", "",
    ]  # fmt: skip
    pictures = np.stack(shown(figure)).reshape(3, 5, 32, 32, 3)
    pixels = images.permute(0, 2, 3, 1).numpy() / 255
    for same in (0, 3, 4):
        np.testing.assert_allclose(pictures[:, same], pixels, atol=1e-6)
    factors = pictures[:, 1:3].sum(axis=(2, 3, 4)) / pixels.sum(axis=(1, 2, 3))[:, None]
    assert len(np.unique(factors.round(6))) == 6, "every image and every draw has its own"
    assert_drawable(figure)


def test_the_class_balance_has_a_bar_a_class(train: ImageSet) -> None:
    few = train.subset(torch.nonzero(train.labels != 3).flatten()[:20])
    figure = plots.plot_class_balance({"all": train, "few": few})
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes]
    for images, bars in zip((train, few), heights, strict=True):
        assert bars == [int((images.labels == label).sum()) for label in range(10)]
    assert figure.axes[0].get_title() == "all: 5 to 5" and heights[1][3] == 0
    assert_drawable(figure)


def test_the_learning_rate_is_drawn_step_by_step() -> None:
    recipe = Recipe(4, 8, "sgd", 0.2, schedule="cosine", warmup_epochs=2, schedule_per="epoch")
    (axes,) = plots.plot_learning_rate(recipe, steps_per_epoch=3).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xdata(), np.arange(12) / 3)
    # By hand: warm-up to 0.1 and 0.2; then half a cosine over two epochs: 0.2, 0.1.
    np.testing.assert_allclose(line.get_ydata(), np.repeat([0.1, 0.2, 0.2, 0.1], 3))


def test_class_accuracies_go_from_the_best_to_the_worst() -> None:
    confusion = torch.tensor([[1, 3, 0], [0, 4, 0], [1, 1, 2]])  # 25 %, 100 %, 50 %
    figure = plots.plot_class_accuracies(confusion, ["ant", "bee", "cow"])
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == [100, 50, 25]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["bee", "cow", "ant"]
    assert axes.lines[0].get_ydata()[0] == pytest.approx(175 / 3)
    assert_drawable(figure)
