"""Worker process of the benchmark: trains an experiment in one way, an epoch at a time.

The two ways take turns, so that both meet the same machine. An epoch begins when a line comes in on
standard input; its record goes out as a line of JSON. The last line out is the `Measurement`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TextIO

import torch

from cifar_lab.benchmark.baseline import Baseline
from cifar_lab.benchmark.library import Library
from cifar_lab.benchmark.profile import matrix_flops_per_second
from cifar_lab.benchmark.student import BENCHMARKED
from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import split
from cifar_lab.training.history import EpochRecord
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.environment import describe_environment, peak_memory_mib
from cifar_lab.utils.errors import USER_ERRORS
from cifar_lab.utils.seeding import seed_everything

WARM_UP_BATCHES, PROFILED_BATCHES = 5, 40
WAYS: dict[str, type[Baseline] | type[Library]] = {"baseline": Baseline, "library": Library}


@dataclass(frozen=True)
class Order:
    """An order to measure one way.

    Attributes:
        way: One of `WAYS`.
        experiment: The experiment's name.
        dataset: The dataset: "cifar10", "cifar100" or "synthetic".
        data_folder: The folder of the datasets; None for the usual one.
        images: The number of images in an epoch; None for all training images.
        epochs: The number of epochs that are measured.
        device: The device to train on; None for the best there is.
        precision: The library's precision; None for the recipe's.
    """

    way: str
    experiment: str
    dataset: str
    data_folder: str | None
    images: int | None
    epochs: int
    device: str | None
    precision: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One way's figures.

    Attributes:
        way: One of `WAYS`.
        epochs: One record per epoch. The accuracy is on a validation split where the experiment
            has one, else on the test images; measuring it is not in the seconds.
        images: The number of images in an epoch.
        watched: The role of the images that the accuracy is of.
        precision: The precision of the forward and backward pass.
        shares: The parts of a step's time, from 0 to 1.
        flops_per_image: The operations of training for one image, in matrix products.
        matrix_flops_per_second: The speed of one large matrix product in the same precision.
        peak_memory_mib: The peak memory of this way's process with loading and evaluation, but
            without the processes of a DataLoader; on CUDA, that of the device's allocations.
        environment: The versions, the device and the threads.
    """

    way: str
    epochs: list[EpochRecord]
    images: int
    watched: str
    precision: str
    shares: dict[str, float]
    flops_per_image: float
    matrix_flops_per_second: float
    peak_memory_mib: int | None
    environment: dict[str, Any]


class _EnoughError(Exception):
    """Ends a training run of more epochs than are measured."""


def measure(
    order: Order, ready: Callable[[], None], on_epoch: Callable[[EpochRecord], None]
) -> Measurement:
    """Warm up, train epoch by epoch, and look at where the time goes.

    Args:
        order: The order.
        ready: Is called after the warm-up; the first epoch begins when it returns.
        on_epoch: Is called with each record; the next epoch begins when it returns.
    """
    experiment = BENCHMARKED[order.experiment]
    recipe = replace(experiment.recipe, patience=None)  # both ways train for as many epochs
    if order.precision is not None:
        recipe = replace(recipe, precision=order.precision)
    if recipe.epochs < order.epochs:
        recipe = recipe.with_epochs(order.epochs)
    device = as_device(order.device)
    seed_everything(0)  # as a run does; on CUDA, deterministic algorithms cost time
    data = load(order.dataset, order.data_folder)
    train, watched = data.train, data.test
    if experiment.validation_fraction:
        train, watched = split(train, experiment.validation_fraction, seed=0)
    if order.images is not None:
        train = train.subset(torch.arange(min(order.images, len(train))))
    few, part = (
        train.subset(torch.arange(min(len(train), batches * recipe.batch_size)))
        for batches in (WARM_UP_BATCHES, PROFILED_BATCHES)
    )
    kind = WAYS[order.way]
    warm_up = kind(experiment, recipe.with_epochs(1), device)
    warm_up.train(few, watched.subset(torch.arange(10)), lambda record: None)

    records: list[EpochRecord] = []

    def next_epoch(record: EpochRecord) -> None:
        records.append(record)
        if len(records) == order.epochs:
            raise _EnoughError
        on_epoch(record)

    way = kind(experiment, recipe, device)
    ready()
    try:
        way.train(train, watched, next_epoch)
    except _EnoughError:
        on_epoch(records[-1])
    peak = peak_memory_mib(device)
    shares, flops = way.profile(part)
    return Measurement(
        way=order.way,
        epochs=records,
        images=len(train),
        watched=watched.role.value,
        precision=way.precision,
        shares=shares,
        flops_per_image=flops,
        matrix_flops_per_second=matrix_flops_per_second(device, way.precision),
        peak_memory_mib=peak,
        environment=describe_environment(device),
    )


def main(answers: TextIO) -> None:
    """Measure what the first argument orders, in JSON."""

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=answers, flush=True)

    def take_turns(record: EpochRecord | None = None) -> None:
        answer({} if record is None else asdict(record))
        if not sys.stdin.readline():
            sys.exit("the other end is gone")

    answer(asdict(measure(Order(**json.loads(sys.argv[1])), take_turns, take_turns)))


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # what is printed on the way is no answer
    try:
        main(answers)
    except USER_ERRORS as error:
        sys.exit(f"cifar-lab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
