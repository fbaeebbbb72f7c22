"""Saved runs, of the package's experiments and of custom ones: found, grouped and named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.experiments.facts import FACTS, GROUPS
from cifar_lab.utils.errors import unknown_name
from cifar_lab.utils.wording import counted

if TYPE_CHECKING:
    from cifar_lab.experiments.catalog import Experiment
    from cifar_lab.experiments.results import Result
    from cifar_lab.training.recipe import Recipe


def names_and_folders(words: Sequence[str], out: Path) -> tuple[list[str], list[Path]]:
    """Return the experiments and groups among the words, and the folders of results.

    Args:
        words: Names of experiments or groups, folders, or names of folders in `out`.
        out: The usual folder of results.

    Raises:
        ValueError: A word is none of these; the message offers the nearest names.
    """
    names, folders = [], []
    for word in words:
        if word in FACTS or word in GROUPS:
            names.append(word)
        elif (place := next(filter(Path.is_dir, (Path(word), out / word)), None)) is not None:
            folders.append(place)
        else:
            error = unknown_name("experiment or folder", word, [*FACTS, *GROUPS])
            raise ValueError(f"{error} Results of a custom network are found by their folder.")
    return names, folders


def is_of_experiment(result: Result, experiment: Experiment, architecture: str) -> bool:
    """Return whether a result is of the experiment as it is now, with any number of epochs."""
    recipe = _of_length(experiment.recipe, result.recipe)
    return result.is_of(experiment.dataset, recipe, architecture)


def _of_length(recipe: Recipe, other: Recipe) -> Recipe:
    """Return the recipe with the epochs of another."""
    longer = replace(recipe, epochs=other.epochs) if other.epochs >= recipe.epochs else recipe
    return longer if longer == other else recipe.with_epochs(other.epochs)


def grouped(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return runs that differ in nothing but the seed together, under a name of their own.

    Of several runs of a seed, the last in the order given counts. Runs of an experiment with
    another number of epochs than its recipe has are named by theirs.
    """
    kinds: dict[object, dict[int, Result]] = {}
    for run in results:
        kinds.setdefault(_kind(run), {})[run.seed] = run
    experiments = [next(iter(runs.values())).experiment for runs in kinds.values()]
    groups: dict[str, list[Result]] = {}
    for runs in kinds.values():
        first = next(iter(runs.values()))
        suffix = _suffix(first, alone=experiments.count(first.experiment) == 1)
        number, name = 1, first.experiment + suffix
        while name in groups:
            number += 1
            name = f"{first.experiment}{suffix} ({number})"
        title = first.title + name.removeprefix(first.experiment)
        groups[name] = [replace(runs[seed], title=title) for seed in sorted(runs)]
    return groups


def _kind(run: Result) -> object:
    trained_on = run.images.partition(",")[0]
    network = (run.architecture, run.parameters, run.macs)
    return (run.experiment, run.dataset, network, str(run.recipe.to_dict()), trained_on)


def _suffix(run: Result, *, alone: bool) -> str:
    usual = FACTS.get(run.experiment)
    if run.recipe.epochs == usual.epochs if usual is not None else alone:
        return ""
    return f", {counted(run.recipe.epochs, 'epoch')}"


def epochs_done(folder: Path) -> tuple[int, int] | None:
    """Return how many epochs a run's checkpoint has, and how many were planned.

    None where there is no checkpoint, or one that can't be read.
    """
    import torch

    from cifar_lab.experiments.folders import CHECKPOINT

    try:
        content = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
        return len(content["state"]["history"]), content["recipe"]["epochs"]
    except Exception:  # a damaged file makes torch.load raise almost anything
        return None
