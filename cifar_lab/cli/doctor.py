"""What a bug report needs: versions, device, cores, disk and the state of the data."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import torch

from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.download import missing_files
from cifar_lab.data.mirrors import spec_for
from cifar_lab.training.recipe import resolve_precision
from cifar_lab.utils.devices import best_device, device_name
from cifar_lab.utils.environment import installed_version
from cifar_lab.utils.errors import CorruptedDataError

PACKAGES = ("cifar-lab", "torch", "torchvision", "numpy", "matplotlib", "nbconvert", "pytest")


def examine(root: Path) -> str:
    """A report on this machine and on the datasets under `root`, a line a fact."""
    device = best_device()
    precision = resolve_precision("auto", device)
    place = root.absolute()
    while not place.exists():
        place = place.parent
    facts = {
        "python": f"{platform.python_version()} on {platform.platform()}",
        **{package: installed_version(package) for package in PACKAGES},
        "device": f"{device.type} ({device_name(device)}), trains in {precision}",
        "cores": f"{os.cpu_count()}, torch uses {torch.get_num_threads()} threads",
        "disk": f"{shutil.disk_usage(place).free / 1e9:.1f} GB free at {place}",
        **{name: _state(name, root) for name in DATASETS},
    }
    return "\n".join(f"{fact:12} {finding}" for fact, finding in facts.items())


def _state(dataset: str, root: Path) -> str:
    if dataset == "synthetic":
        return "built in"
    spec = spec_for(dataset)
    try:
        missing = missing_files(spec, root)
    except (CorruptedDataError, OSError) as error:  # also a folder that may not be read
        return str(error)
    if not missing:
        return f"complete and verified in {root / spec.folder}"
    found = len(spec.files) - len(missing)
    return f"{found} of {len(spec.files)} files in {root / spec.folder}; loading it downloads them"
