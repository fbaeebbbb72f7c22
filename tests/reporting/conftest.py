"""What the tests of plots share."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from cifar_lab.experiments.variants import Trial
from cifar_lab.reporting.plots import style
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.recipe import Recipe


@pytest.fixture(autouse=True)
def new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give out the colours from the start, as in a notebook that has plotted nothing yet."""
    monkeypatch.setattr(style, "_given", {})


@pytest.fixture
def assert_drawable() -> Callable[[Figure], None]:
    """Checks a finished plot: not blank, described, and with text of 9 points and more."""

    def check(figure: Figure) -> None:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=40)
        assert np.asarray(Image.open(buffer).convert("L")).std() > 1
        assert len(figure.alt) > 20  # type: ignore[attr-defined]
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        small = {text.get_text(): text.get_size() for text in texts if text.get_size() < 9}
        assert not small

    return check


@pytest.fixture
def shown() -> Callable[[Figure], list[np.ndarray]]:
    """Returns all pictures of a figure, in order."""

    def pictures(figure: Figure) -> list[np.ndarray]:
        return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]

    return pictures


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """Builds a made-up trial, with an accuracy for each seed."""

    def make(title: str, *accuracies: float) -> Trial:
        histories = {
            seed: [EpochRecord(1, 1.0, accuracy, None, 1.0)]
            for seed, accuracy in enumerate(accuracies)
        }
        recipe = Recipe(epochs=1, batch_size=8, optimizer="sgd", learning_rate=0.1)
        return Trial(title, "", "cifar10", recipe, 10, 1e12, 5000, histories)

    return make
