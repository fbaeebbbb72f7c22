from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor
from torchvision.transforms import functional, v2

from cifar_lab.data.augment import (
    ColorJitter,
    Compose,
    CutMix,
    MixUp,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    TrivialAugment,
    describe,
    from_description,
)
from cifar_lab.data.augment.color import ADJUSTMENTS, jitter
from cifar_lab.data.augment.spatial import crop, erase, flip
from cifar_lab.data.augment.trivial import BINS, OPERATIONS, apply_operations
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import Data

COURSE = Compose((RandomCrop(), RandomHorizontalFlip(), ColorJitter(), RandomErasing()))
TRANSFORMS = [*COURSE.transforms, TrivialAugment(), COURSE]
MIXES = [CutMix(num_classes=10), MixUp(num_classes=10)]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def is_channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def images(data: Data) -> Tensor:
    """Drawn pictures, noise, and the hard cases: grays, one colour, black, white, few levels."""
    noise = torch.rand(8, 3, 32, 32, generator=rng(1))
    noise[0] = noise[0, 0]
    noise[1] = torch.tensor([0.2, 0.4, 0.9]).view(3, 1, 1)
    noise[2], noise[3] = 0, 1
    noise[4] = (noise[4] * 3).round() / 3
    noise[5] *= 0.02
    pixels = torch.cat([data.train.images[:40], (noise * 255).round().to(torch.uint8)])
    return (pixels.float() / 255).contiguous(memory_format=torch.channels_last)


def one_by_one(images: Tensor, change: Callable[..., Tensor], *parameters: Tensor) -> Tensor:
    """torchvision's answer: `change` for each image, with that image's own parameters."""
    rows = zip(images, *(parameter.tolist() for parameter in parameters), strict=True)
    return torch.stack([change(*row) for row in rows])


def chi_square(draws: Tensor, cells: int) -> float:
    """How far counts of 0 to cells - 1 are from even; expected about cells - 1."""
    counts = draws.bincount(minlength=cells).double()
    assert len(counts) == cells
    expected = len(draws) / cells
    return float(((counts - expected) ** 2 / expected).sum())


def largest_gap(first: Tensor, second: Tensor) -> float:
    """Kolmogorov and Smirnov's distance between two samples."""
    at = torch.cat([first, second]).double().unique()
    shares = [
        torch.searchsorted(sample.double().sort().values, at, right=True) / len(sample)
        for sample in (first, second)
    ]
    return float((shares[0] - shares[1]).abs().max())


# ---- crop and flip


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_crop_is_torchvisions_at_each_images_offset(images: Tensor, mode: str) -> None:
    top, left = torch.randint(0, 9, (2, len(images)), generator=rng())

    def one(image: Tensor, i: int, j: int) -> Tensor:
        return functional.crop(functional.pad(image, [4], padding_mode=mode), i, j, 32, 32)

    expected = one_by_one(images, one, *(top, left))
    assert torch.equal(crop(images, top, left, padding=4, mode=mode), expected)
    assert not torch.equal(expected, images)


def test_crop_keeps_the_size_of_images_that_are_not_square() -> None:
    images = torch.rand(2, 3, 5, 9)
    padded = torch.nn.functional.pad(images, [2, 2, 2, 2])
    cropped = crop(images, torch.tensor([0, 3]), torch.tensor([4, 1]), padding=2)
    assert torch.equal(cropped[0], padded[0, :, 0:5, 4:13])
    assert torch.equal(cropped[1], padded[1, :, 3:8, 1:10])


def test_crop_offsets_are_even_and_independent_across_and_down() -> None:
    position = torch.arange(32 * 32).view(1, 1, 32, 32).expand(8100, 3, -1, -1)
    middle = RandomCrop(padding=4)(position.float(), rng())[:, 0, 16, 16].long()
    down, across = middle // 32 - 12, middle % 32 - 12
    assert chi_square(down * 9 + across, 81) < 140  # 99.99 % of even draws


