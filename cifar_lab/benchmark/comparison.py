"""The comparison of the baseline and the library, epoch by epoch in turn."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from cifar_lab.benchmark.student import BENCHMARKED
from cifar_lab.benchmark.worker import WAYS, Measurement, Order
from cifar_lab.data.datasets import load_or_synthetic
from cifar_lab.training.history import EpochRecord


@dataclass(frozen=True)
class Comparison:
    """An experiment, trained in both ways for the same number of epochs.

    Attributes:
        experiment: The experiment's name.
        title: Names it in tables and plots.
        dataset: The dataset that it was trained on.
        baseline: The baseline's figures.
        library: The library's figures.
    """

    experiment: str
    title: str
    dataset: str
    baseline: Measurement
    library: Measurement

    @property
    def ratios(self) -> list[float]:
        """The library's speed divided by the baseline's, one ratio per pair of epochs."""
        pairs = zip(self.baseline.epochs, self.library.epochs, strict=True)
        return [baseline.seconds / library.seconds for baseline, library in pairs]


class _Worker:
    """A process that measures one way, and waits for its turn before each epoch."""

    def __init__(self, order: Order) -> None:
        self.order = order
        command = [sys.executable, "-m", "cifar_lab.benchmark.worker", json.dumps(asdict(order))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> _Worker:
        self.answer()  # it is ready
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def answer(self) -> dict[str, Any]:
        """Return what the process writes next.

        Raises:
            ChildProcessError: It ended instead.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(
                f"Measuring {self.order.experiment} ({self.order.way}) ended with status "
                f"{self.process.wait()}; its own message, if any, is above."
            )
        return json.loads(line)

    def turn(self) -> dict[str, Any]:
        """Let the process continue, and return what it writes."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it has ended: `answer` says so
            print(file=self.process.stdin, flush=True)
        return self.answer()


def compare(
    names: Sequence[str],
    *,
    dataset: str | None = None,
    data_folder: Path | None = None,
    images: int | None = None,
    pairs: int = 3,
    device: str | None = None,
    precisions: Sequence[str | None] = (None,),
) -> Iterator[Comparison]:
    """Measure one experiment after the other, each in alternating pairs of epochs.

    Args:
        names: Names of the experiments.
        dataset: Dataset to train on in place of the experiments' own. Where its files are not
            available, the synthetic dataset takes its place.
        data_folder: Folder of the datasets; None for the default.
        images: Number of images in an epoch; None for all of them.
        pairs: Number of pairs of epochs, the baseline's first.
        device: Device to train on; None for the best available.
        precisions: Precisions of the library, each in a comparison of its own; None for that of
            the experiment's recipe. The baseline always trains in fp32.

    Yields:
        Each experiment's comparison, as soon as it is finished.

    Raises:
        ValueError: Fewer than one pair, or fewer images than a batch.
        ChildProcessError: A way could not be measured; its own message was printed.
    """
    if pairs < 1:
        raise ValueError(f"pairs is {pairs}; expected at least 1.")
    most = max((BENCHMARKED[name].recipe.batch_size for name in names), default=1)
    if images is not None and images < most:
        raise ValueError(f"images is {images}; expected at least a batch, {most}.")
    available: dict[str, str] = {}
    for name, precision in itertools.product(names, precisions):
        experiment = BENCHMARKED[name]
        wanted = dataset or experiment.dataset
        if wanted not in available:
            available[wanted] = load_or_synthetic(wanted, data_folder).name
        folder = None if data_folder is None else str(data_folder)
        orders = [
            Order(way, name, available[wanted], folder, images, pairs, device, precision)
            for way in WAYS
        ]
        with _Worker(orders[0]) as baseline, _Worker(orders[1]) as library:
            for _ in range(pairs):
                for worker in (baseline, library):
                    record = EpochRecord(**worker.turn())
                    print(f"{name:24} {worker.order.way:8} {record}", file=sys.stderr, flush=True)
            measurements = [_measurement(worker.turn()) for worker in (baseline, library)]
        yield Comparison(name, experiment.title, available[wanted], *measurements)


def _measurement(content: dict[str, Any]) -> Measurement:
    records = [EpochRecord(**record) for record in content.pop("epochs")]
    return Measurement(epochs=records, **content)
