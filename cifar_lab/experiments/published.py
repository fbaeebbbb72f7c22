"""Published figures of whole experiments: accuracy over seeds, parameters and cost of training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean

from cifar_lab.experiments.results import Result, common_views, load_result
from cifar_lab.experiments.trials import Trial, load_trials
from cifar_lab.utils.errors import unknown_name
from cifar_lab.utils.files import read_text, user_path, write_text
from cifar_lab.utils.statistics import sample_spread

RUNS_FOLDER = Path(__file__).with_name("published_runs")


@dataclass(frozen=True)
class Published:
    """An experiment's figures, without its runs.

    Attributes:
        experiment: The experiment's name.
        title: Names it in plots.
        dataset: The dataset that it was trained and tested on.
        parameters: Number of parameters of the model.
        training_flops: Floating-point operations of one run's training, in matrix products.
        test_accuracies: Test accuracies in percent, by seed.
        views: Those with several views of each image, by the views' name and then by seed.
    """

    experiment: str
    title: str
    dataset: str
    parameters: int
    training_flops: float
    test_accuracies: dict[int, float]
    views: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Test accuracy in percent, the mean over the seeds."""
        return mean(self.test_accuracies.values())

    @property
    def spread(self) -> float:
        """The standard deviation between seeds (of the sample); 0 for a single seed."""
        return sample_spread(list(self.test_accuracies.values()))


def summarize(results: Mapping[str, Sequence[Result]]) -> list[Published]:
    """Return the figures of each experiment's runs.

    Args:
        results: Runs of each experiment, one per seed.

    Raises:
        ValueError: An experiment has no run, or runs of different models, datasets or lengths.
    """
    return [_summary(name, group) for name, group in results.items()]


def _summary(name: str, runs: Sequence[Result]) -> Published:
    kinds = {(run.dataset, run.parameters, run.training_flops) for run in runs}
    if len(kinds) != 1:
        raise ValueError(
            f"{name} has runs of {len(kinds)} kinds (dataset, model or length of training); their "
            "mean has no meaning. Pass runs of one kind."
        )
    first = runs[0]
    if not first.training_flops:
        raise ValueError(
            f"The runs of {name} were made before the cost of training was counted; run it again."
        )
    return Published(
        experiment=name,
        title=first.title,
        dataset=first.dataset,
        parameters=first.parameters,
        training_flops=first.training_flops,
        test_accuracies={run.seed: run.test_accuracy for run in runs},
        views={name: {run.seed: run.views[name] for run in runs} for name in common_views(runs)},
    )


def save_published(figures: Sequence[Published], path: str | Path) -> None:
    """Write the figures as JSON."""
    write_text(path, json.dumps([asdict(one) for one in figures], indent=1) + "\n")


def load_published(path: str | Path | None = None) -> list[Published]:
    """Load figures from a file.

    Args:
        path: The file; None for the figures that the package's authors measured on CIFAR.

    Raises:
        ValueError: The file holds something else.
    """
    path = path or Path(__file__).with_name("published.json")
    try:
        rows = json.loads(read_text(user_path(path)))
        for row in rows:
            row["test_accuracies"] = _by_seed(row["test_accuracies"])
            row["views"] = {name: _by_seed(each) for name, each in row.get("views", {}).items()}
        return [Published(**row) for row in rows]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} holds no figures; expected a file that `save_published` or "
            f"`cifar-lab table --json` wrote ({error})."
        ) from error


def _by_seed(accuracies: Mapping[str, float]) -> dict[int, float]:
    return {int(seed): accuracy for seed, accuracy in accuracies.items()}  # JSON has texts as keys


def published_run_names() -> list[str]:
    """Return the experiments of which a run, with its learning curve, comes with the package."""
    return sorted(path.name for path in RUNS_FOLDER.iterdir() if path.is_dir())


def load_published_run(name: str) -> Result:
    """Load a run that the package's authors made on CIFAR, with its learning curve.

    It can be shorter than the experiment's recipe; its own recipe says how long it was.

    Args:
        name: Name of the experiment.

    Raises:
        ValueError: No run of that experiment comes with the package; the message offers the
            nearest names.
    """
    if name not in published_run_names():
        raise unknown_name("published run", name, published_run_names())
    return load_result(RUNS_FOLDER / name)


def published_trials_names() -> list[str]:
    """Return the comparisons of variants whose trials come with the package."""
    return sorted(path.stem for path in RUNS_FOLDER.glob("*.json"))


def load_published_trials(name: str) -> list[Trial]:
    """Load the trials of a comparison that the package's authors made on CIFAR.

    Args:
        name: Name of the comparison, such as "cifar100-smallcifarnet-ablation".

    Raises:
        ValueError: No comparison of that name comes with the package; the message offers the
            nearest names.
    """
    if name not in published_trials_names():
        raise unknown_name("published comparison", name, published_trials_names())
    return load_trials(RUNS_FOLDER / f"{name}.json")


# Their names in notebooks of earlier versions.
load_measured = load_published
load_measured_run = load_published_run


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other beats, from the cheapest on.

    A point is beaten by one that costs no more and is more accurate, or costs less and is as
    accurate.

    Args:
        points: Cost and accuracy of each.
    """
    front: list[int] = []
    for number in sorted(range(len(points)), key=lambda each: (points[each][0], -points[each][1])):
        if not front or points[number][1] > points[front[-1]][1]:
            front.append(number)
    return front
