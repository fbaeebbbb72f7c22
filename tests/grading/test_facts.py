"""What an instructor sees beside the verdicts: true figures, and hints where there is a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from handed_in.correct import net
from handed_in.making import accuracy_of
from handed_in.replay import forge, real
from torch import nn

from cifar_lab.data import synthetic
from cifar_lab.grading.facts import FAR_ABOVE_MIRRORED, FAR_ABOVE_TRAINING
from cifar_lab.grading.isolation.sandbox import Outcome
from cifar_lab.grading.reading.curves import printed_history
from cifar_lab.grading.reading.durations import printed_seconds
from cifar_lab.grading.sandboxed.weights_likeness import (
    SHIPPED,
    digest_of_numbers,
    shipped_weights_like,
)
from cifar_lab.grading.submissions.cells import Cell
from cifar_lab.grading.verdicts import Grade


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_facts_are_those_of_the_work() -> None:
    facts = json.loads(json.dumps(real("plain")[1].facts))
    assert facts["measured_accuracy"] == pytest.approx(accuracy_of(net()), abs=1e-3)
    assert facts["reported_accuracy"] == pytest.approx(accuracy_of(net()), abs=0.005)
    assert facts["parameters"] == size(net())
    assert facts["training_minutes"] == pytest.approx(7 / 60, abs=0.01)  # a second for each cell
    assert facts["hints"] == []
    assert len(set(facts["code_cells"])) == len(facts["code_cells"]) > 2
    assert set(facts["versions"]) == {"python", "torch", "ipython"}
    assert facts["weights_sha256"] == digest_of_numbers(net().state_dict().values())


def test_an_earlier_grade_has_none(tmp_path: Path) -> None:
    content = real("plain")[1].to_dict()
    for name in ("facts", "comment", "late_days", "deduction"):
        del content[name]
    for verdict in content["verdicts"]:
        del verdict["overridden"]
    assert Grade.from_dict(content).facts == {}
    assert replace(Grade.from_dict(content), deduction=130.0).earned == 0


def hints(change: Any, folder: Path) -> list[str]:
    key = next(each for each in real("plain")[0] if each.startswith("examine_model"))
    facts = forge("plain", key, change, folder).facts
    return [one["kind"] for one in facts["hints"]]


@pytest.mark.parametrize("array", ["training_logits", "mirrored_logits"])
def test_a_network_that_knows_the_test_images_alone_is_worth_a_look(
    array: str, tmp_path: Path
) -> None:
    def guess(outcome: Outcome) -> Outcome:
        shape = outcome.arrays[array].shape
        guesses = np.random.default_rng(0).normal(size=shape)
        return replace(outcome, arrays={**outcome.arrays, array: guesses})

    assert hints(guess, tmp_path) == ["memorised"]


def test_weights_of_the_package_are_worth_a_look(tmp_path: Path) -> None:
    def name(outcome: Outcome) -> Outcome:
        assert outcome.answer is not None
        outcome.answer["weights"]["value"]["shipped"] = "cifar10-frontier-tiny"
        return outcome

    assert hints(name, tmp_path) == ["shipped weights"]


def test_without_the_images_the_rest_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(outcome: Outcome) -> Outcome:
        assert outcome.answer is not None
        del outcome.answer["logits"], outcome.answer["probes"]
        return replace(outcome, arrays={})

    key = next(each for each in real("plain")[0] if each.startswith("examine_model"))
    facts = forge("plain", key, without, tmp_path).facts
    assert "measured_accuracy" not in facts
    assert facts["parameters"] == size(net())


def test_a_digest_tells_numbers_whatever_they_are_called() -> None:
    state = net().state_dict()
    digest = digest_of_numbers(state.values())
    renamed = dict(reversed([(f"module.{name}", one) for name, one in state.items()]))
    assert digest_of_numbers(renamed.values()) == digest
    doubled = [one.double() if one.is_floating_point() else one for one in state.values()]
    assert digest_of_numbers(doubled) == digest
    other = {name: one + 1e-3 if one.is_floating_point() else one for name, one in state.items()}
    assert digest_of_numbers(other.values()) != digest
    assert digest_of_numbers([]) == ""
    assert digest_of_numbers([torch.zeros(1).expand(10**12)]) == ""


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.pt")), ids=lambda path: path.stem)
def test_shipped_weights_are_known_also_after_some_training(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    draws = torch.Generator().manual_seed(0)

    def moved(share: float) -> list[torch.Tensor]:
        floats = [one for one in state.values() if one.is_floating_point()]
        return [
            one + share * one.std(correction=0) * torch.randn(one.shape, generator=draws)
            for one in floats
        ]

    assert shipped_weights_like(state.values()) == path.stem
    assert shipped_weights_like(moved(0.2)) == path.stem
    assert shipped_weights_like(moved(20.0)) == ""
    assert shipped_weights_like(list(state.values())[:-1]) in ("", path.stem)
    assert shipped_weights_like(net().state_dict().values()) == ""


def shown(text: str) -> list[Cell]:
    return [Cell("code", "", 1, ({"output_type": "stream", "text": text},), (), {})]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Training took 12.5 minutes", 750),
        ("Total time: 1h 2min 3s", 3723),
        ("CPU times: user 3min 2s, sys: 1 s, total: 3min 3s\nWall time: 5min 3s", 303),
        ("Epoch 3 took 12.3 s\nEpoch 4 took 12 s", 24.3),
        ("Epoch 3 took 12.3 s\nTraining finished in 60 s", 60),
        ("Elapsed: 0:12:34", 754),
        ("train loss 0.3 in 3 layers", None),
        ("Finished Training", None),
    ],
)
def test_a_printed_time_is_read(text: str, seconds: float | None) -> None:
    found = printed_seconds(shown(text))
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "history"),
    [
        (
            "Epoch 1/2: loss 1.9, train acc 31.5 %, val acc: 40.0 %\n"
            "Epoch 2/2: loss 1.5, train acc 41.5 %, val acc: 45.0 %",
            [
                {"epoch": 1, "train_accuracy": 31.5, "validation_accuracy": 40.0},
                {"epoch": 2, "train_accuracy": 41.5, "validation_accuracy": 45.0},
            ],
        ),
        (
            "epoch 1\n  train_acc=0.25\n  test_acc=0.5\nepoch 2\n  test_acc=0.75",
            [
                {"epoch": 1, "train_accuracy": 25.0, "test_accuracy": 50.0},
                {"epoch": 2, "test_accuracy": 75.0},
            ],
        ),
        (
            "epoch 1 test accuracy 10\nepoch 2 test accuracy 20\nepoch 1 test accuracy 30",
            [{"epoch": 1, "test_accuracy": 30.0}],
        ),
        ("epoch 1 loss 2.3", []),
        ("Test accuracy: 55 %", []),
    ],
)
def test_a_printed_history_is_read(text: str, history: list[dict[str, float]]) -> None:
    assert printed_history(shown(text)) == history


def probe(model: nn.Module) -> tuple[float, float, float]:
    """Accuracy on the synthetic dataset's test images, on those in a mirror, and in training."""
    found = []
    for count, seed, mirrored in ((2_000, 1, False), (2_000, 1, True), (1_000, 0, False)):
        pixels, labels = synthetic.draw(count, seed=seed)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255
        with torch.no_grad():
            answers = model(images.flip(3) if mirrored else images).argmax(dim=1)
        found.append(100 * float((answers == torch.from_numpy(labels)).float().mean()))
    return found[0], found[1], found[2]


def test_an_honest_network_is_far_from_what_is_worth_a_look() -> None:
    test, mirrored, training = probe(net())
    assert test - training < FAR_ABOVE_TRAINING / 2
    assert test - mirrored < FAR_ABOVE_MIRRORED


def test_replayed_processes_give_the_grade_that_they_gave(tmp_path: Path) -> None:
    key = next(iter(real("plain")[0]))
    again = forge("plain", key, lambda outcome: outcome, tmp_path)
    assert again.verdicts == real("plain")[1].verdicts
    assert again.facts == real("plain")[1].facts
