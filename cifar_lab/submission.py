"""Handing in: one folder with all that grading needs, written from the notebook.

folder = cifar_lab.submit(result, assignment="a", iterations=list(results.values()))
cifar_lab.check_submission(folder)
"""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cifar_lab.checkpoint import save_weights
from cifar_lab.errors import unknown_name
from cifar_lab.files import write_atomically, write_text
from cifar_lab.models.size import count_parameters
from cifar_lab.recipe import Recipe
from cifar_lab.results import Result, describe_environment
from cifar_lab.state import EpochRecord

FORMAT = "cifar-lab submission 1"
MANIFEST, WEIGHTS_FILE, PROGRAM = "submission.json", "weights.pt", "model.pt2"
DATASET_OF = {"a": "cifar10", "b": "cifar100"}


def submit(
    result: Result | nn.Module,
    *,
    assignment: str,
    test_accuracy: float | None = None,
    history: Sequence[EpochRecord | Mapping[str, Any]] | None = None,
    recipe: Recipe | None = None,
    iterations: Sequence[Result | Mapping[str, Any]] = (),
    dataset: str | None = None,
    notebook: str | Path | None = None,
    out: str | Path = "submission",
) -> Path:
    """Write a submission: weights, the exported model, and a record of how it came about.

    The grader hands the model images in [0, 1]: let it carry its normalisation, as the library's
    models do.

    The folder then holds `weights.pt` (a `state_dict`), `model.pt2` (the model as `torch.export`
    gives it: it can be evaluated without your code), `submission.json`, and your notebook where it
    can be found. Put the executed, saved notebook in it yourself where it can't. What was in these
    files before is replaced; a notebook under another name only where `submit` put it there.

    Args:
        result: of your run, or your own trained `torch.nn.Module`.
        assignment: "a" or "b".
        test_accuracy: in percent, that you report; a result brings it along.
        history: one record an epoch with its `seconds`; a result brings it along.
        recipe: how the model was trained; a result brings it along.
        iterations: assignment A's networks: results, or mappings with `title`, `parameters` and
            `test_accuracy`.
        dataset: that the accuracy is of; the assignment's own by default.
        notebook: the notebook's file; by default it is asked of Jupyter, VS Code or Colab.
        out: the folder to write.

    Returns:
        The folder.

    Raises:
        TypeError: neither a result with its model nor a module.
        ValueError: an unknown assignment, a module without its test accuracy, or one that is not
            in percent.
        FileNotFoundError: the notebook that was named is not there.
    """
    if assignment not in DATASET_OF:
        raise unknown_name("assignment", assignment, DATASET_OF)
    model = result.model if isinstance(result, Result) else result
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"This is a {type(result).__name__} without a model; expected the result of "
            "cifar_lab.run, one loaded with load_result(..., with_model=True), or your own "
            "torch.nn.Module."
        )
    if not isinstance(result, Result) and test_accuracy is None:
        raise ValueError("Give test_accuracy=..., in percent: the one that you report.")
    if test_accuracy is not None:
        test_accuracy = float(test_accuracy)
        if not 1 < test_accuracy <= 100:
            raise ValueError(
                f"test_accuracy is {test_accuracy:g}; expected percent, such as 52.87. A share "
                "from 0 to 1 becomes that with 100 * share."
            )
    content: dict[str, Any] = {
        "format": FORMAT,
        "assignment": assignment,
        "dataset": dataset or DATASET_OF[assignment],
        "model_name": None,
        "model_class": type(model).__name__,
        "parameters": count_parameters(model),
        "test_accuracy": test_accuracy,
        "history": [_plain(record) for record in history or ()],
        "recipe": None if recipe is None else recipe.to_dict(),
        "iterations": [_iteration(one) for one in iterations],
        "environment": describe_environment(next(model.parameters(), torch.empty(0)).device),
    }
    if isinstance(result, Result):
        content |= {
            name: getattr(result, name)
            for name in ("experiment", "dataset", "model_name", "num_classes", "seed")
        }
        content["environment"] = result.environment
        content["test_uses"] = result.test_uses
        if test_accuracy is None:
            content["test_accuracy"] = result.test_accuracy
        if history is None:
            content["history"] = [asdict(record) for record in result.history]
        if recipe is None:
            content["recipe"] = result.recipe.to_dict()
    if notebook is not None and not Path(notebook).is_file():
        raise FileNotFoundError(
            f"There is no notebook {notebook}. Correct the path, or leave it out."
        )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    trained = copy.deepcopy(model).cpu().eval()
    save_weights(trained, folder / WEIGHTS_FILE)
    (folder / PROGRAM).unlink(missing_ok=True)
    try:
        program = export_model(trained)
        write_atomically(folder / PROGRAM, lambda file: file.write(program))
    except Exception as error:  # torch.export raises almost anything; grading runs the notebook
        first = (str(error).strip().splitlines() or [""])[0]
        print(f"{PROGRAM} could not be written ({type(error).__name__}: {first[:200]}).")
    content["notebook"] = _add_notebook(notebook, folder)
    write_text(folder / MANIFEST, json.dumps(content, indent=1))
    return folder