def test_flip_is_torchvisions_where_chosen(images: Tensor) -> None:
    chosen = torch.rand(len(images), generator=rng()) < 0.5
    expected = one_by_one(
        images, lambda image, yes: functional.hflip(image) if yes else image, chosen
    )
    assert torch.equal(flip(images, chosen), expected)


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_flip_comes_at_its_rate(p: float) -> None:
    ramp = torch.arange(4.0).expand(10_000, 3, 2, 4)
    flipped = RandomHorizontalFlip(p)(ramp, rng())[:, 0, 0, 0] == 3
    assert float(flipped.float().mean()) == pytest.approx(p, abs=0.02)


# ---- colour

FACTORS = ((0.0, 2.0), (0.0, 2.0), (0.0, 2.0), (-0.5, 0.5))
ORACLES = (
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
)


@pytest.mark.parametrize("number", range(4), ids=lambda number: ORACLES[number].__name__)
def test_a_colour_change_is_torchvisions_by_each_images_factor(images: Tensor, number: int) -> None:
    low, high = FACTORS[number]
    factors = torch.linspace(low, high, len(images))[torch.randperm(len(images), generator=rng())]
    expected = one_by_one(images, ORACLES[number], factors)
    torch.testing.assert_close(ADJUSTMENTS[number](images, factors), expected, atol=2e-6, rtol=0)


def random_order(count: int) -> Tensor:
    return torch.rand(count, 4, generator=rng(3)).argsort(dim=1)


@pytest.mark.parametrize("without", [None, 0, 3])
def test_jitter_is_torchvisions_in_each_images_order(images: Tensor, without: int | None) -> None:
    count = len(images)
    factors = [
        torch.rand(count, generator=rng(n)) * (high - low) / 2 + low + (high - low) / 4
        for n, (low, high) in enumerate(FACTORS)
    ]

    def change(image: Tensor, order: list[int], *by: float) -> Tensor:
        for number in order:
            if number != without:
                image = ORACLES[number](image, by[number])
        return image

    order = random_order(count)
    expected = one_by_one(images, change, order, *factors)
    used = tuple(None if n == without else factor for n, factor in enumerate(factors))
    torch.testing.assert_close(jitter(images, used, order), expected, atol=1e-5, rtol=0)


def test_jitter_of_a_real_strength_keeps_to_torchvisions_answer_closely(images: Tensor) -> None:
    factors, order = ColorJitter().draw(len(images), rng())

    def change(image: Tensor, order: list[int], *by: float) -> Tensor:
        for number in order:
            image = ORACLES[number](image, by[number])
        return image

    assert all(factor is not None for factor in factors)
    expected = one_by_one(images, change, order, *factors)  # type: ignore[arg-type]
    torch.testing.assert_close(ColorJitter()(images, rng()), expected, atol=3e-6, rtol=0)


@pytest.mark.parametrize(
    "strengths", [(0.2, 0.2, 0.2, 0.02), (0.4, 1.5, 0.1, 0.5)], ids=["the course's", "strong"]
)
def test_jitter_factors_are_even_over_torchvisions_ranges(strengths: tuple[float, ...]) -> None:
    oracle = torchvision.transforms.ColorJitter(*strengths)
    ranges = (oracle.brightness, oracle.contrast, oracle.saturation, oracle.hue)
    factors, _ = ColorJitter(*strengths).draw(20_000, rng())
    for factor, (low, high) in zip(factors, ranges, strict=True):
        assert factor is not None
        assert low - 1e-6 <= float(factor.min()) and float(factor.max()) <= high + 1e-6
        assert chi_square(((factor - low) / (high - low) * 10).long().clamp(0, 9), 10) < 34
    together = torch.corrcoef(torch.stack([f for f in factors if f is not None]))
    assert float((together - torch.eye(4)).abs().max()) < 0.03


def test_every_order_of_jitter_is_as_frequent() -> None:
    _, order = ColorJitter().draw(24_000, rng())
    assert torch.equal(order.sort(dim=1).values, torch.arange(4).expand(24_000, 4))
    names, codes = (order * torch.tensor([64, 16, 4, 1])).sum(dim=1).unique(return_inverse=True)
    assert len(names) == 24
    assert chi_square(codes, 24) < 55  # 99.99 % of even draws


