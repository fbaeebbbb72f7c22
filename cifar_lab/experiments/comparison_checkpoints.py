"""The checkpoints of a comparison of variants, and their copies in a backup."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.data.leakage import identity, labels_identity
from cifar_lab.experiments.backup import PREVIOUS, Backup, Copies, backup_at, put, put_if_changed
from cifar_lab.experiments.earlier_runs import undamaged
from cifar_lab.models.counting import architecture_digest
from cifar_lab.models.former import former_digests
from cifar_lab.training.checkpoint import SavedRun, saved_run
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.files import write_bytes


class ComparisonCheckpoints:
    """The checkpoints of a comparison, and their copies.

    Args:
        folder: The folder of the checkpoints.
        backup: The folder of all backups; None without one.
        train: The images that are trained on.
        validation: The images that the variants are compared on.

    Raises:
        FileNotFoundError: The folder for backups does not exist.
        OSError: It can't be read.
    """

    def __init__(
        self, folder: Path, backup: str | Path | None, train: ImageSet, validation: ImageSet
    ) -> None:
        self.folder = folder
        self._facts: dict[str, str] = {}
        self._copies: Copies | None = None
        self._current: Path | None = None  # the checkpoint of the run that goes on
        if backup is not None:
            self._copies = Copies(backup_at(backup), folder)
            self._copies.ask(lambda: None, otherwise=None)
            self._facts = _facts(train, validation)

    def find(self, title: str, recipe: Recipe, model: nn.Module, *, seed: int, seeds: int) -> Path:
        """Return the name of a run's checkpoint in the folder.

        Where the backup has one with more epochs, or the only one, it is taken from there.

        Args:
            title: The variant's title.
            recipe: Its recipe.
            model: Its model.
            seed: The seed that it is trained from.
            seeds: The number of seeds in the comparison.
        """
        architecture = architecture_digest(model)
        digests = (architecture, *former_digests(architecture))
        files = [_file_name(title, recipe, digest) for digest in digests]
        # Earlier versions kept the checkpoints of a single seed in the folder itself.
        places = [Path(f"seed-{seed}"), *([Path()] if seeds == 1 else [])]
        names = [place / file for file in files for place in places]
        here = next((name for name in names if (self.folder / name).exists()), None)
        name = here or names[0]
        if self._copies is None:
            return name
        facts = {"seed": seed, **self._facts}
        saved = None if here is None else saved_run(self.folder / here)
        if saved is not None and not _is_of(saved, facts):
            self._current = None
            return name  # `fit` says so
        self._current = name
        done = 0 if saved is None else saved.epochs
        copy = None
        if done < recipe.epochs:
            find = partial(self._copy_of, names, facts, done)
            copy = self._copies.ask(find, otherwise=None)
            if copy is not None:
                write_bytes(self.folder / name, copy)
        if done or copy is not None:
            self._follow(name, put_if_changed)
        return name

    def back_up(self, name: Path) -> None:
        """Copy a checkpoint to the backup soon, if there is one."""
        self._follow(name, put)

    def complete(self) -> None:
        """Copy the last checkpoint of the present run, before others are written."""
        if self._current is not None and (self.folder / self._current).exists():
            self._follow(self._current, put_if_changed, at_once=True)

    def finish(self) -> None:
        """Complete the copies, also after an error; say where that could not be done."""
        self.complete()
        if self._copies is not None:
            self._copies.finish()

    def _follow(
        self, name: Path, put: Callable[[Path, Path, Backup], None], *, at_once: bool = False
    ) -> None:
        if self._copies is not None:
            source, backup = self.folder / name, self._copies.backup
            job = partial(put, source, self._copy(name), backup)
            self._copies.later(source, job, at_once=at_once)

    def _copy(self, name: Path) -> Path:
        """Return the file of a copy: comparisons on other images have other ones."""
        assert self._copies is not None
        digest = hashlib.sha256(json.dumps(self._facts, sort_keys=True).encode()).hexdigest()[:8]
        folder = self._copies.backup.folder / self.folder.name / name.parent
        return folder / f"{name.stem}-{digest}{name.suffix}"

    def _copy_of(
        self, names: Sequence[Path], facts: dict[str, Any], more_than: int
    ) -> bytes | None:
        """Return the content of a run's copy; None where there is none with so many epochs.

        Args:
            names: The names that the checkpoint may have.
            facts: What the run depends on.
            more_than: The number of epochs that are done without it.
        """
        assert self._copies is not None
        place = self._copies.backup.folder / self.folder.name
        found = None
        for name in names:
            for path in (self._copy(name), place / name):  # of earlier versions
                for copy in (path, path.with_name(path.name + PREVIOUS)):
                    content = undamaged(copy)
                    saved = None if content is None else saved_run(io.BytesIO(content))
                    if saved is None or not _is_of(saved, facts):
                        continue
                    if saved.epochs > more_than:
                        found, more_than = content, saved.epochs
        return found


def _is_of(saved: SavedRun, facts: dict[str, Any]) -> bool:
    """Return whether a checkpoint, as far as it tells, has these facts."""
    return all(saved.run.get(fact, value) == value for fact, value in facts.items())


def _facts(train: ImageSet, validation: ImageSet) -> dict[str, str]:
    """Return the facts on the images, under the names that they have in a checkpoint."""
    return {
        "images": identity(train),
        "labels": labels_identity(train),
        "validation": identity(validation),
    }


def _file_name(title: str, recipe: Recipe, architecture: str) -> str:
    settings = json.dumps([recipe.settings(), architecture], sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
    return f"{title.replace(' ', '-')}-{digest}.pt"