def check_submission(
    folder: str | Path = "submission",
    assignment: str | None = None,
    *,
    data_folder: str | Path | None = None,
) -> None:
    """Run the grader's checks on your own submission and print what they found.

    It takes a minute or two: the notebook is run twice on a small stand-in. What can't be looked
    at here (the notebook where it is not in the folder yet, the accuracy where CIFAR is not on
    this machine) is said to be open; nothing is raised for a check that fails.

    Args:
        folder: that `submit` wrote.
        assignment: "a" or "b"; by default what the submission says.
        data_folder: where the dataset is; None for `$CIFAR_LAB_DATA` or `data`.

    Raises:
        ValueError: it can't be told which assignment the submission is for.
    """
    from cifar_lab.grading.self_check import check  # it needs more than running a notebook does

    check(Path(folder), assignment, None if data_folder is None else Path(data_folder))


def export_model(model: nn.Module) -> bytes:
    """The model in eval mode, on the CPU, as a `torch.export` program for any number of images.

    Raises:
        Exception: whatever torch.export raises for a model that it can't trace.
    """
    images = torch.zeros(2, 3, 32, 32)
    batch = torch.export.Dim("batch", min=1)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (images,), dynamic_shapes=({0: batch},))
        torch.export.save(program, file)
    return file.getvalue()


def _plain(record: EpochRecord | Mapping[str, Any]) -> dict[str, Any]:
    if is_dataclass(record):
        return asdict(record)
    return dict(record)


def _iteration(one: Result | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(one, Result):
        return {name: getattr(one, name) for name in ("title", "parameters", "test_accuracy")}
    return dict(one)


def _add_notebook(named: str | Path | None, folder: Path) -> str | None:
    """Copy the notebook to the folder, where it can be found; else say what to do.

    Returns:
        The copy's name; None where there is none, or where the notebook itself lies in the folder.
    """
    path = Path(named) if named is not None else _this_notebook()
    colab = None if path is not None else _ask_colab()
    before, copied = _copied_before(folder), None
    if path is not None:
        target = folder / path.name
        if target.resolve() != path.resolve():
            shutil.copyfile(path, target)
            copied = path.name
        print(f"{folder} is written. Its notebook is {path.name} as it was last saved.")
    elif colab is not None:
        copied = "notebook.ipynb"
        write_text(folder / copied, json.dumps(colab))
        print(f"{folder} is written, with this notebook as Colab holds it now.")
    else:
        print(f"{folder} is written. Save this notebook and put it in that folder too.")
        if before is not None:
            print(f"Take {before} out of it: that is this notebook as it was at an earlier time.")
            return before
    if before is not None and copied not in (None, before):
        (folder / before).unlink(missing_ok=True)
    others = sorted(each.name for each in folder.glob("*.ipynb"))
    if len(others) > 1:
        print(f"It holds {' and '.join(others)}; leave only the one that is to be graded in it.")
    return copied


def _copied_before(folder: Path) -> str | None:
    """The name of the notebook that the submission before this one copied into the folder."""
    try:
        name = json.loads((folder / MANIFEST).read_text())["notebook"]
        return Path(name).name
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _this_notebook() -> Path | None:
    """The running notebook's file, where something tells."""
    shell_names: dict[str, Any] = {}
    try:
        from IPython import get_ipython

        shell = get_ipython()
        shell_names = {} if shell is None else shell.user_ns
    except ImportError:
        pass
    for name in (
        os.environ.get("CIFAR_LAB_NOTEBOOK"),
        shell_names.get("__vsc_ipynb_file__"),
        os.environ.get("JPY_SESSION_NAME"),
    ):
        if isinstance(name, str) and name.endswith(".ipynb") and Path(name).is_file():
            return Path(name)
    return None


def _ask_colab() -> dict[str, Any] | None:
    """Colab's own copy of the running notebook."""
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", timeout_sec=30)
        return answer["ipynb"]
    except Exception:  # not Colab, or another version of it: the student is told to add the file
        return None