# ---- erasing


@pytest.mark.parametrize("value", [0.0, (0.5, 0.4, 0.3)])
def test_erase_is_torchvisions_on_each_images_rectangle(
    images: Tensor, value: float | tuple[float, ...]
) -> None:
    count = len(images)
    height, width = torch.randint(0, 32, (2, count), generator=rng())
    top = (torch.rand(count, generator=rng(1)) * (33 - height)).long()
    left = (torch.rand(count, generator=rng(2)) * (33 - width)).long()
    fill = torch.tensor(value).view(-1, 1, 1)
    expected = one_by_one(
        images,
        lambda image, i, j, h, w: functional.erase(image, i, j, h, w, fill),
        *(top, left, height, width),
    )
    assert torch.equal(erase(images, top, left, height, width, value), expected)


def torchvision_rectangles(
    count: int, size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Rows of (top, left, height, width); the whole image's size where no rectangle was found."""
    image = torch.zeros(3, *size)
    get = torchvision.transforms.RandomErasing.get_params
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.tensor([get(image, scale, ratio, [0.0])[:4] for _ in range(count)])


@pytest.mark.parametrize(
    ("size", "scale", "ratio"),
    [((32, 32), (0.02, 0.33), (0.3, 3.3)), ((20, 32), (0.5, 0.95), (0.4, 2.0))],
    ids=["the usual", "large ones, often refused"],
)
def test_rectangles_are_drawn_as_torchvision_draws_them(
    size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    count = 3000
    expected = torchvision_rectangles(count, size, scale, ratio)
    found = expected[:, 2] < size[0]
    drawn = torch.stack(RandomErasing(1.0, scale, ratio).draw(count, *size, rng()), dim=1)
    kept = drawn[:, 2] > 0
    assert float(kept.float().mean()) == pytest.approx(float(found.float().mean()), abs=0.04)
    ours, theirs = drawn[kept], expected[found]
    allowed = 2.23 * math.sqrt(1 / len(ours) + 1 / len(theirs))  # 99.99 % of equal samples
    for column in range(4):
        assert largest_gap(ours[:, column], theirs[:, column]) < allowed
    assert largest_gap(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]) < allowed


def test_a_rectangle_that_does_not_fit_is_drawn_again_up_to_ten_times() -> None:
    # A quarter of 10 x 10 is 5 / r high and 5 * r wide, and fits while both are below 9.5.
    fits = math.log(1.9**2) / math.log(1000)
    erasing = RandomErasing(1.0, scale=(0.25, 0.25), ratio=(1 / 1000, 1000.0))
    _, _, height, _ = erasing.draw(20_000, 10, 10, rng())
    assert float((height == 0).float().mean()) == pytest.approx((1 - fits) ** 10, abs=0.008)


def test_rectangles_use_the_length_of_images_that_are_not_square() -> None:
    images = torch.ones(200, 3, 8, 24)
    erased = RandomErasing(1.0, scale=(0.2, 0.6), ratio=(0.2, 1.0))(images, rng())[:, 0] == 0
    assert int(erased.any(dim=1).sum(dim=1).max()) > 12  # across
    assert int(erased.any(dim=2).sum(dim=1).max()) == 7  # down
    assert float(erased.flatten(1).any(dim=1).float().mean()) > 0.9


def test_rectangles_that_never_fit_leave_the_images_alone(images: Tensor) -> None:
    assert torch.equal(RandomErasing(1.0, scale=(1.0, 1.0))(images, rng()), images)


def test_erasing_comes_at_its_rate_and_fills_with_its_value() -> None:
    images = torch.ones(8000, 3, 12, 12)
    erased = RandomErasing(0.25, value=(0.1, 0.2, 0.3))(images, rng())
    changed = (erased != 1).any(dim=1).flatten(1)
    assert float(changed.any(dim=1).float().mean()) == pytest.approx(0.25, abs=0.02)
    inside = erased.permute(0, 2, 3, 1)[erased[:, 0] != 1]
    assert torch.equal(inside, torch.tensor([0.1, 0.2, 0.3]).expand_as(inside))


# ---- TrivialAugment


def affine(image: Tensor, **change: Any) -> Tensor:
    usual: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return functional.affine(image, **(usual | change))


def degrees(slope: float) -> float:
    return math.degrees(math.atan(slope))


TRIVIAL_ORACLES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "identity": lambda image, _: image,
    "shear_x": lambda image, m: affine(image, shear=[degrees(m), 0.0], center=[0, 0]),
    "shear_y": lambda image, m: affine(image, shear=[0.0, degrees(m)], center=[0, 0]),
    "translate_x": lambda image, m: affine(image, translate=[int(m), 0]),
    "translate_y": lambda image, m: affine(image, translate=[0, int(m)]),
    "rotate": lambda image, m: functional.rotate(image, m),
    "brightness": lambda image, m: functional.adjust_brightness(image, 1.0 + m),
    "color": lambda image, m: functional.adjust_saturation(image, 1.0 + m),
    "contrast": lambda image, m: functional.adjust_contrast(image, 1.0 + m),
    "sharpness": lambda image, m: functional.adjust_sharpness(image, 1.0 + m),
    "posterize": lambda image, m: functional.posterize(image, int(m)),
    "solarize": lambda image, m: functional.solarize(image, m),
    "autocontrast": lambda image, _: functional.autocontrast(image),
    "equalize": lambda image, _: functional.equalize(image),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_torchvisions_at_every_strength(images: Tensor, name: str) -> None:
    _, levels, signed = OPERATIONS[name]
    strengths = torch.cat([levels, -levels]) if signed else levels
    chosen = images[torch.arange(len(strengths) * 3) % len(images)]  # three images a strength
    magnitudes = strengths.double().repeat_interleave(3)
    number = torch.full((len(chosen),), list(OPERATIONS).index(name))
    changed = apply_operations(chosen, number, magnitudes)
    pixels = (chosen * 255).round().to(torch.uint8)
    expected = one_by_one(pixels, TRIVIAL_ORACLES[name], magnitudes)
    assert torch.equal((changed * 255).round().to(torch.uint8), expected)
    assert torch.equal(changed, expected.float() / 255)


def test_each_image_gets_its_own_operation(images: Tensor) -> None:
    operations, magnitudes = TrivialAugment().draw(len(images), rng(5))
    names = list(OPERATIONS)
    expected = one_by_one(
        (images * 255).round().to(torch.uint8),
        lambda image, number, m: TRIVIAL_ORACLES[names[number]](image, m),
        *(operations, magnitudes),
    )
    assert torch.equal(TrivialAugment()(images, rng(5)), expected.float() / 255)


def test_values_between_two_of_the_256_levels_go_to_the_nearer() -> None:
    images = torch.tensor([100.4, 100.7]).view(2, 1, 1, 1).expand(2, 3, 4, 4) / 255
    same = apply_operations(images, torch.tensor([0, 0]), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(same[:, 0, 0, 0], torch.tensor([100.0, 101.0]) / 255)


def test_operations_and_strengths_are_torchvisions_and_drawn_evenly() -> None:
    space = torchvision.transforms.TrivialAugmentWide()._augmentation_space(BINS)
    assert [name.lower() for name in space] == [name.replace("_", "") for name in OPERATIONS]
    operations, magnitudes = TrivialAugment().draw(42_000, rng())
    assert chi_square(operations, 14) < 42  # 99.99 % of even draws
    for number, (levels, signed) in enumerate(space.values()):
        drawn = magnitudes[operations == number]
        if levels.ndim == 0:
            assert not drawn.any()
            continue
        levels = levels.double()
        possible = (torch.cat([levels, -levels]) if signed else levels).unique()
        assert torch.equal(drawn.unique(), possible)
        if signed:
            positive = float((drawn > 0).double().mean())
            assert positive == pytest.approx(15 / 31, abs=0.04)
        steps = [int((levels == level).sum()) for level in levels.unique()]
        shares = [float((drawn.abs() == level).double().mean()) for level in levels.unique()]
        assert shares == pytest.approx([step / BINS for step in steps], abs=0.015)


# ---- CutMix and MixUp


@pytest.fixture(scope="module")
def labels(images: Tensor) -> Tensor:
    return torch.randint(10, (len(images),), generator=rng())


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: type(mix).__name__)
def test_a_mix_is_torchvisions_seeded_from_the_generator(
    images: Tensor, labels: Tensor, mix: CutMix | MixUp
) -> None:
    oracle = getattr(v2, type(mix).__name__)(alpha=mix.alpha, num_classes=10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng(4))))
        expected = oracle(images, labels)
    for ours, theirs in zip(mix(images, labels, rng(4)), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_mixup_weighs_images_and_labels_alike(images: Tensor, labels: Tensor) -> None:
    mixed, soft_labels = MixUp(num_classes=10, alpha=1.0)(images, labels, rng(2))
    one_hot = torch.eye(10)[labels]
    other = labels != labels.roll(1)
    kept = soft_labels[other].gather(1, labels[other, None])
    assert float(kept.std()) < 1e-6 and 0.05 < float(kept[0]) < 0.95
    weight = float(kept[0])
    expected = [weight * part + (1 - weight) * part.roll(1, 0) for part in (images, one_hot)]
    torch.testing.assert_close(mixed, expected[0])
    torch.testing.assert_close(soft_labels, expected[1])


def test_cutmix_labels_count_the_pixels_of_each_image() -> None:
    images = torch.arange(10.0).view(-1, 1, 1, 1).expand(-1, 3, 32, 32) / 10
    mixed, soft_labels = CutMix(num_classes=10)(images, torch.arange(10), rng(1))
    pixels = (mixed[:, 0] * 10).round().long().flatten(1)
    shares = torch.stack([row.bincount(minlength=10) for row in pixels]) / 1024
    assert 0.05 < float(shares[0, 0]) < 0.95
    torch.testing.assert_close(soft_labels, shares)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixing_weights_spread_as_their_beta_distribution(alpha: float) -> None:
    images, labels, draws = torch.rand(2, 3, 2, 2), torch.tensor([0, 1]), rng()
    mix = MixUp(num_classes=2, alpha=alpha)
    weights = torch.stack([mix(images, labels, draws)[1][0, 0] for _ in range(600)])
    assert float(weights.mean()) == pytest.approx(0.5, abs=0.06)
    assert float(weights.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)


# ---- what holds for all


def call(transform: Any, images: Tensor, generator: torch.Generator) -> Tensor:
    if isinstance(transform, CutMix | MixUp):
        labels = torch.arange(len(images), device=generator.device) % 10
        mixed, _ = transform(images, labels, generator)
        return mixed
    return transform(images, generator)


every_transform = pytest.mark.parametrize(
    "transform", [*TRANSFORMS, *MIXES], ids=lambda transform: type(transform).__name__
)


@every_transform
def test_the_same_generator_state_gives_the_same_images(transform: Any, images: Tensor) -> None:
    draws = rng(7)
    first, second = (call(transform, images, draws) for _ in range(2))
    assert torch.equal(call(transform, images, rng(7)), first)
    assert not torch.equal(first, second)


@every_transform
def test_the_global_random_state_is_neither_used_nor_changed(
    transform: Any, images: Tensor
) -> None:
    with torch.random.fork_rng(devices=[]):
        results = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            results.append(call(transform, images, rng()))
            assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*results)


