"""Examples in docstrings: they run, and give what they say."""

from __future__ import annotations

import doctest
import inspect
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

import cifar_lab
from cifar_lab.data import datasets
from cifar_lab.data.image_set import Data

WITH_EXAMPLES = (
    "Batches",
    "Experiment",
    "History",
    "ImageSet",
    "Progress",
    "Recipe",
    "Variant",
    "build_model",
    "count_macs",
    "count_parameters",
    "evaluate",
    "find_results",
    "fit",
    "load",
    "load_result",
    "load_weights",
    "predict",
    "run",
    "save_weights",
    "seed_everything",
    "split",
    "test_accuracy",
    "train_epoch",
    "variants.compare_variants",
)


@pytest.fixture(scope="module")
def synthetic() -> Data:
    return cifar_lab.load("synthetic")


@pytest.mark.parametrize("name", [*WITH_EXAMPLES, pytest.param("run_many", marks=pytest.mark.slow)])
def test_example_gives_what_it_says(
    name: str, synthetic: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(datasets.substitutes, "synthetic", synthetic)  # drawn once for all examples
    documented: Any = attrgetter(name)(cifar_lab)
    docstring = inspect.getdoc(documented) or ""
    test = doctest.DocTestParser().get_doctest(docstring, {}, name, None, 0)
    assert test.examples, f"{name} has no example"

    outcome = doctest.DocTestRunner(verbose=False).run(test)

    assert outcome.failed == 0
