from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from cifar_lab.data.image_set import ImageSet
from cifar_lab.reporting import plots

Check = Callable[[Figure], None]
Shown = Callable[[Figure], list[np.ndarray]]


def test_a_confusion_matrix_is_in_percent_of_each_true_class(
    shown: Shown, assert_drawable: Check
) -> None:
    confusion = torch.tensor([[3, 1, 0], [0, 10, 0], [0, 0, 0]])  # the last class never came
    figure = plots.plot_confusion(confusion, ["tame_cat", "dog", "frog"])
    (axes,) = figure.axes
    np.testing.assert_array_equal(shown(figure)[0], [[75, 25, 0], [0, 100, 0], [0, 0, 0]])
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "75", (1, 0): "25", (1, 1): "100"}, "zeros stay blank"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["tame cat", "dog", "frog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert "tame cat as dog: 25 %" in figure.alt
    assert_drawable(figure)


@pytest.mark.parametrize("classes", [20, 100])
def test_names_along_a_confusion_matrix_do_not_run_into_each_other(
    classes: int, assert_drawable: Check
) -> None:
    names = [f"a class of some length {number}" for number in range(classes)]
    figure = plots.plot_confusion(torch.eye(classes), names)
    assert_drawable(figure)
    for labels in (figure.axes[0].get_xticklabels(), figure.axes[0].get_yticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert not any(one.overlaps(other) for one, other in zip(boxes, boxes[1:], strict=False))


def test_classes_that_are_often_confused_can_stand_side_by_side() -> None:
    confusion = 10 * torch.eye(6)
    for one, other in ((0, 3), (3, 5), (1, 2), (2, 4)):
        confusion[one, other] = confusion[other, one] = 4
    confusion[5, 1] = 1
    figure = plots.plot_confusion(confusion, list("abcdef"), by_similarity=True)
    order = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "".join(order) in ("adfbce", "ecbfda")


def test_the_class_balance_has_a_bar_a_class(train: ImageSet, assert_drawable: Check) -> None:
    few = train.subset(torch.nonzero(train.labels != 3).flatten()[:20])
    figure = plots.plot_class_balance({"all": train, "few": few})
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes]
    for images, bars in zip((train, few), heights, strict=True):
        assert bars == [int((images.labels == label).sum()) for label in range(10)]
    assert figure.axes[0].get_title() == "all: 5 images of each class" and heights[1][3] == 0
    assert_drawable(figure)


def test_class_accuracies_go_from_the_best_to_the_worst(assert_drawable: Check) -> None:
    confusion = torch.tensor([[1, 3, 0], [0, 4, 0], [1, 1, 2]])  # 25 %, 100 %, 50 %
    figure = plots.plot_class_accuracies(confusion, ["red_ant", "bee", "cow"])
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [100, 50, 25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bee", "cow", "red ant"]
    low, high = axes.get_ylim()
    assert low > high, "the best stands on top"
    assert axes.lines[0].get_xdata()[0] == pytest.approx(175 / 3)
    assert_drawable(figure)


def test_of_many_classes_the_best_and_the_worst_are_shown_with_their_superclasses(
    assert_drawable: Check,
) -> None:
    accuracies = 3 * torch.randperm(30, generator=torch.Generator().manual_seed(0))
    confusion = torch.diag(accuracies)
    wrong = torch.arange(30).roll(1)
    confusion[torch.arange(30), wrong] += 100 - accuracies
    names = [f"class_{number}" for number in range(30)]
    figure = plots.plot_class_accuracies(confusion, names, {"first": names[:15]}, show=4)
    best, worst = figure.axes
    values = sorted(accuracies.tolist(), reverse=True)
    assert [bar.get_width() for bar in best.patches] == pytest.approx(values[:4])
    assert [bar.get_width() for bar in worst.patches] == pytest.approx(values[-4:])
    for axes in (best, worst):
        for label in axes.get_yticklabels():
            name, _, group = label.get_text().partition(" (")
            assert (group == "first)") == (int(name.split()[1]) < 15)
    assert_drawable(figure)