@every_transform
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_images_come_out_new_in_range_and_channels_last(
    transform: Any, images: Tensor, layout: torch.memory_format
) -> None:
    given = images.clone(memory_format=layout)
    changed = call(transform, given, rng())
    assert torch.equal(given, images)
    assert changed.data_ptr() != given.data_ptr()
    assert changed.shape == images.shape and changed.dtype == torch.float32
    assert is_channels_last(changed)
    assert float(changed.min()) >= 0 and float(changed.max()) <= 1


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: type(transform).__name__)
def test_copies_of_one_image_in_a_batch_come_out_different(transform: Any, images: Tensor) -> None:
    changed = transform(images[:1].expand(60, -1, -1, -1), rng())
    kinds = {RandomHorizontalFlip: 2, RandomErasing: 8}
    distinct = len(changed.flatten(1).unique(dim=0))
    assert distinct >= kinds.get(type(transform), 25)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: type(transform).__name__)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_floats_keep_their_type(transform: Any, images: Tensor, dtype: torch.dtype) -> None:
    changed = transform(images.to(dtype), rng())
    assert changed.dtype == dtype
    difference = (changed.float() - transform(images, rng())).abs()
    assert float(difference.mean()) < 0.02


@pytest.mark.parametrize(
    "transform",
    [
        *(RandomCrop(0), RandomHorizontalFlip(0), ColorJitter(0, 0, 0, 0), RandomErasing(0)),
        Compose(()),
    ],
    ids=repr,
)
def test_no_strength_changes_nothing(transform: Any, images: Tensor) -> None:
    assert torch.equal(transform(images, rng()), images)


