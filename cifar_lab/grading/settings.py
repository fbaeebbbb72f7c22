"""What an instructor may change: points, limits and tolerances."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.submission import DATASET_OF as ASSIGNMENTS
from cifar_lab.grading.checks.table import CHECKS, Check
from cifar_lab.grading.isolation.sandbox import Limits
from cifar_lab.models.counting import MAX_PARAMETERS, MLP_PARAMETERS
from cifar_lab.utils.errors import unknown_name
from cifar_lab.utils.files import read_text

NUM_CLASSES = {"cifar10": 10, "cifar100": 100, "synthetic": 10}
if TYPE_CHECKING:
    import pytest

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


@dataclass(frozen=True)
class Settings:
    """What a submission is held against.

    Attributes:
        assignment: "a" or "b".
        dataset: that the reported accuracy is of; the assignment's own by default.
        data_folder: of the datasets; None for `$CIFAR_LAB_DATA` or `data`.
        points: other points than the table's, by check; 0 leaves a check out.
        max_parameters: the model must have fewer numbers; None for the assignment's.
        free_constants: numbers in tensors that are neither parameters nor statistics of batch
            normalisation and don't count: the means and deviations of a normalisation.
        accuracy_tolerance: points of a percent between the reported accuracy and the measured.
        max_minutes: of training.
        min_iterations: that assignment A asks for.
        min_words: of the student's own in each discussion of assignment B.
        overfit_images: in the batch that is learnt by heart.
        overfit_loss: cross-entropy to reach on it; a softmax in the model keeps it above 1.4.
        batch_tolerance: largest change of a logit with its batch, as a share of the largest logit.
        twice_tolerance: largest difference of logits between two passes.
        batches: that a pass over a loader gives at most when the notebook runs on the stand-in.
        template: notebook or Markdown file whose words are not the student's, as those of
            notebook 02 are not; None for the package's own.
        run: limits of each run of the notebook; of processor time at least as of wall time.
        look: limits of looking at the model, and of measuring its accuracy.
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
        if not self.dataset:
            object.__setattr__(self, "dataset", ASSIGNMENTS[self.assignment])
        if self.dataset not in DATASETS:
            raise unknown_name("dataset", self.dataset, DATASETS)
        if not self.max_parameters:
            most = MLP_PARAMETERS if self.assignment == "a" else MAX_PARAMETERS
            object.__setattr__(self, "max_parameters", most)
        for name, points in self.points.items():
            if name not in CHECKS:
                raise unknown_name("check", name, CHECKS)
            if not _is_number(points):
                raise ValueError(f"points.{name} is {points!r}; expected a number, 0 or more.")
        for name in NUMBERS:
            if not _is_number(getattr(self, name)):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; expected a number, 0 or more."
                )
        for name in ("run", "look"):
            limits: Limits = getattr(self, name)
            for limit, value in asdict(limits).items():
                if not _is_number(value):
                    raise ValueError(f"{name}.{limit} is {value!r}; expected a number, 0 or more.")
            if limits.cpu_seconds < limits.wall_seconds:  # one thread uses as much
                enough = replace(limits, cpu_seconds=math.ceil(limits.wall_seconds))
                object.__setattr__(self, name, enough)
        if self.template is not None and not self.template.is_file():
            raise ValueError(f"There is no file {self.template}, which the settings call template.")

    @property
    def num_classes(self) -> int:
        """Logits that a model must give."""
        return NUM_CLASSES[self.dataset]

    def checks(self) -> dict[Check, float]:
        """The assignment's checks with their points, in the table's order."""
        place = list(ASSIGNMENTS).index(self.assignment)
        points = {
            check: float(self.points.get(check.name, check.points[place] or 0))
            for check in CHECKS.values()
            if check.points[place] is not None
        }
        return {check: value for check, value in points.items() if value > 0}

    def expected(self, check: Check) -> str:
        """What the check looks for, with these settings' values."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        minutes = self.run.wall_seconds / 60
        return check.expected.format(**values, num_classes=self.num_classes, run_minutes=minutes)

    def to_dict(self) -> dict[str, Any]:
        """All but where the data is, as plain values that JSON can hold."""
        content = asdict(replace(self, points={}))
        del content["data_folder"]
        content["points"] = {check.name: points for check, points in self.checks().items()}
        content["template"] = None if self.template is None else read_text(self.template)
        return content


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf  # type: ignore[operator]


def read_settings(path: Path | None, **given: Any) -> Settings:
    """Settings from a TOML or JSON file, and from what was given beside it.

    The file has the names of `Settings`, with tables (objects) `points`, `run` and `look`.

    Raises:
        ValueError: a file that can't be read so, or a name or value that settings don't have.
    """
    content: dict[str, Any] = {} if path is None else _read(path)
    content |= {name: value for name, value in given.items() if value is not None}
    known = {one.name for one in fields(Settings)}
    for name in content:
        if name not in known:
            raise unknown_name("setting", name, known)
    try:
        for name, usual in (("run", Settings.run), ("look", Settings.look)):
            if isinstance(content.get(name), dict):
                content[name] = replace(usual, **content[name])
        for name in ("template", "data_folder"):
            if isinstance(content.get(name), str):
                content[name] = Path(content[name])
        return Settings(**content)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"The settings can't be used: {error}.") from error


def settings_of(config: pytest.Config) -> Settings:
    """Settings from the options of a pytest session.

    Raises:
        ValueError: as `read_settings`.
    """
    option = config.getoption
    file = option("settings")
    return read_settings(
        None if file is None else Path(file),
        assignment=option("assignment"),
        dataset=option("dataset"),
        data_folder=option("data"),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path)
        if path.suffix.lower() == ".json":
            content = json.loads(text)
        else:
            try:
                import tomllib
            except ImportError as error:
                raise ValueError("TOML needs Python 3.11; write the settings as .json") from error
            content = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"The settings in {path} can't be read: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected names and values.")
    return content
