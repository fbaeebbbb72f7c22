from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from cifar_lab.utils.devices import as_device, best_device, to_device, wait_for
from cifar_lab.utils.seeding import (
    check_seed,
    derive_seed,
    generator,
    random_state_kept,
    seed_everything,
)


@pytest.fixture(autouse=True)
def cudnn_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("deterministic", "benchmark"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))


def draws(seed: int) -> tuple[float, float, float]:
    seed_everything(seed)
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_a_seed_repeats_the_draws_of_every_library() -> None:
    first, other = draws(0), draws(1)
    assert draws(0) == first
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_seeding_asks_cudnn_for_deterministic_kernels() -> None:
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    seed_everything(0)
    assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "0", None, True])
def test_a_seed_that_not_every_generator_takes_is_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="expected an integer from 0 to"):
        seed_everything(seed)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_smallest_and_the_largest_seed_are_taken(seed: int) -> None:
    check_seed(seed)
    seed_everything(seed)


def test_derived_seeds_all_differ() -> None:
    seeds = {
        derive_seed(seed, epoch, purpose)
        for seed in range(12)
        for epoch in range(12)
        for purpose in ("order", "dropout", "transform")
    }
    assert len(seeds) == 12 * 12 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_derived_seeds_are_the_same_on_every_machine() -> None:
    # From: printf 3/1/order | sha256sum, the first 16 hexadecimal digits, halved
    assert derive_seed(3, 1, "order") == int("eac5b47eed892345", 16) // 2


def test_a_generator_is_independent_of_the_global_one() -> None:
    first = torch.rand(3, generator=generator(1, 2, "order"))
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3, generator=generator(1, 2, "order")), first)
    assert not torch.equal(torch.rand(3, generator=generator(1, 3, "order")), first)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_best_device_follows_the_course_s_order(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device().type == as_device(None).type == expected


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_can_not_be_used_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=f"Device '{device}' can't be used here: .*best one"):
        as_device(device)


def test_a_usable_device_is_taken_by_name_or_as_it_is() -> None:
    assert as_device("cpu") == as_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "non_blocking"), [("cuda", True), ("cuda:1", True), ("mps", False), ("cpu", False)]
)
def test_the_host_waits_for_copies_to_all_but_cuda(device: str, non_blocking: bool) -> None:
    class Recording:
        def to(self, *args: Any, **options: Any) -> Any:
            return args, options

    moved = to_device(Recording(), torch.device(device))  # type: ignore[arg-type]
    assert moved == ((torch.device(device),), {"non_blocking": non_blocking})


def test_waiting_is_for_the_device_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Any] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    for device in ("cpu", "cuda:1", "mps"):
        wait_for(torch.device(device))
    assert waited == [torch.device("cuda:1"), "mps"]


def test_the_generators_of_several_gpus_are_kept_without_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: asked.append(device))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: asked.append(device))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with random_state_kept():
            torch.rand(3)
    assert asked == [0, 1, 0, 1]


@pytest.mark.parametrize("seed", [np.int64(7), np.arange(8)[7], np.array(7), torch.tensor(7)])
def test_a_seed_of_numpy_or_a_tensor_is_the_number(seed: Any) -> None:
    assert check_seed(seed) == 7 and type(check_seed(seed)) is int
    assert draws(seed) == draws(7)
    with pytest.raises(ValueError, match="expected an integer from 0 to"):
        check_seed(-seed)
