from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.results import load_result
from cifar_lab.models import MODELS

OLD = sorted((Path(__file__).parents[1] / "old_files").glob("*.json"))


def test_there_are_old_files() -> None:
    assert len(OLD) == 3


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_result_of_an_earlier_version_is_loaded_and_saved_as_it_was(
    path: Path, tmp_path: Path
) -> None:
    shutil.copy(path, tmp_path / "result.json")
    result, written = load_result(tmp_path), json.loads(path.read_text())
    experiment = EXPERIMENTS[result.experiment]
    assert result.title == experiment.title and result.model_name in MODELS
    assert result.recipe.augment == experiment.recipe.augment
    assert result.recipe.batch_size == written["recipe"]["batch_size"]
    assert [record.train_loss for record in result.history] == [
        record["train_loss"] for record in written["history"]
    ]
    result.save(tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    for record in again["history"]:  # figures that earlier versions did not measure
        assert record.pop("validation_loss") is record.pop("learning_rate") is None
    assert again.pop("views") == {}
    assert again == written
