"""Figures of whole experiments: accuracy over seeds against parameters and the cost of training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from cifar_lab.experiments.results import Result, load_result
from cifar_lab.utils.errors import unknown_name
from cifar_lab.utils.files import read_text, user_path, write_text

RUNS_FOLDER = Path(__file__).with_name("published_runs")


@dataclass(frozen=True)
class Measured:
    """An experiment's figures, without its runs.

    Attributes:
        experiment: its name.
        title: what pictures call it.
        dataset: that it was trained and tested on.
        parameters: numbers in the model's parameters.
        training_flops: floating-point operations of one run's training, in matrix products.
        test_accuracies: percent, by seed.
    """

    experiment: str
    title: str
    dataset: str
    parameters: int
    training_flops: float
    test_accuracies: dict[int, float]

    @property
    def accuracy(self) -> float:
        """Test accuracy in percent, the mean over the seeds."""
        return mean(self.test_accuracies.values())

    @property
    def spread(self) -> float:
        """The standard deviation between seeds (of the sample); 0 for a single one."""
        values = list(self.test_accuracies.values())
        return stdev(values) if len(values) > 1 else 0.0


def summarize(results: Mapping[str, Sequence[Result]]) -> list[Measured]:
    """The figures of each experiment's runs, one a seed.

    Raises:
        ValueError: an experiment without a run, or with runs of different models, data or length.
    """
    return [_summary(name, group) for name, group in results.items()]


def _summary(name: str, runs: Sequence[Result]) -> Measured:
    kinds = {(run.dataset, run.parameters, run.training_flops) for run in runs}
    if len(kinds) != 1:
        raise ValueError(
            f"{name} has runs of {len(kinds)} kinds (data, model or length of training); their "
            "mean says nothing."
        )
    first = runs[0]
    if not first.training_flops:
        raise ValueError(
            f"The runs of {name} are of before the cost of training was counted; run it again."
        )
    return Measured(
        experiment=name,
        title=first.title,
        dataset=first.dataset,
        parameters=first.parameters,
        training_flops=first.training_flops,
        test_accuracies={run.seed: run.test_accuracy for run in runs},
    )


def save_measured(measured: Sequence[Measured], path: str | Path) -> None:
    """Write the figures as JSON."""
    write_text(path, json.dumps([asdict(one) for one in measured], indent=1) + "\n")


def load_measured(path: str | Path | None = None) -> list[Measured]:
    """Figures from a file; without one, those that the package's authors measured on CIFAR.

    Raises:
        ValueError: the file holds something else.
    """
    path = path or Path(__file__).with_name("published.json")
    try:
        rows = json.loads(read_text(user_path(path)))
        for row in rows:  # JSON has no numbers as keys
            row["test_accuracies"] = {
                int(seed): accuracy for seed, accuracy in row["test_accuracies"].items()
            }
        return [Measured(**row) for row in rows]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} holds no figures that `save_measured` wrote ({error})."
        ) from error


def measured_run_names() -> list[str]:
    """The experiments of which a run, with its learning curve, comes with the package."""
    return sorted(path.name for path in RUNS_FOLDER.iterdir())


def load_measured_run(name: str) -> Result:
    """A run of an experiment that the package's authors made on CIFAR, with its learning curve.

    It can be shorter than the experiment's recipe; its own recipe says how long it was.

    Raises:
        ValueError: none of that experiment comes with the package; the message offers the nearest.
    """
    if name not in measured_run_names():
        raise unknown_name("measured run", name, measured_run_names())
    return load_result(RUNS_FOLDER / name)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Of points (cost, accuracy), those that no other beats, from the cheapest on: their numbers.

    A point is beaten by one that costs no more and is more accurate, or costs less and is as
    accurate.
    """
    front: list[int] = []
    for number in sorted(range(len(points)), key=lambda each: (points[each][0], -points[each][1])):
        if not front or points[number][1] > points[front[-1]][1]:
            front.append(number)
    return front
