from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import Tensor

from cifar_lab.data.image_set import ImageSet
from cifar_lab.reporting import plots
from cifar_lab.reporting.plots.style import BAD, GOOD

Check = Callable[[Figure], None]
Shown = Callable[[Figure], list[np.ndarray]]


def test_images_stand_in_a_row_of_their_class(
    train: ImageSet, shown: Shown, assert_drawable: Check
) -> None:
    figure = plots.plot_images(train, per_class=3)
    pictures = shown(figure)
    assert len(pictures) == 30
    for label, name in enumerate(train.class_names):
        of_class = train.images[train.labels == label][:3].permute(0, 2, 3, 1)
        np.testing.assert_array_equal(pictures[3 * label : 3 * label + 3], of_class)
        assert figure.axes[3 * label].texts[0].get_text() == name.replace("_", " ")
    assert_drawable(figure)


def test_a_class_with_few_images_leaves_its_row_short(train: ImageSet, shown: Shown) -> None:
    few = train.subset(torch.tensor([0, 1]))
    assert len(shown(plots.plot_images(few, per_class=4))) == 2


def test_classes_stand_in_groups_with_a_title_and_a_gap(
    train: ImageSet, assert_drawable: Check
) -> None:
    first, second, third, *_ = train.class_names
    figure = plots.plot_images(
        train, per_class=2, groups={"some": [third, first], "other": [second]}
    )
    rows = figure.axes[::2]
    assert [axes.texts[0].get_text() for axes in rows] == [
        name.replace("_", " ") for name in (third, first, second)
    ]
    assert [text.get_text() for text in figure.texts] == ["some", "other"]
    bottoms = [axes.get_position().y0 for axes in rows]
    assert bottoms[1] - bottoms[2] > 1.2 * (bottoms[0] - bottoms[1])
    assert_drawable(figure)


def test_a_group_with_an_unknown_class_is_refused(train: ImageSet) -> None:
    with pytest.raises(ValueError, match="'pets' has the class 'unicorn'"):
        plots.plot_images(train, groups={"pets": ["unicorn"]})


def test_predictions_show_the_true_class_and_the_likeliest(
    train: ImageSet, shown: Shown, assert_drawable: Check
) -> None:
    logits = torch.zeros(len(train), 10)
    logits[7, [2, 5, 1]] = torch.tensor([0.6, 0.3, 0.02]).log() - np.log(0.08 / 7)
    train = replace(train, labels=train.labels.clone())
    train.labels[7], train.labels[0] = 4, 6
    logits[0, 6] = 9
    figure = plots.plot_predictions(train, logits, [7, 0])
    assert len(shown(figure)) == 2
    np.testing.assert_array_equal(shown(figure)[0], train.images[7].permute(1, 2, 0))
    names = [name.replace("_", " ") for name in train.class_names]
    assert figure.axes[0].get_title().splitlines() == [
        f"true: {names[4]}",
        f"✗ {names[2]} 60 %",
        f"{names[5]} 30 %",
        f"{names[1]} 2 %",
    ]
    assert figure.axes[1].get_title().splitlines()[1].startswith("✓ ")
    frames = [to_hex(axes.spines["top"].get_edgecolor()).upper() for axes in figure.axes]
    assert frames == [BAD, GOOD]
    assert_drawable(figure)


def test_many_predictions_stand_in_several_rows(train: ImageSet, shown: Shown) -> None:
    figure = plots.plot_predictions(train, torch.zeros(len(train), 10), range(8))
    assert len(shown(figure)) == 8
    assert len({round(axes.get_subplotspec().rowspan.start) for axes in figure.axes}) == 2


def test_each_filter_is_a_picture_over_the_full_range(shown: Shown, assert_drawable: Check) -> None:
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


def test_augmented_images_stand_beside_the_ones_they_come_from(
    train: ImageSet, shown: Shown, assert_drawable: Check
) -> None:
    def darken(images: Tensor, generator: torch.Generator) -> Tensor:
        return images * torch.rand(len(images), 1, 1, 1, generator=generator)

    def leave(image: Tensor) -> Tensor:
        return image

    images = train.images[:3]
    title = "darker, with a title that is wider than its columns"
    figure = plots.plot_augmented(images, {title: darken, "same": leave}, seed=1, draws=2)
    headings = [text for axes in figure.axes if (text := axes.get_title(loc="left"))]
    assert headings == ["as it is", title, "same"]
    pictures = np.stack(shown(figure)).reshape(5, 3, 32, 32, 3)
    pixels = images.permute(0, 2, 3, 1).numpy() / 255
    for same in (0, 3, 4):
        np.testing.assert_allclose(pictures[same], pixels, atol=1e-6)
    factors = pictures[1:3].sum(axis=(2, 3, 4)) / pixels.sum(axis=(1, 2, 3))
    assert len(np.unique(factors.round(6))) == 6, "every image and every draw has its own"
    assert_drawable(figure)


def test_headings_of_augmented_images_do_not_run_into_each_other(train: ImageSet) -> None:
    transforms = {f"a transform with a long name {number}": lambda image: image for number in "123"}
    figure = plots.plot_augmented(train.images[:2], transforms, draws=1)
    figure.draw_without_rendering()
    boxes = [
        axes._left_title.get_window_extent() for axes in figure.axes if axes.get_title(loc="left")
    ]
    assert all(one.x1 < other.x0 for one, other in zip(boxes, boxes[1:], strict=False))
    assert boxes[-1].x1 < figure.bbox.x1
