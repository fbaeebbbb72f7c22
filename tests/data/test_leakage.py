"""Test images are refused wherever they turn up in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision.transforms import Normalize

from cifar_lab.data import leakage
from cifar_lab.data.batches import Batches
from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import ImageSet, Role, to_unit_interval
from cifar_lab.data.leakage import fingerprints, official_test_fingerprints, refuse_test_images
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import LeakedTestImagesError


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, test: ImageSet) -> None:
    """The test images of a small synthetic dataset take the place of CIFAR's."""
    monkeypatch.setattr(leakage, "official_test_fingerprints", lambda: fingerprints(test.images))


def with_one_of(train: ImageSet, test: ImageSet) -> Tensor:
    return torch.cat([train.images[:20], test.images[7:8], train.images[20:40]])


def as_image_set(train: ImageSet, test: ImageSet) -> Any:
    images = with_one_of(train, test)
    return replace(train, images=images, labels=torch.zeros(len(images), dtype=torch.int64))


def as_loader(train: ImageSet, test: ImageSet) -> Any:
    images = to_unit_interval(with_one_of(train, test))
    labels = torch.zeros(len(images), dtype=torch.int64)
    return DataLoader(TensorDataset(images, labels), batch_size=8)


def as_subset(train: ImageSet, test: ImageSet) -> Any:
    return DataLoader(Subset(test, range(5, 9)), batch_size=2)


def as_batches(train: ImageSet, test: ImageSet) -> Any:
    return list(as_loader(train, test))


def as_our_batches(train: ImageSet, test: ImageSet) -> Any:
    return Batches(as_image_set(train, test), 8, device="cpu")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("wrap", [as_image_set, as_loader, as_subset, as_batches, as_our_batches])
