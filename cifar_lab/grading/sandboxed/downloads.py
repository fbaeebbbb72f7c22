"""The downloads of a notebook: CIFAR, which fake images replace, and pretrained weights."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections import OrderedDict
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from . import cifar_files
from .imports import when_imported

HUB_FUNCTION = "load_state_dict_from_url"
TORCHVISION_REPOSITORY = "pytorch/vision"


def install(arrays: dict[str, np.ndarray], class_names: tuple[str, ...]) -> None:
    """Have everything that would be downloaded come from here.

    Args:
        arrays: Arrays train_images and test_images, (N, 32, 32, 3), uint8, and train_labels and
            test_labels, (N,).
        class_names: Names of the classes that the labels number.
    """
    files = cifar_files.install(arrays, class_names)
    given: list[str] = []  # the weights that were asked for
    _replace_weights(given)

    def timm(module: ModuleType) -> None:
        module.load_pretrained = functools.partial(_keep_weights, given)

    when_imported(
        {
            "torchvision.datasets.cifar": functools.partial(_replace_datasets, arrays, class_names),
            "torchvision.datasets.utils": files.trust,
            "IPython.core.interactiveshell": files.let_open,
            "requests.adapters": files.let_request,
            "timm.models._builder": timm,
            "timm.models.helpers": timm,  # before timm 0.9
        }
    )


def _replace_datasets(
    arrays: dict[str, np.ndarray], class_names: tuple[str, ...], cifar: ModuleType
) -> None:
    """Have torchvision's CIFAR-10, and CIFAR-100, which is derived from it, give fake images."""

    def construct(
        self: Any,
        root: Any = "data",
        train: bool = True,
        transform: Any = None,
        target_transform: Any = None,
        download: bool = False,
    ) -> None:
        cifar.VisionDataset.__init__(
            self, os.fspath(root or "data"), transform=transform, target_transform=target_transform
        )
        part = "train" if train else "test"
        self.train = train
        self.data = arrays[f"{part}_images"].copy()
        self.targets = arrays[f"{part}_labels"].tolist()
        self._load_meta()

    def load_meta(self: Any) -> None:
        self.classes = list(class_names)
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    cifar.CIFAR10.__init__ = construct
    cifar.CIFAR10._load_meta = load_meta
    cifar.CIFAR10._check_integrity = lambda self: True


class NoWeights(OrderedDict[str, Any]):
    """A state_dict in the place of one that can't be downloaded: taking any part of it works."""

    def __missing__(self, name: str) -> Any:
        # "layer1.weight" is a weight; "model", "state_dict" hold them all
        return torch.empty(0) if "." in name else self

    def pop(self, name: str, *default: Any) -> Any:
        """Return the default, or an empty part."""
        return default[0] if default else self[name]

    def __delitem__(self, name: str) -> None:
        """Do nothing: it is not there."""


def _keep_weights(given: list[str], *arguments: Any, **options: Any) -> Any:
    """Stand for a function that loads weights: say once for each that there are none."""
    named = [value for value in arguments if isinstance(value, str)]
    named += [type(value).__name__ for value in arguments if isinstance(value, nn.Module)]
    name = named[0] if named else options.get("url", "the network")
    if name not in given:
        given.append(name)
        print(
            f"The pretrained weights of {name} can't be downloaded here: the network keeps its "
            "random initial values."
        )
    return NoWeights()


def _replace_weights(given: list[str]) -> None:
    """Have downloads give no weights, and loading these leave a network as it is."""
    real = torch.hub.load_state_dict_from_url
    no_weights = functools.partial(_keep_weights, given)
    for module in list(sys.modules.values()):  # and those that imported it by name
        for name in (HUB_FUNCTION, "load_url"):
            if isinstance(module, ModuleType) and vars(module).get(name) is real:
                setattr(module, name, no_weights)
    torch.hub.load = _hub_load(torch.hub.load)
    load = nn.Module.load_state_dict

    @functools.wraps(load)
    def load_state_dict(self: nn.Module, state_dict: Any, *arguments: Any, **options: Any) -> Any:
        # Code that filters weights by name makes a new dict, and nothing is left in it.
        nothing_left = bool(given) and isinstance(state_dict, dict) and not state_dict
        if nothing_left or isinstance(state_dict, NoWeights):
            return torch.nn.modules.module._IncompatibleKeys([], [])
        return load(self, state_dict, *arguments, **options)

    nn.Module.load_state_dict = load_state_dict


def _hub_load(load: Any) -> Any:
    @functools.wraps(load)
    def from_torchvision(repo_or_dir: Any, model: str, *arguments: Any, **options: Any) -> Any:
        """Return a model of the installed torchvision, in place of its repository's."""
        if str(repo_or_dir).split(":")[0] != TORCHVISION_REPOSITORY:
            return load(repo_or_dir, model, *arguments, **options)
        for name in ("force_reload", "verbose", "skip_validation", "trust_repo", "source"):
            options.pop(name, None)
        models = importlib.import_module("torchvision.models")
        return getattr(models, model)(*arguments, **options)

    return from_torchvision
