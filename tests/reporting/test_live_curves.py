from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.reporting.plots import LiveCurves
from cifar_lab.reporting.plots.live import in_notebook
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.loop import fit
from cifar_lab.training.progress import Progress
from cifar_lab.training.recipe import Recipe

Shown = list[tuple[str, int, dict[str, str]]]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A notebook's kernel that notes what is shown, and in the place of which picture."""
    shown: Shown = []

    class Handle:
        def __init__(self, number: int) -> None:
            self.number = number

        def update(self, bundle: dict[str, str], raw: bool) -> None:
            assert raw
            shown.append(("update", self.number, bundle))

    def display(bundle: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert raw and display_id
        number = sum(kind == "new" for kind, *_ in shown)
        shown.append(("new", number, bundle))
        return Handle(number)

    ipython = pytest.importorskip("IPython")
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", display)
    return shown


@pytest.fixture
def progress() -> Callable[..., Progress]:
    def make(epoch: int, model: nn.Module, title: str = "") -> Progress:
        history = History(
            EpochRecord(each, 2 / each, 10.0 * each, None, 1.0) for each in range(1, epoch + 1)
        )
        return Progress(model, None, history[-1], history, 5, title)  # type: ignore[arg-type]

    return make


def test_curves_are_drawn_again_in_place(notebook: Shown, progress: Callable[..., Any]) -> None:
    live, model = LiveCurves(), nn.Linear(1, 1)
    for epoch in (1, 2, 3):
        assert live(progress(epoch, model)) is None, "it never ends the training"
    assert [(kind, number) for kind, number, _ in notebook] == [
        ("new", 0),
        ("update", 0),
        ("update", 0),
    ]
    assert (
        "Linear: training loss 2.00 after epoch 1, 0.67 after epoch 3"
        in notebook[-1][2]["text/plain"]
    )
    assert "image/svg+xml" in notebook[-1][2]["text/html"]


def test_each_run_has_its_own_picture(notebook: Shown, progress: Callable[..., Any]) -> None:
    live, model = LiveCurves(), nn.Linear(1, 1)
    live(progress(1, model))
    live(progress(2, model))
    live(progress(1, model))  # the same network again
    live(progress(1, nn.Linear(1, 1)))
    assert [number for _, number, _ in notebook] == [0, 0, 1, 2]


def test_the_title_is_the_one_given_or_the_experiment_s(
    notebook: Shown, progress: Callable[..., Any]
) -> None:
    LiveCurves("mine")(progress(1, nn.Linear(1, 1), title="theirs"))
    LiveCurves()(progress(1, nn.Linear(1, 1), title="theirs"))
    texts = [bundle["text/plain"] for *_, bundle in notebook]
    assert "mine:" in texts[0] and "theirs:" in texts[1]


def test_a_picture_that_fails_does_not_end_the_training(
    notebook: Shown, progress: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr("IPython.display.display", fail)
    with pytest.warns(UserWarning, match="can't be drawn: OSError\\('no room'\\)"):
        LiveCurves()(progress(1, nn.Linear(1, 1)))


def test_outside_a_notebook_nothing_happens(
    progress: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert not in_notebook()
    LiveCurves()(progress(1, nn.Linear(1, 1)))
    assert capsys.readouterr() == ("", "")


def test_it_is_a_callback_of_fit(notebook: Shown, train: ImageSet, recipe: Recipe) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    history = fit(model, train, recipe, callback=LiveCurves("mine"), progress=False)
    assert len(history) == len(notebook) == recipe.epochs
    assert f"{history[-1].train_loss:.2f} after epoch 2" in notebook[-1][2]["text/plain"]