def test_compose_applies_its_transforms_in_order(images: Tensor) -> None:
    draws = rng(3)
    expected = images
    for transform in (RandomErasing(1.0, value=0.5), ColorJitter(), RandomCrop(2)):
        expected = transform(expected, draws)
    parts = [RandomErasing(1.0, value=0.5), ColorJitter(), RandomCrop(2)]
    assert torch.equal(Compose(tuple(parts))(images, rng(3)), expected)


def test_batches_of_one_epoch_are_augmented_alike_and_of_another_differently(data: Data) -> None:
    batches = Batches(data.train, 20, seed=1, transform=COURSE, device="cpu")
    first, second = (torch.cat([images for images, _ in batches]) for _ in range(2))
    batches.epoch = 0
    again = torch.cat([images for images, _ in batches])
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@every_transform
def test_a_description_goes_through_json_and_back(transform: Any) -> None:
    assert from_description(json.loads(json.dumps(describe(transform)))) == transform


def test_a_description_names_each_part_and_its_settings() -> None:
    transform = Compose((RandomCrop(2), RandomErasing(value=(0.5, 0.4, 0.3))))
    erasing = {"p": 0.25, "scale": [0.02, 0.33], "ratio": [0.3, 3.3], "value": [0.5, 0.4, 0.3]}
    assert describe(transform) == {
        "name": "Compose",
        "transforms": [
            {"name": "RandomCrop", "padding": 2, "padding_mode": "constant"},
            {"name": "RandomErasing"} | erasing,
        ],
    }
    assert from_description(describe(transform)) == transform


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"name": "RandomCrob"}, "Unknown transform 'RandomCrob'. Did you mean 'RandomCrop'"),
        ({"padding": 4}, "Unknown transform None"),
        ({"name": "RandomCrop", "p": 0.5}, "RandomCrop can't be built from .*'p'"),
        ({"name": "RandomCrop", "padding": -1}, "padding is -1"),
    ],
)
def test_a_bad_description_says_what_is_wrong(description: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_description(description)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: RandomCrop(2, "mirror"), ValueError, "Unknown padding_mode 'mirror'"),
        (lambda: RandomCrop(-1), ValueError, "padding is -1; expected at least 0"),
        (lambda: RandomCrop(1.5), TypeError, "padding is 1.5; expected a whole number of pixels"),
        (lambda: RandomHorizontalFlip(1.1), ValueError, "p is 1.1; expected a number from 0 to 1"),
        (lambda: RandomHorizontalFlip("0.5"), TypeError, "p is '0.5'; expected a number"),
        (lambda: ColorJitter(brightness=-0.1), ValueError, "brightness is -0.1; expected at least"),
        (lambda: ColorJitter(contrast=-0.1), ValueError, "contrast is -0.1"),
        (lambda: ColorJitter(saturation=math.nan), ValueError, "saturation is nan"),
        (lambda: ColorJitter(hue=0.6), ValueError, "hue is 0.6; expected a number from 0 to 0.5"),
        (lambda: RandomErasing(-0.1), ValueError, "p is -0.1"),
        (lambda: RandomErasing(scale=(0.5, 0.2)), ValueError, r"scale is \(0.5, 0.2\); expected"),
        (lambda: RandomErasing(scale=(0.5, 1.2)), ValueError, "both from 0 to 1"),
        (lambda: RandomErasing(scale=0.3), TypeError, r"scale is 0.3; expected \(least, most\)"),
        (lambda: RandomErasing(ratio=(0.0, 1.0)), ValueError, "ratio is"),
        (lambda: RandomErasing(value=128.0), ValueError, "value is 128.0; expected .* 0 to 1"),
        (lambda: RandomErasing(value=(0.1, 0.2)), ValueError, "one number, or 3: one for each"),
        (lambda: CutMix(num_classes=1), ValueError, "num_classes is 1; expected at least 2"),
        (lambda: MixUp(num_classes=10, alpha=0), ValueError, "alpha is 0; expected a number above"),
        (lambda: Compose((RandomCrop(), 3)), TypeError, "3 can't be composed"),
        (lambda: Compose((CutMix(10),)), TypeError, "CutMix.* take labels too"),
    ],
)
def test_bad_settings_are_refused_with_what_was_expected(
    build: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    "transform", [*TRANSFORMS, *MIXES], ids=lambda transform: type(transform).__name__
)
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), TypeError, "images are torch.uint8; expected"),
        (torch.zeros(3, 4, 4), ValueError, r"shape \(3, 4, 4\); expected \(N, 3, height, width\)"),
        (torch.zeros(2, 4, 4, 3), ValueError, r"shape \(2, 4, 4, 3\); expected"),
        ([[0.0]], TypeError, "images are list"),
    ],
)
def test_bad_images_are_refused(
    transform: Any, images: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(transform, images, rng())


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(2, dtype=torch.int64)])
def test_mixing_refuses_labels_that_do_not_fit(labels: Tensor) -> None:
    with pytest.raises(ValueError, match="labels are .*; expected torch.int64, .3,.: one label"):
        MixUp(num_classes=10)(torch.zeros(3, 3, 4, 4), labels, rng())


