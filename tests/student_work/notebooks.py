"""The table of notebooks: a Markdown file each, as a student's notebook shows when it has run.

Prose is Markdown cells and ```python code cells; ```text is what the cell above printed. There and
in prose, {small.size}, {small.accuracy}, {large.accuracy} and the like stand for what the two
networks that are trained here really have and reach; @discussion and @words stand for what students
write on their choices and on their iterations. Behind ```python may stand:

    include=NAME  the cell is `notebooks/parts/NAME.py`
    defines       it defines the networks; the small one is built after the first such cell
    file=PATH     no cell, but a file of the student's beside the notebook
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from handed_in.correct import DISCUSSION, WORDS
from handed_in.making import Cell, HandedIn, accuracy_of, code, markdown, namespace, trained
from torch import nn

from .gallery import GivenPlainImages, size

FOLDER = Path(__file__).parent / "notebooks"
FENCE = re.compile(
    r"^```(?P<kind>python|text) ?(?P<options>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Figures:
    """A network's figures, as notebooks print them."""

    size: int
    accuracy: float

    @property
    def share(self) -> float:
        return self.accuracy / 100

    @property
    def thousands(self) -> float:
        return self.size / 1000


@dataclass(frozen=True)
class Notebook:
    """A notebook as a student hands it in.

    Attributes:
        style: how the README calls it.
        file: in `notebooks/`, without its ending.
        assignment: that it is for.
        small: builds the first network that it reports.
        large: builds the second one, which is handed in.
        normalised: its loaders give images minus 0.5, divided by 0.25.
        weights_name: of the file with the weights.
        stored: what is in that file, of the weights.
        timed: whether it holds how long its cells ran.
        metadata: of the notebook, as its editor writes it.
        cell_metadata: of each cell.
    """

    style: str
    file: str
    assignment: str = "a"
    small: str = "Net(6)"
    large: str = "Net(8)"
    normalised: bool = False
    weights_name: str = "weights.pt"
    stored: Callable[[dict[str, Any]], Any] = dict
    timed: bool = True
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    cell_metadata: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def text(self) -> str:
        return (FOLDER / f"{self.file}.md").read_text(encoding="utf-8")

    @property
    def runs_commands(self) -> bool:
        """Whether it has `!pip` and the like: they may only be run where they change nothing."""
        return re.search(r"^\s*(!|%pip|%%bash)", self.text, re.M) is not None

    @property
    def fences(self) -> list[re.Match[str]]:
        return list(FENCE.finditer(self.text))

    @cached_property
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The small and the large network, trained a little, in eval mode."""
        definitions = [_source(one) for one in self.fences if "defines" in one["options"]]
        small = _network((definitions[0],), self.small, self.normalised)
        return small, _network(tuple(definitions), self.large, self.normalised)

    def handed_in(self) -> HandedIn:
        """The submission with its true figures."""
        figures = [
            Figures(size(one), accuracy_of(GivenPlainImages(one, normalised=self.normalised)))
            for one in self.networks
        ]
        told = {"small": figures[0], "large": figures[1]}
        cells: list[Cell] = []
        end = 0
        for fence in self.fences:
            cells += _prose(self.text[end : fence.start()], told)
            end = fence.end()
            if fence["kind"] == "text":
                cells[-1].printed = fence["text"].format(**told)
            elif "file=" not in fence["options"]:
                cells.append(code(_source(fence)))
        cells += _prose(self.text[end:], told)
        named = {f"cell {number}": cell for number, cell in enumerate(cells, 1)}
        return HandedIn(named, None, change=self._finish)

    def _finish(self, folder: Path) -> None:
        """Write the weights and the student's other files, and dress the notebook."""
        weights = self.networks[1].state_dict()
        torch.save(self.stored(weights), folder / self.weights_name)
        for fence in self.fences:
            name = re.search(r"file=(\S+)", fence["options"])
            if name:
                path = folder / name[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_source(fence), encoding="utf-8")
        path = folder / "notebook.ipynb"
        content = json.loads(path.read_text())
        content["metadata"] = self.metadata
        for cell in content["cells"]:
            if not self.timed:
                cell["metadata"].pop("execution", None)
            cell["metadata"] |= self.cell_metadata
        path.write_text(json.dumps(content))


def _source(fence: re.Match[str]) -> str:
    part = re.search(r"include=(\w+)", fence["options"])
    return _part(part[1]) if part else fence["text"]


def _part(name: str) -> str:
    return (FOLDER / "parts" / f"{name}.py").read_text(encoding="utf-8")


