"""The student's own work: the networks that a run trains, and words that nobody handed out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from handed_in.correct import WORDS
from handed_in.watched import watched
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.grading.checks.words import HERE, findings_written
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.submission import Cell
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.models import SkeletonConvNet, build_model


def own_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))


class WithHelpers(nn.Module):
    """A network that takes its images as a vector, so that it can't be told."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3072, 10)

    def forward(self, rows: Tensor) -> Tensor:
        return self.linear(rows)


def step(model: nn.Module, images: Tensor, *optimizers: torch.optim.Optimizer) -> None:
    functional.cross_entropy(model(images), torch.zeros(len(images), dtype=torch.long)).backward()
    for optimizer in optimizers:
        optimizer.step()


def names(watch: Any) -> list[str]:
    return [one["like"] for one in watch.report()["optimizers"]]


def test_a_run_tells_networks_that_were_given_from_the_student_s_own() -> None:
    images = torch.rand(4, 3, 32, 32)
    models = [SkeletonConvNet(), own_network(), nn.DataParallel(build_model("convnet"))]
    with watched() as watch:
        for model in models:
            step(model, images, torch.optim.SGD(model.parameters(), lr=0.1))
        rows = WithHelpers()
        step(rows, images.flatten(1), torch.optim.SGD(rows.parameters(), lr=0.1))
    assert names(watch) == ["skeleton", "", "convnet", ""]


def test_a_network_with_two_optimizers_is_told_by_either() -> None:
    model = SkeletonConvNet()
    with watched() as watch:
        parts = [model.features.parameters(), model.head.parameters()]
        both = [torch.optim.SGD(part, lr=0.1) for part in parts]
        step(model, torch.rand(2, 3, 32, 32), *both)
    assert names(watch) == ["skeleton", "skeleton"]


def test_a_run_for_comparison_does_not_ask_what_the_networks_are() -> None:
    model = SkeletonConvNet()
    with watched(variant=1) as watch:
        step(model, torch.rand(2, 3, 32, 32), torch.optim.SGD(model.parameters(), lr=0.1))
    assert names(watch) == [""]


def looked_at(looks: dict[str, Any] | Exception, likes: Sequence[str], folder: Path) -> Evidence:
    evidence = Evidence(folder, Settings("a"))

    def look() -> dict[str, Any]:
        if isinstance(looks, Exception):
            raise looks
        return {"answer": looks}

    evidence.look = look  # type: ignore[method-assign]
    watch = {"optimizers": [{"like": like} for like in likes]}
    evidence.run = lambda: {"watch": watch}  # type: ignore[assignment, method-assign]
    return evidence


NO_MODEL = SubmissionError("model_found", "No model.", "Hand one in.")


@pytest.mark.parametrize(
    ("looks", "likes", "owner"),
    [
        ({"like": {"value": ""}}, [], None),
        ({"like": {"value": "skeleton"}}, ["", ""], "own_network"),
        ({"like": {"error": "RuntimeError: no"}}, ["skeleton"], None),
        (NotMadeError("a package is missing"), ["skeleton"], None),
        (NO_MODEL, ["mlp", "skeleton"], "model_found"),
        (NO_MODEL, ["mlp", ""], None),
        (NO_MODEL, [], None),
        (SubmissionError("notebook_runs", "It ended.", "Run it."), ["mlp"], None),
    ],
)
def test_only_what_is_certainly_not_the_student_s_is_refused(
    looks: dict[str, Any] | Exception, likes: list[str], owner: str | None, tmp_path: Path
) -> None:
    evidence = looked_at(looks, likes, tmp_path)
    if owner is None:
        evidence.refuse_given_network()
    else:
        with pytest.raises(SubmissionError) as refused:
            evidence.refuse_given_network()
        assert refused.value.owner == owner


