"""Settings that an instructor may change: points, limits and tolerances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.facts import ASSIGNMENTS
from cifar_lab.grading.isolation.sandbox import Limits
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.models.counting import MAX_PARAMETERS, MLP_PARAMETERS
from cifar_lab.utils.errors import unknown_name
from cifar_lab.utils.files import read_text

NUMBERS = (
    "max_parameters",
    "free_constants",
    "accuracy_tolerance",
    "max_minutes",
    "min_iterations",
    "min_words",
    "overfit_images",
    "overfit_loss",
    "batch_tolerance",
    "twice_tolerance",
    "batches",
)
LIMITS = ("run", "look")
MAX_PARAMETERS_OF = {"a": MLP_PARAMETERS, "b": MAX_PARAMETERS}


@dataclass(frozen=True)
class Settings:
    """Points, limits and tolerances that a submission is checked with.

    Attributes:
        assignment: Assignment, "a" or "b".
        dataset: Dataset of the reported accuracy; the assignment's own by default.
        data_folder: Folder of the datasets; None for `$CIFAR_LAB_DATA` or `data`.
        points: Points that replace the table's, by check; 0 leaves a check out.
        max_parameters: Limit that the model's numbers must stay below; 0 for the assignment's.
        free_constants: Numbers in tensors that are neither parameters nor statistics of batch
            normalisation and don't count: the means and deviations of a normalisation.
        accuracy_tolerance: Percentage points between the reported accuracy and the measured one.
        max_minutes: Longest time of training.
        min_iterations: Number of the student's own networks that assignment A asks for.
        min_words: Number of own words on each iteration and on the findings in assignment A, and
            on each choice in assignment B.
        overfit_images: Number of images in the batch that the model has to overfit.
        overfit_loss: Cross-entropy to reach on it; a softmax in the model keeps it above 1.4.
        batch_tolerance: Largest change of a logit with its batch, as a share of the largest logit.
        twice_tolerance: Largest difference of logits between two passes.
        batches: Most batches in a pass over a loader when the notebook runs on fake images.
        template: Notebook or Markdown file whose words are not the student's, as those of the
            notebooks are not; None for the package's own.
        run: Limits of each run of the notebook; processor time is at least the wall time.
        look: Limits of looking at the model, and of measuring its accuracy.
    """

    assignment: str
    dataset: str = ""
    data_folder: Path | None = None
    points: Mapping[str, float] = field(default_factory=dict)
    max_parameters: int = 0
    free_constants: int = 100
    accuracy_tolerance: float = 0.5
    max_minutes: float = 60.0
    min_iterations: int = 2
    min_words: int = 30
    overfit_images: int = 16
    overfit_loss: float = 1.0
    batch_tolerance: float = 1e-3
    twice_tolerance: float = 1e-5
    batches: int = 6
    template: Path | None = None
    run: Limits = Limits(wall_seconds=600.0, cpu_seconds=600, file_mib=1024)
    look: Limits = Limits(wall_seconds=600.0, cpu_seconds=600)

    def __post_init__(self) -> None:
        if self.assignment not in ASSIGNMENTS:
            raise unknown_name("assignment", self.assignment, ASSIGNMENTS)
        self._fill_in("dataset", self.dataset or ASSIGNMENTS[self.assignment])
        if self.dataset not in DATASETS:
            raise unknown_name("dataset", self.dataset, DATASETS)
        self._fill_in("max_parameters", self.max_parameters or MAX_PARAMETERS_OF[self.assignment])
        for name, value in self._numbers():
            if not _is_number(value):
                raise ValueError(f"{name} is {value!r}; expected a number, 0 or more.")
        for name in LIMITS:
            self._fill_in(name, _with_enough_cpu(getattr(self, name)))
        if self.template is not None and not self.template.is_file():
            raise ValueError(
                f"There is no file {self.template}, which the settings name as template. Correct "
                "its path, or leave it out for the package's own."
            )

    def _fill_in(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everybody else

    def _numbers(self) -> Iterator[tuple[str, object]]:
        """Yield every value that has to be a number, with the name that errors give it."""
        for check, points in self.points.items():
            yield f"points.{check}", points
        for name in NUMBERS:
            yield name, getattr(self, name)
        for name in LIMITS:
            for limit, value in asdict(getattr(self, name)).items():
                yield f"{name}.{limit}", value

    @property
    def num_classes(self) -> int:
        """Number of logits that a model must give for each image."""
        return DATASETS[self.dataset].num_classes

    def to_dict(self) -> dict[str, Any]:
        """Return all but where the data is, as plain values that JSON can hold."""
        content = asdict(replace(self, points=dict(self.points)))
        del content["data_folder"]
        content["template"] = None if self.template is None else read_text(self.template)
        return content


def _with_enough_cpu(limits: Limits) -> Limits:
    """Return the limits with at least as much processor time as time: one thread may use that."""
    if limits.cpu_seconds >= limits.wall_seconds:
        return limits
    return replace(limits, cpu_seconds=math.ceil(limits.wall_seconds))


def _is_number(value: object) -> bool:
    return is_number(value) and 0 <= value < math.inf
