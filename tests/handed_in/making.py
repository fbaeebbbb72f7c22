"""What a made-up submission consists of, and how it is written to a folder."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import types
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cifar_lab.data import synthetic

TRAINING_STEPS = 120


@dataclass
class Cell:
    """A cell's source, and the text that it printed; its execution count comes when written."""

    kind: str
    source: str
    printed: str = ""
    count: int | None = None
    error: str | None = None
    seconds: float = 1.0


def code(source: str, printed: str = "", **options: Any) -> Cell:
    return Cell("code", source.strip("\n"), printed, **options)


def markdown(source: str) -> Cell:
    return Cell("markdown", source.strip("\n"))


@dataclass(frozen=True)
class HandedIn:
    """A submission before it is written: cells, the model whose weights are stored, other files.

    Attributes:
        cells: by name, in order.
        model: its weights go to `weights_name`; None for no weights.
        files: further files, by name.
        change: called with the folder when all is written.
    """

    cells: dict[str, Cell]
    model: nn.Module | None
    files: dict[str, bytes] = field(default_factory=dict)
    weights_name: str = "weights.pt"
    notebook_name: str = "notebook.ipynb"
    change: Callable[[Path], None] | None = None

    def with_cell(self, name: str, new: Cell | None = None, **fields: Any) -> HandedIn:
        """Another cell in its place, or the same with other fields."""
        cells = copy.deepcopy(self.cells)
        cells[name] = new or replace(cells[name], **fields)
        return replace(self, cells=cells)

    def edited(self, name: str, old: str, new: str) -> HandedIn:
        """A cell's source with `old` replaced, which must be in it."""
        source = self.cells[name].source
        assert old in source, f"{old!r} is not in {name}"
        return self.with_cell(name, source=source.replace(old, new))

    def after(self, name: str, cell: Cell) -> HandedIn:
        """With another cell behind the named one."""
        cells: dict[str, Cell] = {}
        for key, value in self.cells.items():
            cells[key] = value
            if key == name:
                cells["added"] = cell
        return replace(self, cells=cells)

    def write(self, folder: Path) -> Path:
        """Write it as a student's folder."""
        folder.mkdir(parents=True)
        text = json.dumps(notebook(list(self.cells.values())))
        (folder / self.notebook_name).write_text(text)
        if self.model is not None:
            torch.save(self.model.state_dict(), folder / self.weights_name)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        if self.change is not None:
            self.change(folder)
        return folder


def notebook(cells: list[Cell]) -> dict[str, Any]:
    """The cells as nbformat 4 has them."""
    content, counted = [], 0
    for cell in cells:
        one: dict[str, Any] = {"cell_type": cell.kind, "metadata": {}, "source": cell.source}
        if cell.kind == "code":
            counted += 1
            one["execution_count"] = counted if cell.count is None else cell.count or None
            one["outputs"] = []
            if cell.printed:
                output = {"output_type": "stream", "name": "stdout", "text": cell.printed}
                one["outputs"].append(output)
            if cell.error:
                error = {"ename": cell.error, "evalue": "", "traceback": []}
                one["outputs"].append({"output_type": "error", **error})
            one["metadata"]["execution"] = {
                "iopub.execute_input": "2026-01-01T10:00:00.000000Z",
                "shell.execute_reply": _clock(cell.seconds),
            }
        content.append(one)
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": content}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"2026-01-01T{10 + hours:02}:{minutes:02}:{rest:09.6f}Z"


def namespace(*sources: str) -> dict[str, Any]:
    """What these cells' code defines, run here, in a module of its own."""
    module = types.ModuleType("handed_in_notebook")
    with contextlib.redirect_stdout(io.StringIO()):
        for source in sources:
            exec(compile(source, "cell", "exec"), module.__dict__)  # noqa: S102 (our own text)
    return module.__dict__


@lru_cache
def _images(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = synthetic.draw(count, seed=seed)
    return torch.from_numpy(pixels).permute(
        0, 3, 1, 2
    ).contiguous().float() / 255, torch.from_numpy(labels)


def trained(build: Callable[[], nn.Module], steps: int = TRAINING_STEPS) -> nn.Module:
    """A model after a few seconds of training on the synthetic dataset, in eval mode."""
    torch.manual_seed(0)
    model = build()
    images, labels = _images(1_000, 0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        chosen = torch.arange(64 * step, 64 * step + 64) % len(images)
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def accuracy_of(model: nn.Module) -> float:
    """Percent of the synthetic dataset's test images, computed here, not by the package."""
    images, labels = _images(2_000, 1)  # as `cifar_lab.load("synthetic").test` has them
    with torch.no_grad():
        answers = torch.cat([model(part).argmax(dim=1) for part in images.split(500)])
    return 100 * float((answers == labels).float().mean())