class Read:
    """Evidence that is a notebook's text."""

    def __init__(self, *texts: str) -> None:
        self.settings = Settings("a")
        self._cells = [Cell("markdown", text, None, (), (), {}) for text in texts]

    def cells(self) -> list[Cell]:
        return self._cells


def share(*texts: str) -> float:
    try:
        findings_written(Read(*texts))  # type: ignore[arg-type]
    except SubmissionError as error:
        return error.share
    return 1.0


THIRTY = " ".join(f"{first}{second}ord" for first in "abcdef" for second in "ghijk")
OTHER = THIRTY.replace("ord", "ort")
THIRD = THIRTY.replace("ord", "orf")
SPACELESS = "".join(chr(0x4E00 + place) for place in range(60))

COMPLETE = {
    "as it is asked for": (
        f"## Iteration 1\n{THIRTY}\n## Iteration 2\n{OTHER}\n## Findings\n{THIRD}"
    ),
    "in parts": (
        f"## 4. Iteration 1\n### Hypothesis\n{THIRTY[:80]}\n### Conclusion\n{THIRTY[80:]}\n"
        f"## 5. Iteration 2\n### Change\n{OTHER}\n## Findings\n### What counts\n{THIRD[:80]}\n"
        f"### What doesn't\n{THIRD[80:]}"
    ),
    "iterations below the findings": (
        f"# Findings\n{THIRD}\n- Iteration 1: {THIRTY}\n- Iteration 2: {OTHER}"
    ),
    "in bold": f"**First net.** {THIRTY}\n\n**Second net.** {OTHER}\n\n**Conclusion.** {THIRD}",
    "bold parts of the findings": (
        f"# Results\n**First net** {THIRTY}\n\n**Second net** {OTHER}\n\n**So what** {THIRD}"
    ),
    "in German": f"# Versuch 1\n{THIRTY}\n# Versuch 2\n{OTHER}\n# Ergebnisse\n{THIRD}",
    "in an unknown language": f"# Uno\n{THIRTY}\n# Duo\n{OTHER}\n# Tres\n{THIRD}",
    "in Chinese": f"# 实验 1\n{SPACELESS}\n# 实验 2\n{SPACELESS[::-1]}\n# 结论\n{SPACELESS}",
    "without a word on which iteration": f"{THIRTY}\n# More\n{OTHER}\n# Findings\n{THIRD}",
}


@pytest.mark.parametrize("style", COMPLETE)
def test_own_words_count_under_whatever_headings(style: str) -> None:
    assert share(COMPLETE[style]) == 1
    assert share(*COMPLETE[style].split("\n")) == 1, "a cell for each line"


def test_a_part_with_fewer_words_earns_in_proportion() -> None:
    half = " ".join(THIRTY.split()[:15])
    one, two = f"## Iteration 1\n{THIRTY}\n", f"## Iteration 2\n{half}\n"
    assert share(one) == pytest.approx(1 / 3, abs=0.03)
    assert share(one + two) == pytest.approx(1 / 2, abs=0.03)
    assert share(f"{one}## Findings\n{OTHER}") == pytest.approx(2 / 3, abs=0.03)
    assert share("# Assignment A", "```\n" + THIRTY + "\n```") < 0.05


@pytest.mark.parametrize("name", ["notebook_a.md", "notebook_b.md", "template_b.md"])
def test_words_that_were_handed_out_are_not_the_student_s(name: str) -> None:
    handed_out = (HERE / name).read_text(encoding="utf-8")
    assert share(handed_out) == 0
    assert share(*handed_out.split("\n\n")) == 0
    assert share(handed_out, WORDS) == 1


def test_the_student_is_told_how_many_words_each_part_has_and_what_to_write() -> None:
    with pytest.raises(SubmissionError, match="another: 0 own words") as error:
        findings_written(Read(f"## Iteration 1\n{THIRTY}"))  # type: ignore[arg-type]
    assert "such as Iteration 1, Iteration 2 and Findings" in error.value.remedy
