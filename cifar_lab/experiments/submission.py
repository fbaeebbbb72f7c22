"""Handing in: one folder with all that grading needs, written from the notebook."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cifar_lab.experiments.facts import ASSIGNMENTS
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.submission_notebook import find_notebook
from cifar_lab.experiments.submission_records import history_records, iteration_records
from cifar_lab.models.counting import count_parameters
from cifar_lab.models.export import export_program as export_model
from cifar_lab.models.wrapping import unwrap
from cifar_lab.training.checkpoint import weights_of
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.plain_files import to_bytes
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.console import say
from cifar_lab.utils.environment import describe_environment
from cifar_lab.utils.errors import unknown_name
from cifar_lab.utils.files import user_path, write_together
from cifar_lab.utils.plain import as_number, plain, to_json

FORMAT = "cifar-lab submission 1"
MANIFEST, WEIGHTS_FILE, PROGRAM = "submission.json", "weights.pt", "model.pt2"


def submit(
    result: Result | nn.Module,
    *,
    assignment: str,
    test_accuracy: float | None = None,
    history: Iterable[EpochRecord | Mapping[str, Any] | float] | Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    iterations: Iterable[Result | Mapping[str, Any]] | Mapping[str, Any] = (),
    dataset: str | None = None,
    notebook: str | Path | None = None,
    out: str | Path = "submission",
) -> Path:
    """Write a submission: weights, the exported model, and a record of how it came about.

    The grader measures the model on images in [0, 1], and on images normalised as the notebook's
    test loader normalises them. A model that carries its normalisation, as the library's do, needs
    nobody to know about it.

    The folder then holds `weights.pt` (a `state_dict`), `model.pt2` (the model as `torch.export`
    gives it: it can be evaluated without your code), `submission.json`, and your notebook where it
    can be found. Put the executed, saved notebook in it yourself where it can't. Earlier content of
    these files is replaced, all of it or, after an error, nothing; a notebook under another name
    only where `submit` put it there.

    Args:
        result: The result of your run, or your own trained `torch.nn.Module`.
        assignment: The assignment, "a" or "b".
        test_accuracy: The accuracy in percent that you report; a result brings it along.
        history: One record per epoch with its `seconds`: the return value of `fit`, mappings, a
            mapping of lists, or plain losses; a result brings it along.
        recipe: The recipe that the model was trained by; a result brings it along.
        iterations: Your own networks of assignment A: results, or mappings with `title`,
            `parameters` and `test_accuracy`, in a list or by name.
        dataset: The dataset that the accuracy was measured on; the assignment's own by default.
        notebook: The notebook's file; by default Jupyter, VS Code or Colab is asked for it.
        out: The folder to write.

    Returns:
        The folder.

    Raises:
        TypeError: Neither a result with its model nor a module; a history, iterations or a recipe
            of another kind.
        ValueError: An unknown assignment, a module without its test accuracy, or one that is not
            in percent; a `state_dict` that could not be loaded again.
        FileNotFoundError: The notebook that was named is not there.
        OSError: The folder can't be written, or the disk is full.

    Example:
        folder = cifar_lab.submit(mine, assignment="a", iterations=[mine, second])
        cifar_lab.check_submission(folder)
    """
    if assignment not in ASSIGNMENTS:
        raise unknown_name("assignment", assignment, ASSIGNMENTS)
    model = _model_of(result)
    if not isinstance(result, Result) and test_accuracy is None:
        raise ValueError("Give test_accuracy=..., in percent: the one that you report.")
    content = {
        "format": FORMAT,
        "assignment": assignment,
        "dataset": dataset or ASSIGNMENTS[assignment],
        **_described(model),
        "test_accuracy": _percent(test_accuracy, result),
        "history": history_records(history),
        "recipe": _recipe_of(recipe),
        "iterations": iteration_records(iterations),
    }
    if isinstance(result, Result):
        _add_result(content, result, history_is_given=history is not None)
    folder = user_path(out)
    found = find_notebook(notebook, folder, MANIFEST)
    # Everything is made before anything is written: an error leaves the submission before.
    files = _files(model, {**content, "notebook": found.name})
    if found.name is not None and found.content is not None:
        files[found.name] = found.content
    if found.replaced is not None:
        files[found.replaced] = None
    write_together({folder / name: file for name, file in files.items()})
    say("\n".join(found.lines))
    _say_if_several_notebooks(folder)
    return folder


def _described(model: nn.Module) -> dict[str, Any]:
    """Return the manifest's entries on the model itself, and on the machine."""
    return {
        "model_name": None,
        "model_class": type(unwrap(model)).__name__,
        "parameters": count_parameters(model),
        "environment": describe_environment(next(model.parameters(), torch.empty(0)).device),
    }