def test_a_test_image_among_training_images_stops_the_training(
    wrap: Callable[[ImageSet, ImageSet], Any], train: ImageSet, test: ImageSet, recipe: Recipe
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    with pytest.raises(LeakedTestImagesError, match="not for training. Use the training images"):
        fit(model, wrap(train, test), recipe, device="cpu", progress=False)


@pytest.mark.usefixtures("known")
def test_test_images_as_validation_are_refused(
    train: ImageSet, test: ImageSet, recipe: Recipe
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    copied = replace(test, role=Role.VALIDATION)
    for leak in (test, copied, as_loader(train, test)):
        with pytest.raises(LeakedTestImagesError, match="not for validation"):
            fit(model, train, recipe, validation=leak, device="cpu", progress=False)


@pytest.mark.usefixtures("known")
def test_a_test_image_behind_a_normalising_dataset_of_torchvision_is_recognised(
    train: ImageSet, test: ImageSet, recipe: Recipe
) -> None:
    class LikeTorchvision(Dataset):
        """Keeps the pixels in `data`, as torchvision's CIFAR does, and gives changed ones."""

        def __init__(self, images: Tensor) -> None:
            self.data = images.permute(0, 2, 3, 1).numpy()

        def __len__(self) -> int:
            return len(self.data)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return torch.from_numpy(self.data[index]).permute(2, 0, 1) / 255 - 0.5, 0

    leaking = LikeTorchvision(torch.cat([train.images, test.images]))
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    with pytest.raises(LeakedTestImagesError, match="30 of 80 images"):
        fit(model, DataLoader(leaking, 8), recipe, device="cpu", progress=False)
    allowed = Subset(leaking, range(len(train)))
    fit(model, DataLoader(allowed, 8), recipe, device="cpu", progress=False)


def test_an_epoch_on_test_images_is_refused(test: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    optimizer = torch.optim.SGD(model.parameters())
    with pytest.raises(LeakedTestImagesError):
        train_epoch(model, Batches(test, 8, device="cpu"), optimizer, nn.CrossEntropyLoss())


@pytest.mark.usefixtures("known")
def test_an_epoch_on_torchvision_s_test_images_is_refused(test: ImageSet) -> None:
    class LikeTorchvision(Dataset):
        data = test.images.permute(0, 2, 3, 1).contiguous().numpy()

        def __len__(self) -> int:
            return len(self.data)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return torch.from_numpy(self.data[index]).permute(2, 0, 1) / 255 - 0.5, 0

    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    optimizer = torch.optim.SGD(model.parameters())
    with pytest.raises(LeakedTestImagesError, match="30 of 30 images"):
        train_epoch(model, DataLoader(LikeTorchvision(), 8), optimizer, nn.CrossEntropyLoss())


@pytest.mark.usefixtures("known")
def test_training_images_alone_are_fine(train: ImageSet) -> None:
    refuse_test_images(train, "training")


def test_the_message_counts_what_was_found(
    monkeypatch: pytest.MonkeyPatch, train: ImageSet, test: ImageSet
) -> None:
    monkeypatch.setattr(leakage, "official_test_fingerprints", lambda: fingerprints(test.images))
    with pytest.raises(LeakedTestImagesError, match="1 of 41 images are CIFAR's test images"):
        refuse_test_images(as_image_set(train, test), "training")


def test_fingerprints_agree_with_plain_integers_and_tell_images_apart(train: ImageSet) -> None:
    found = fingerprints(train.images[:3])
    weights = leakage._weights().tolist()
    for image, fingerprint in zip(train.images[:3], found.tolist(), strict=True):
        total = sum(p * w for p, w in zip(image.flatten().tolist(), weights, strict=True))
        assert fingerprint == (total + 2**63) % 2**64 - 2**63
    changed = train.images[:1].clone()
    changed[0, 1, 5, 5] ^= 1
    assert len(torch.cat([fingerprints(train.images), fingerprints(changed)]).unique()) == 51


def test_fingerprints_do_not_depend_on_the_memory_layout(train: ImageSet) -> None:
    assert torch.equal(fingerprints(train.images), fingerprints(train.images.contiguous()))


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_shipped_fingerprints_are_of_the_official_test_images(
    real_root: Path, name: str
) -> None:
    data = load(name, real_root)
    shipped = official_test_fingerprints()
    assert torch.isin(fingerprints(data.test.images), shipped).sum() >= 9_980
    assert not torch.isin(fingerprints(data.train.images), shipped).any()


def scaled(images: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """As `Normalize(mean, deviation)` gives what ToTensor did."""
    return Normalize(mean, deviation)(images.contiguous().float() / 255)


SCALED: dict[str, Callable[[Tensor], Tensor]] = {
    "in [0, 1]": lambda images: images.float() / 255,
    "from 0 to 255": lambda images: images.float(),
    "from -1 to 1": lambda images: images.float() / 127.5 - 1,
    "CIFAR-10's": lambda images: scaled(images, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR-10's, fewer digits": lambda images: scaled(
        images, (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)
    ),
    "CIFAR-10's, as often copied": lambda images: scaled(
        images, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    ),
    "CIFAR-100's": lambda images: scaled(
        images, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    ),
    "ImageNet's": lambda images: scaled(images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half precision": lambda images: (images.float() / 255).half(),
    "channels last": lambda images: images.permute(0, 2, 3, 1).float() / 255,
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("scale", SCALED)
def test_test_images_are_recognised_on_every_usual_scale(
    train: ImageSet, test: ImageSet, scale: str, layout: torch.memory_format
) -> None:
    images = with_one_of(train, test).contiguous(memory_format=layout)
    with pytest.raises(LeakedTestImagesError, match="1 of 41 images"):
        leakage.refuse_official_test_images(SCALED[scale](images), "training")
    leakage.refuse_official_test_images(SCALED[scale](train.images), "training")


@pytest.mark.usefixtures("known")
def test_a_scale_is_told_image_by_image(train: ImageSet, test: ImageSet) -> None:
    black = torch.zeros(2, 3, 32, 32)
    mixed = torch.cat([black, train.images[:3].float(), test.images[:2] / 255 * 2 - 1])
    with pytest.raises(LeakedTestImagesError, match="2 of 7 images"):
        leakage.refuse_official_test_images(mixed, "training")
    leakage.refuse_official_test_images(torch.randn(5, 3, 32, 32), "training")
