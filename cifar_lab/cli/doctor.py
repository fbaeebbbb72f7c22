"""`cifar-lab doctor`: the facts that a bug report needs, from versions to the state of the data."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.options import add_data
from cifar_lab.data.cifar import DATASETS
from cifar_lab.utils.errors import CorruptedDataError

if TYPE_CHECKING:
    import torch

    from cifar_lab.cli.options import Commands

PACKAGES = ("cifar-lab", "torch", "torchvision", "numpy", "matplotlib", "nbconvert", "pytest")
CLUSTER = "distributed"  # what --scheduler needs


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "doctor",
        help="versions, device, cores, disk and datasets: what a bug report needs",
    )
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Print the report."""
    doctor(options.data)


def doctor(root: str | Path | None = None) -> None:
    """Print versions, device, processor, disk and the state of the data: for a bug report.

    Args:
        root: Folder of the datasets; None for `$CIFAR_LAB_DATA` or `data`.
    """
    from cifar_lab.data.datasets import default_root
    from cifar_lab.utils.console import say
    from cifar_lab.utils.files import user_path

    say(examine(user_path(root) if root is not None else default_root()))


def examine(root: Path) -> str:
    """Return a report on this machine and on the datasets under `root`, one line per fact."""
    import torch

    from cifar_lab.training.precision import CPU_FLAGS, cpu_capabilities, resolve_precision
    from cifar_lab.utils.devices import best_device, device_name
    from cifar_lab.utils.environment import installed_version

    device = best_device()
    capabilities = cpu_capabilities()
    flags = ", ".join(f"{flag} {'yes' if capabilities.get(flag) else 'no'}" for flag in CPU_FLAGS)
    place = root.absolute()
    while not place.exists():
        place = place.parent
    facts = {
        "python": f"{platform.python_version()} on {platform.platform()}",
        **{package: installed_version(package) for package in PACKAGES},
        "device": f"{device.type} ({device_name(device)}); precision 'auto' is "
        f"{resolve_precision('auto', device)}",
        "cpu": f"{capabilities.get('cpu_name', 'unknown')}: {flags}",
        "cores": f"{os.cpu_count()}, torch uses {torch.get_num_threads()} threads",
        "many_runs": _many_runs(device),
        "disk": f"{shutil.disk_usage(place).free / 1e9:.1f} GB free at {place}",
        **{name: _state(name, root) for name in DATASETS},
    }
    return "\n".join(f"{fact:12} {finding}" for fact, finding in facts.items())


def _many_runs(device: torch.device) -> str:
    """Return how several runs, or one on several GPUs, use this machine and others."""
    from cifar_lab.utils.environment import installed_version
    from cifar_lab.utils.torchrun import hint_for_gpus

    machines = f"--scheduler with {CLUSTER} {installed_version(CLUSTER)} (the extra 'cluster')"
    hint = hint_for_gpus(device, ["run", "EXPERIMENT"])
    return f"run --jobs N here; on a cluster {machines}.{f' {hint}' if hint else ''}"


def _state(dataset: str, root: Path) -> str:
    from cifar_lab.data.download import missing_files
    from cifar_lab.data.mirrors import spec_for

    if DATASETS[dataset].archive is None:
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