def _files(model: nn.Module, content: Mapping[str, Any]) -> dict[str, bytes | None]:
    """Return the content of the files by name; None takes a file away."""
    files = {WEIGHTS_FILE: to_bytes(weights_of(model)), PROGRAM: _program_of(model)}
    digests = {
        name: hashlib.sha256(file).hexdigest() for name, file in files.items() if file is not None
    }
    return {**files, MANIFEST: _readable_json({**content, "files": digests})}


def _say_if_several_notebooks(folder: Path) -> None:
    others = sorted(each.name for each in folder.glob("*.ipynb"))
    if len(others) > 1:
        say(f"It holds {' and '.join(others)}; leave only the one that is to be graded in it.")


def _model_of(result: Any) -> nn.Module:
    model = result.model if isinstance(result, Result) else result
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"This is a {type(result).__name__} without a model; expected the result of "
            "cifar_lab.run, one loaded with load_result(..., with_model=True), or your own "
            "torch.nn.Module."
        )
    return model


def _percent(test_accuracy: Any, result: Any) -> float | None:
    """Return the accuracy as a number; up to 1 it is a share, unless the run measured as much."""
    if test_accuracy is None:
        return None
    if isinstance(test_accuracy, str):  # as it was formatted for printing
        with suppress(ValueError):
            test_accuracy = float(test_accuracy.strip().removesuffix("%"))
    percent = as_number("test_accuracy", test_accuracy)
    measured = result.test_accuracy if isinstance(result, Result) else math.nan
    is_measured = abs(percent - measured) < abs(100 * percent - measured)
    if not (0 if is_measured else 1) < percent <= 100:
        raise ValueError(
            f"test_accuracy is {percent:g}; expected percent, such as 52.87. A share "
            "from 0 to 1 becomes that with 100 * share."
        )
    return float(percent)


def _recipe_of(recipe: Any) -> dict[str, Any] | None:
    if recipe is None or isinstance(recipe, Recipe):
        return None if recipe is None else recipe.to_dict()
    if isinstance(recipe, Mapping):
        return plain(recipe)
    raise TypeError(f"recipe is a {type(recipe).__name__}; expected a cifar_lab.Recipe.")


def _add_result(content: dict[str, Any], result: Result, *, history_is_given: bool) -> None:
    """Add the entries that a result brings along; values that were given besides stay."""
    for name in ("experiment", "dataset", "model_name", "num_classes", "seed", "environment"):
        content[name] = getattr(result, name)
    content["test_uses"] = result.test_uses
    if content["test_accuracy"] is None:
        content["test_accuracy"] = result.test_accuracy
    if not history_is_given:
        content["history"] = history_records(result.history)
    if content["recipe"] is None:
        content["recipe"] = result.recipe.to_dict()


def _program_of(model: nn.Module) -> bytes | None:
    """Return the exported model; where it can't be exported, print why and return None."""
    try:
        return export_model(model)
    except Exception as error:  # torch.export raises almost anything; grading runs the notebook
        first = (str(error).strip().splitlines() or [""])[0]
        say(f"{PROGRAM} could not be written ({type(error).__name__}: {first[:200]}).")
        return None


def _readable_json(content: Mapping[str, Any]) -> bytes:
    """Return the manifest's text, once it could be read back as the grader reads it."""
    try:
        text = to_json(content)
        json.loads(text)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{MANIFEST} can't be written: {error}. Expected plain data.") from error
    return text.encode("utf-8", errors="replace")
