from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cifar_lab.cli.main import main
from cifar_lab.data.image_set import Data, ImageSet
from cifar_lab.evaluation import predict, test_accuracy
from cifar_lab.models.mlp import SimpleMLP
from cifar_lab.models.views import VIEWS, logits_by_views


class Counting(nn.Module):
    """A linear model that counts the images that it is given."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images.flatten(1) @ self.weight


def mirrored(images: np.ndarray) -> np.ndarray:
    return images[:, :, :, ::-1]


def moved(images: np.ndarray, step: int) -> np.ndarray:
    """Return images whose pixel (row, column) is that at (row + step, column + step)."""
    rows = np.abs(np.arange(32) + step)
    rows = np.where(rows > 31, 2 * 31 - rows, rows)  # mirrored at the edge, which comes once
    return images[:, :, rows][:, :, :, rows]


@pytest.mark.parametrize("views", VIEWS)
def test_views_are_the_weighted_mean_of_mirrored_and_shifted_images(
    views: str, test: ImageSet
) -> None:
    weight = torch.randn(3072, 10, generator=torch.Generator().manual_seed(0))
    model = Counting(weight)
    few = test.subset(torch.arange(20))

    def logits(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float64) @ weight.numpy()

    images = few.images.numpy() / 255
    expected = {
        "single": logits(images),
        "mirror": (logits(images) + logits(mirrored(images))) / 2,
        "six": sum(
            share / 2 * (logits(moved(images, step)) + logits(mirrored(moved(images, step))))
            for step, share in ((0, 0.5), (-1, 0.25), (1, 0.25))
        ),
    }[views]
    np.testing.assert_allclose(predict(model, few, views=views)[0], expected, atol=1e-3)
    assert model.seen == VIEWS[views] * len(few)
    right = 100 * np.mean(expected.argmax(axis=1) == few.labels.numpy())
    assert test_accuracy(model, few, views=views) == pytest.approx(right)


def test_single_view_is_the_default(test: ImageSet) -> None:
    few, model = test.subset(torch.arange(20)), SimpleMLP()
    assert torch.equal(predict(model, few)[0], predict(model, few, views="single")[0])


def test_views_are_of_a_tuple_s_first_logits() -> None:
    plain = SimpleMLP()

    class Auxiliary(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return plain(images), torch.zeros(len(images), 10)

    images = torch.rand(4, 3, 32, 32)
    found, expected = (logits_by_views(each, images, "six") for each in (Auxiliary(), plain))
    assert found.keys() == expected.keys() == {"single", "six"}
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_unknown_views_are_refused_with_the_known_names(test: ImageSet) -> None:
    with pytest.raises(ValueError, match="'mirrors'.*'mirror'.*single, six"):
        test_accuracy(SimpleMLP(), test, views="mirrors")


def test_the_command_line_evaluates_with_views(
    data: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cifar_lab.experiments.pretrained.load_pretrained", lambda _: SimpleMLP())
    monkeypatch.setattr("cifar_lab.data.datasets.load", lambda *_: data)
    for views in VIEWS:
        arguments = ["evaluate", "cifar10-frontier-wide", "--device", "cpu", "--views", views]
        assert main(arguments) == 0
        assert (f"with views='{views}'" in capsys.readouterr().out) is (views != "single")
