"""Transforms from elsewhere in a recipe: torchvision's, modules, and functions."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from stand_in_gpu import GPU, StandInGPU
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import v2

from cifar_lab.data.augment import (
    Compose,
    Custom,
    RandomCrop,
    as_transform,
    describe,
    from_description,
)
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import Data, ImageSet, to_unit_interval


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images(data: Data) -> Tensor:
    return to_unit_interval(data.train.images[:8])


class Darker(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image / 2


def noise(images: Tensor, generator: torch.Generator) -> Tensor:
    return images + torch.rand(images.shape, generator=generator)


def test_an_image_is_changed_as_the_function_changes_it_alone(images: Tensor) -> None:
    for function in (Darker(), v2.RandomHorizontalFlip(p=1.0), transforms.Grayscale(3)):
        expected = torch.stack([function(image) for image in images])
        assert torch.equal(Compose((function,))(images, rng()), expected)


@pytest.mark.parametrize(
    "transform",
    [
        v2.RandomCrop(32, padding=8),
        transforms.RandomCrop(32, padding=8),
        transforms.Compose([transforms.ColorJitter(0.9), transforms.RandomVerticalFlip()]),
        lambda image: image * random.random() * np.random.rand() * torch.rand(1),
        noise,
    ],
)
def test_draws_follow_the_generator_and_differ_between_images(
    images: Tensor, transform: Callable[..., Tensor]
) -> None:
    same = images[:1].expand(8, -1, -1, -1)
    first, again, other = (Compose((transform,))(same, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len({image.sum().item() for image in first}) > 4


def test_global_generators_are_left_as_they_were(images: Tensor) -> None:
    states = []
    for _ in range(2):
        states.append((random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()))
        Compose((lambda image: image * random.random() * np.random.rand(),))(images, rng())
    assert states[0][:2] == states[1][:2]
    assert np.array_equal(states[0][2][1], states[1][2][1])


def test_images_stay_as_they_are_under_a_function_that_works_in_place(images: Tensor) -> None:
    before = images.clone()
    changed = Compose((lambda image: image.mul_(0), noise))(images, rng())
    assert torch.equal(images, before)
    assert changed.is_contiguous(memory_format=torch.channels_last)


def test_a_function_of_a_batch_on_a_gpu_gets_a_generator_there() -> None:
    class OnGPU:
        def __init__(self, device: torch.device) -> None:
            self.device = device

        def manual_seed(self, seed: int) -> OnGPU:
            self.seed = seed
            return self

    seen: list[Any] = []

    def look(images: Tensor, generator: Any) -> Tensor:
        seen.append((generator.device, generator.seed))
        return images

    drawn = rng(4)
    with StandInGPU() as gpu, patch("torch.Generator", OnGPU):
        as_transform(look)(torch.zeros(2, 3, 4, 4, device="cuda"), drawn)
    assert seen == [(GPU, int(torch.randint(2**62, (), generator=rng(4))))]
    assert gpu.waits == {}


def test_a_function_of_a_batch_and_a_generator_gets_both(images: Tensor) -> None:
    assert torch.equal(as_transform(noise)(images, rng(3)), noise(images, rng(3)))


def test_the_library_s_transforms_draw_as_before_beside_custom_ones(images: Tensor) -> None:
    darker = Compose((RandomCrop(), Darker()))(images, rng())
    assert torch.equal(darker, RandomCrop()(images, rng()) / 2)


@pytest.mark.parametrize(
    "function", [Darker(), noise, transforms.ToTensor(), v2.RandomHorizontalFlip(0.3)]
)
def test_a_description_gives_an_equal_transform_that_must_be_given_again(
    images: Tensor, function: Any
) -> None:
    transform = as_transform(function)
    loaded = from_description(json.loads(json.dumps(describe(function))))
    assert loaded == transform and hash(loaded) == hash(transform)
    assert describe(loaded) == describe(transform)
    with pytest.raises(ValueError, match=r"comes from a file.* Give it again: .*augment="):
        loaded(images, rng())


def test_a_text_has_no_memory_address() -> None:
    class Plain:
        def __call__(self, image: Tensor) -> Tensor:
            return image

    assert "0x" not in Custom.of(Plain()).text
    assert Custom.of(Plain()) == Custom.of(Plain()) != Custom.of(Darker())
    assert Custom.of(noise).text == f"{__name__}.noise"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (transforms.ToTensor(), r"ToTensor.* can't change this: .*ToPILImage\(\) before it"),
        (transforms.ToPILImage(), "returned Image; expected a float tensor"),
        (v2.ToDtype(torch.uint8), "returned torch.uint8; expected a float tensor"),
        (transforms.CenterCrop(28), r"returned shape \(3, 28, 28\); expected .*\(3, 32, 32\)"),
        (lambda image: image @ image[0, :5], "can't change this"),
    ],
)
def test_what_does_not_give_an_image_back_is_named(
    images: Tensor, function: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Compose((function,))(images, rng())


def test_transforms_of_pil_images_work_between_two_conversions(train: ImageSet) -> None:
    pil = transforms.Compose(
        [transforms.ToPILImage(), transforms.RandomHorizontalFlip(1.0), transforms.ToTensor()]
    )
    batches = Batches(train, 50, transform=Compose((pil,)), device="cpu")
    ((changed, _),) = batches
    assert torch.equal(changed, to_unit_interval(train.images).flip(3))


def test_a_class_is_answered_with_its_instance() -> None:
    with pytest.raises(TypeError, match=r"Darker is a class; .*Darker\(\.\.\.\)"):
        replace(Compose(), transforms=(Darker,))