@pytest.mark.parametrize("mix", [CutMix(), MixUp()])
def test_mixing_without_a_number_of_classes_asks_for_it(mix: CutMix | MixUp) -> None:
    with pytest.raises(ValueError, match="expected the number of classes. Give num_classes"):
        mix(torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64), rng())
    assert (CutMix().alpha, MixUp().alpha) == (1.0, 0.2)


# ---- on a GPU


@pytest.mark.gpu
def test_a_gpu_gives_the_cpus_images_for_the_same_parameters(images: Tensor) -> None:
    count, on_gpu = len(images), images.cuda()
    factors, order = ColorJitter().draw(count, rng())
    rectangles = RandomErasing(1.0).draw(count, 32, 32, rng())
    offsets = RandomCrop().draw(count, rng())
    operations = TrivialAugment().draw(count, rng())
    gpu_factors = tuple(None if factor is None else factor.cuda() for factor in factors)
    pairs = [
        (jitter(on_gpu, gpu_factors, order.cuda()), jitter(images, factors, order)),
        (erase(on_gpu, *(p.cuda() for p in rectangles)), erase(images, *rectangles)),
        (crop(on_gpu, *(p.cuda() for p in offsets), 4), crop(images, *offsets, 4)),
        (apply_operations(on_gpu, *operations), apply_operations(images, *operations)),
    ]
    for number, (gpu, cpu) in enumerate(pairs):
        # rounding to 256 levels may fall to either side
        atol = 1.01 / 255 if number == 3 else 1e-5
        torch.testing.assert_close(gpu.cpu(), cpu, atol=atol, rtol=0)


@pytest.mark.gpu
@every_transform
def test_a_transform_draws_from_a_gpus_generator(transform: Any, images: Tensor) -> None:
    first, again = (
        call(transform, images.cuda(), torch.Generator("cuda").manual_seed(1)) for _ in range(2)
    )
    assert first.is_cuda and is_channels_last(first)
    assert torch.equal(first, again)
