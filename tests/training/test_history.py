from __future__ import annotations

import copy
import pickle
import sys
from types import SimpleNamespace

import pytest
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.evaluation import accuracy_and_loss
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at


def history_of(*accuracies: float | None) -> History:
    return History(
        EpochRecord(epoch, 3 - epoch / 10, accuracy, None, 1.5)
        for epoch, accuracy in enumerate(accuracies, start=1)
    )


def test_a_history_shows_its_last_and_its_best_epoch() -> None:
    assert repr(history_of(20.0, 61.5, 61.2)) == (
        "3 epochs; train loss 2.70; validation accuracy 61.20 % (best: 61.50 % after epoch 2)"
    )
    assert repr(history_of(None)) == "1 epoch; train loss 2.90"
    watched = History([EpochRecord(1, 2.0, None, 33.0, 1.5)])
    assert repr(watched) == "1 epoch; train loss 2.00; test accuracy 33.00 %"
    assert repr(History()) == "no epochs"


def test_a_part_of_a_history_names_epochs_of_the_whole() -> None:
    part = history_of(20.0, 61.5, 61.2)[1:]
    assert isinstance(part, History)
    assert repr(part).startswith("2 epochs") and "after epoch 2" in repr(part)
    assert isinstance(history_of(20.0)[-1], EpochRecord)


def test_a_history_is_a_list_that_can_be_copied() -> None:
    history = history_of(20.0, 30.0)
    assert history == list(history)
    for same in (history.copy(), copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert same == history and isinstance(same, History)


def test_histories_one_after_the_other_are_a_history() -> None:
    first, second = history_of(20.0), history_of(30.0, 40.0)
    for both in (first + second, first + list(second)):
        assert both == [*first, *second] and isinstance(both, History)


def test_a_data_frame_has_one_row_per_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows, index: rows))
    rows = history_of(20.0, 30.0).to_frame()
    assert [row["validation_accuracy"] for row in rows] == [20.0, 30.0]
    assert list(rows[0]) == [
        "epoch",
        "train_loss",
        "validation_accuracy",
        "test_accuracy",
        "seconds",
        "validation_loss",
        "learning_rate",
    ]


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        history_of(20.0).to_frame()


def test_the_validation_loss_is_the_cross_entropy_after_each_epoch(
    train: ImageSet, recipe: Recipe
) -> None:
    """Without label smoothing, which is for training alone."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    smoothed = Recipe(2, 16, "adam", 1e-3, label_smoothing=0.3)
    measured = []
    history = fit(
        model,
        train,
        smoothed,
        validation=train,
        on_epoch=lambda record: measured.append(accuracy_and_loss(model, train)),
        progress=False,
        device="cpu",
    )
    assert [(each.validation_accuracy, each.validation_loss) for each in history] == measured
    (alone,) = fit(model, train, Recipe(1, 16, "sgd", 0.1), progress=False, device="cpu")
    assert alone.validation_loss is None


def test_validation_makes_one_pass_per_epoch(train: ImageSet, recipe: Recipe) -> None:
    model, seen = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), []
    model.register_forward_hook(
        lambda module, given, output: seen.append(0 if module.training else len(output))
    )
    fit(model, train, recipe, validation=train, progress=False, device="cpu")
    assert sum(seen) == recipe.epochs * len(train)


@pytest.mark.parametrize("schedule_per", ["step", "epoch"])
def test_the_learning_rate_is_that_of_the_epoch_s_last_step(
    train: ImageSet, schedule_per: str
) -> None:
    recipe = Recipe(3, 16, "sgd", 0.1, schedule="cosine", schedule_per=schedule_per)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    history = fit(model, train, recipe, progress=False, device="cpu")
    expected = [learning_rate_at(recipe, epoch + 3 / 4) for epoch in range(3)]  # of four batches
    assert [record.learning_rate for record in history] == expected


def test_records_of_earlier_versions_load() -> None:
    record = EpochRecord(
        epoch=1, train_loss=2.0, validation_accuracy=None, test_accuracy=40.0, seconds=1.0
    )
    assert (record.validation_loss, record.learning_rate) == (None, None)
    assert str(record) == "epoch   1   train loss 2.0000   test accuracy 40.00 %   1.0 s"
