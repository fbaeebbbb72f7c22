"""A run that `test_torchrun` starts in several processes: python torchrun_script.py FOLDER KILLED.

In epoch KILLED the process of rank 1 kills itself; 0 for never.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from small import RECIPE, synthetic_set

from cifar_lab.data.image_set import Data, Role
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.run import run
from cifar_lab.training.progress import Progress

DATA = Data("synthetic", synthetic_set(Role.TRAIN, 53, 0), synthetic_set(Role.TEST, 31, 1))
EXPERIMENT = Experiment(
    name="shared",
    title="A shared run",
    model="mlp",
    dataset="synthetic",
    recipe=replace(RECIPE, epochs=4),
    validation_fraction=0.2,
)


def run_it(folder: Path | str, *, killed_in: int = 0, resume: bool = False) -> Result:
    def kill(progress: Progress) -> None:
        if os.environ.get("RANK") == "1" and progress.record.epoch == killed_in:
            os.kill(os.getpid(), signal.SIGKILL)

    return run(EXPERIMENT, data=DATA, out=folder, resume=resume, device="cpu", callback=kill)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_it(sys.argv[1], killed_in=int(sys.argv[2]), resume=True)
