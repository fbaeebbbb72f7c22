"""The plain way and the library, epoch by epoch in turn."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from cifar_lab.benchmark.worker import WAYS, Measurement, Order
from cifar_lab.data.datasets import load_or_stand_in
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.training.state import EpochRecord


@dataclass(frozen=True)
class Comparison:
    """One experiment, trained in both ways for as many epochs."""

    experiment: str
    title: str
    dataset: str
    plain: Measurement
    library: Measurement

    @property
    def ratios(self) -> list[float]:
        """For each pair of epochs, how many times as fast the library was."""
        pairs = zip(self.plain.epochs, self.library.epochs, strict=True)
        return [plain.seconds / library.seconds for plain, library in pairs]


class _Side:
    """A process that measures one way, and waits for its turn before each epoch."""

    def __init__(self, order: Order) -> None:
        self.order = order
        command = [sys.executable, "-m", "cifar_lab.benchmark.worker", json.dumps(asdict(order))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> _Side:
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
        """The next line that it gives.

        Raises:
            ChildProcessError: it ended instead.
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
        """Let it go on, and wait for what it gives."""
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
) -> Iterator[Comparison]:
    """Measure one experiment after the other, each in alternating pairs of epochs.

    Args:
        names: of experiments.
        dataset: another than the experiments' own. Where its files can't be had, the stand-in.
        data_folder: of the datasets; None for the usual place.
        images: in an epoch; None for all of them.
        pairs: of epochs, the plain way's first.
        device: None for the best there is.

    Raises:
        ValueError: fewer than one pair, or fewer images than a batch.
        ChildProcessError: a way could not be measured; its own message was printed.
    """
    if pairs < 1:
        raise ValueError(f"pairs is {pairs}; expected at least 1.")
    most = max((EXPERIMENTS[name].recipe.batch_size for name in names), default=1)
    if images is not None and images < most:
        raise ValueError(f"images is {images}; expected at least a batch, {most}.")
    available: dict[str, str] = {}
    for name in names:
        experiment = EXPERIMENTS[name]
        wanted = dataset or experiment.dataset
        if wanted not in available:
            available[wanted] = load_or_stand_in(wanted, data_folder).name
        folder = None if data_folder is None else str(data_folder)
        orders = [
            Order(way, name, available[wanted], folder, images, pairs, device) for way in WAYS
        ]
        with _Side(orders[0]) as plain, _Side(orders[1]) as library:
            for _ in range(pairs):
                for side in (plain, library):
                    record = EpochRecord(**side.turn())
                    print(f"{name:24} {side.order.way:8} {record}", file=sys.stderr, flush=True)
            measured = [_measurement(side.turn()) for side in (plain, library)]
        yield Comparison(name, experiment.title, available[wanted], *measured)


def _measurement(content: dict[str, Any]) -> Measurement:
    records = [EpochRecord(**record) for record in content.pop("epochs")]
    return Measurement(epochs=records, **content)
