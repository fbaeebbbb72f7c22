from __future__ import annotations

import math

import pytest
import torch

from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at


def recipe(epochs: int = 50, learning_rate: float = 0.2, **fields: object) -> Recipe:
    return Recipe(epochs, 64, "sgd", learning_rate, **fields)


def test_without_a_schedule_the_learning_rate_stays() -> None:
    assert {learning_rate_at(recipe(), position / 7) for position in range(300)} == {0.2}


def test_cosine_per_step_is_torch_s_own() -> None:
    steps, epochs = 10, 8
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps * epochs)
    cosine = recipe(epochs, schedule="cosine")
    for step in range(steps * epochs):
        assert learning_rate_at(cosine, step / steps) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert learning_rate_at(cosine, epochs) == pytest.approx(0, abs=1e-12)


def test_assignment_b_s_schedule_warms_up_for_five_epochs_and_falls_along_a_cosine() -> None:
    course = recipe(50, 1e-3, schedule="cosine", schedule_per="epoch", warmup_epochs=5)
    found = [learning_rate_at(course, epoch + 0.5) for epoch in range(50)]
    assert found[:5] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3])
    cosine = [1e-3 * 0.5 * (1 + math.cos(math.pi * epoch / 45)) for epoch in range(45)]
    assert found[5:] == pytest.approx(cosine)


def test_warm_up_per_step_grows_with_every_step_and_never_beyond_the_peak() -> None:
    warming = recipe(10, warmup_epochs=2, schedule="constant")
    found = [learning_rate_at(warming, step / 100) for step in range(300)]
    assert found[:200] == pytest.approx([0.2 * step / 200 for step in range(200)])
    assert found[200:] == [0.2] * 100


def test_warm_up_of_one_epoch_per_step_rises_through_it() -> None:
    warming = recipe(10, warmup_epochs=1, schedule="constant")
    found = [learning_rate_at(warming, position) for position in (0, 0.25, 0.75, 1, 2)]
    assert found == pytest.approx([0, 0.05, 0.15, 0.2, 0.2])


def test_one_cycle_is_a_triangle() -> None:
    cycle = recipe(8, schedule="one-cycle")
    positions = [0, 1, 2, 5, 8]
    found = [learning_rate_at(cycle, position) for position in positions]
    assert found == pytest.approx([0, 0.1, 0.2, 0.1, 0])


def test_per_epoch_the_learning_rate_is_the_same_within_one() -> None:
    for name in ("cosine", "one-cycle"):
        stepped = recipe(10, schedule=name, schedule_per="epoch")
        assert learning_rate_at(stepped, 3.9) == learning_rate_at(stepped, 3.0)
        assert learning_rate_at(stepped, 4.0) != learning_rate_at(stepped, 3.0)


def test_one_cycle_per_epoch_trains_in_each() -> None:
    cycle = recipe(8, schedule="one-cycle", schedule_per="epoch")
    found = [learning_rate_at(cycle, epoch) for epoch in range(8)]
    rise, fall = [0.25, 0.75], [11 / 12, 9 / 12, 7 / 12, 5 / 12, 3 / 12, 1 / 12]
    assert found == pytest.approx([0.2 * share for share in rise + fall])
    assert learning_rate_at(recipe(1, schedule="one-cycle", schedule_per="epoch"), 0) > 0