def _prose(text: str, told: dict[str, Figures]) -> list[Cell]:
    """A Markdown cell, where there is anything to be read."""
    text = text.strip().format(**told).replace("@discussion", DISCUSSION)
    text = text.replace("@words", WORDS)
    return [markdown(text)] if text else []


@lru_cache
def _network(definitions: tuple[str, ...], expression: str, normalised: bool) -> nn.Module:
    defined = namespace(_part("imports"), *definitions)

    def build() -> nn.Module:
        network = eval(expression, defined)  # noqa: S307 (our own text)
        return GivenPlainImages(network, normalised=normalised)

    return cast(GivenPlainImages, trained(build)).network


AVERAGED = "torch.optim.swa_utils.AveragedModel({})"
NOTEBOOKS: dict[str, Notebook] = {
    notebook.style: notebook
    for notebook in (
        Notebook("PyTorch's tutorial loop, the loss every 100 batches", "plain_loop"),
        Notebook("mixed precision by hand", "mixed_precision"),
        Notebook("gradients accumulated over 4 batches", "accumulation_over_4"),
        Notebook("gradients accumulated over 8 batches", "accumulation_over_8"),
        Notebook("StepLR, ReduceLROnPlateau on validation", "step_and_plateau_schedulers"),
        Notebook("OneCycleLR, CosineAnnealingLR per batch", "one_cycle_and_cosine_schedulers"),
        Notebook("EMA by hand", "ema_by_hand"),
        Notebook(
            "SWA: AveragedModel, SWALR, update_bn",
            "stochastic_weight_averaging",
            small=AVERAGED.format("Net(6)"),
            large=AVERAGED.format("Net(8)"),
        ),
        Notebook("Mixup and CutMix by hand", "mixup_and_cutmix"),
        Notebook("k-fold by index arrays and Subset", "k_fold"),
        Notebook("its own Dataset over arrays", "own_dataset"),
        Notebook("its own collate_fn, batches as dicts", "own_collate"),
        Notebook("WeightedRandomSampler, SubsetRandomSampler", "samplers"),
        Notebook("IterableDataset", "iterable_dataset"),
        Notebook("reads CIFAR's pickles itself", "reads_the_pickles"),
        Notebook("no loader: batches by index", "loop_without_a_loader"),
        Notebook(
            "Lightning-like Trainer", "lightning_like", small="LitModule(6)", large="LitModule(8)"
        ),
        Notebook("fastai-like Learner with callbacks", "fastai_like"),
        Notebook("a helper module, which alone uses torchvision", "helper_module"),
        Notebook("a helper package with relative imports", "helper_package"),
        Notebook(
            "Colab: pip, Drive, files.download, form fields",
            "colab",
            metadata={"accelerator": "GPU", "colab": {"provenance": [], "gpuType": "T4"}},
            cell_metadata={"id": "a1B2c3"},
        ),
        Notebook(
            "Kaggle: /kaggle/input, /kaggle/working",
            "kaggle",
            metadata={"kaggle": {"accelerator": "nvidiaTeslaT4", "isGpuEnabled": True}},
            cell_metadata={"_kg_hide-input": False, "trusted": True},
        ),
        Notebook(
            "VS Code, which records no times",
            "vs_code",
            timed=False,
            metadata={"language_info": {"name": "python", "version": "3.11.9"}},
            cell_metadata={"vscode": {"languageId": "python"}},
        ),
        Notebook(
            "PyCharm, accuracy of each class",
            "pycharm",
            cell_metadata={"pycharm": {"name": "#%%\n", "is_executing": False}},
        ),
        Notebook("normalised in the loader", "normalised_in_the_loader", normalised=True),
        Notebook("a GPU taken for granted", "gpu_taken_for_granted"),
        Notebook("tqdm bars", "tqdm_bars"),
        Notebook("argparse and `__main__`", "argparse_and_main"),
        Notebook(
            "checkpoint dictionary",
            "checkpoint_dictionary",
            weights_name="checkpoint.pt",
            stored=lambda weights: {"epoch": 1, "model_state_dict": weights, "loss": 1.25},
        ),
        Notebook(
            "early stopping on validation, best.pt", "early_stopping", "b", weights_name="best.pt"
        ),
        Notebook(
            "assignment B's own evaluate, normalised in the loader",
            "evaluate_of_assignment_b",
            "b",
            normalised=True,
            weights_name="small_cifar_net_best.pt",
        ),
        Notebook(
            "assignment A as exported: one class name twice, no `model`",
            "assignment_a_as_exported",
            small="ConvNet()",
            large="ConvNet()",
            weights_name="convnet.pt",
        ),
    )
}
