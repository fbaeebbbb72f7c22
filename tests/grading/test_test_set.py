"""Who chooses by the test set ends with other weights, for certain; who does not, with the same."""

from __future__ import annotations

import copy

import pytest
import torch
from handed_in.watched import SEEN, in_unit_interval, linear, scores, watched
from torch import Tensor
from torch.nn import functional

from cifar_lab.grading.sandboxed import fake_images
from cifar_lab.grading.sandboxed.watching import digest

RULES = ("accuracy", "loss", "early stopping", "plateau")
PRECISIONS = ("float32", "bfloat16")


class Student:
    """A training loop that chooses by some images, and looks at test images after each epoch."""

    def __init__(self, drawn: dict[str, Tensor], seed: int, precision: str) -> None:
        self.drawn, self.precision = drawn, precision
        torch.manual_seed(seed)
        self.model = linear()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    def mixed(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16")

    def epoch(self) -> None:
        self.model.train()
        for chosen in torch.randperm(SEEN)[:128].split(64):
            with self.mixed():
                outputs = self.model(self.drawn["train_images"][chosen])
                loss = functional.cross_entropy(outputs, self.drawn["train_labels"][chosen])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def scores(self, part: str, images: slice) -> tuple[float, float]:
        self.model.eval()
        with self.mixed():
            return scores(
                self.model,
                self.drawn[f"{part}_images"][images],
                self.drawn[f"{part}_labels"][images],
            )

    def train(self, rule: str, part: str, images: slice) -> str:
        """The digest of the weights that it ends with."""
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=0)
        best, kept, without = -float("inf"), self.model.state_dict(), 0
        for _ in range(4):
            self.epoch()
            self.scores("test", slice(SEEN))
            accuracy, loss = self.scores(part, images)
            score = -loss if rule in ("loss", "plateau") else accuracy
            if rule == "plateau":
                plateau.step(loss)
            without += 1
            if score > best:
                best, kept, without = score, copy.deepcopy(self.model.state_dict()), 0
            if rule == "early stopping" and without == 2:
                break
        chosen = kept if rule in ("accuracy", "loss") else self.model.state_dict()
        return digest(chosen.values())


def train_all(variant: int, seeds: int) -> dict[str, str]:
    """The digests of all loops' weights."""
    drawn = in_unit_interval(fake_images.draw(10, variant), 2 * SEEN)
    parts = {"test set": ("test", slice(SEEN)), "validation": ("train", slice(SEEN, 2 * SEEN))}
    digests = {}
    for precision in PRECISIONS:
        for rule in RULES:
            for by, part in parts.items():
                for seed in range(seeds):
                    with watched(variant):
                        weights = Student(drawn, seed, precision).train(rule, *part)
                    digests[f"{precision}, {rule}, {by}, {seed}"] = weights
    return digests


@pytest.fixture(scope="module", params=[2, pytest.param(30, marks=pytest.mark.slow)])
def trained(request: pytest.FixtureRequest) -> dict[int, dict[str, str]]:
    """The digests by variant, for a number of seeds."""
    return {variant: train_all(variant, request.param) for variant in (0, 1, 2)}


def alike(trained: dict[int, dict[str, str]], of: str) -> set[bool]:
    """Whether loops ended with the same weights in variant 0 and in another, over all seeds."""
    names = [name for name in trained[0] if name.startswith(f"{of}, ")]
    assert names
    return {trained[0][name] == trained[variant][name] for name in names for variant in (1, 2)}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rule", RULES)
def test_choosing_by_the_test_set_leaves_other_weights_with_every_seed(
    rule: str, precision: str, trained: dict[int, dict[str, str]]
) -> None:
    assert alike(trained, f"{precision}, {rule}, test set") == {False}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rule", RULES)
def test_choosing_by_a_validation_split_leaves_the_same_weights_to_the_bit(
    rule: str, precision: str, trained: dict[int, dict[str, str]]
) -> None:
    assert alike(trained, f"{precision}, {rule}, validation") == {True}
