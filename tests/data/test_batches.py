from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from cifar_lab.data.batches import Batches, as_loader, batches_on, sources_of
from cifar_lab.data.image_set import ImageSet
from cifar_lab.data.leakage import refuse_test_images
from cifar_lab.models.forward import check_logits, device_of

CPU = torch.device("cpu")
IMAGES, LABELS = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 1])

WRAPPERS: dict[str, Callable[[ImageSet], Any]] = {
    "an image set": lambda images: images,
    "Batches": lambda images: Batches(images, 8, device="cpu"),
    "a DataLoader": lambda images: DataLoader(images, 8),
    "a Subset": lambda images: Subset(images, range(5)),
    "a DataLoader of a Subset of a Subset": lambda images: DataLoader(
        Subset(Subset(images, range(9)), range(5)), 2
    ),
    "a ConcatDataset": lambda images: DataLoader(
        ConcatDataset([Subset(images, [0]), TensorDataset(IMAGES, LABELS)])
    ),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_the_image_set_behind_a_loader_is_found(
    wrap: Callable[[ImageSet], Any], train: ImageSet, test: ImageSet
) -> None:
    assert {source.role for source in sources_of(wrap(train))} == {"train"}
    refuse_test_images(wrap(train), "training")
    with pytest.raises(ValueError, match="test images.*not for training.*cifar_lab.split"):
        refuse_test_images(wrap(test), "training")


def test_test_images_among_others_are_found(train: ImageSet, test: ImageSet) -> None:
    mixed = DataLoader(ConcatDataset([train, Subset(test, [3])]), 8)
    with pytest.raises(ValueError, match="test images"):
        refuse_test_images(mixed, "training")


def test_a_list_of_batches_has_no_image_set_behind_it() -> None:
    assert sources_of([(IMAGES, LABELS)]) == []
    refuse_test_images([(IMAGES, LABELS)], "training")


@pytest.mark.parametrize(
    "loader", [iter([(IMAGES, LABELS)]), ((IMAGES, LABELS) for _ in range(2)), 5, None]
)
def test_what_can_not_be_read_every_epoch_is_refused(loader: Any) -> None:
    with pytest.raises(TypeError, match=f"This is a {type(loader).__name__}; expected an ImageSet"):
        as_loader(loader, 8, CPU)


def test_a_dataset_of_single_images_is_answered_with_a_loader() -> None:
    dataset = TensorDataset(IMAGES, LABELS)
    for each in (dataset, Subset(dataset, [0])):
        with pytest.raises(TypeError, match=r"Wrap it: torch\.utils\.data\.DataLoader\("):
            as_loader(each, 8, CPU)
    with pytest.raises(TypeError, match="This is a TensorDataset; expected an ImageSet"):
        Batches(dataset, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_loader_s_batches_keep_their_layout_and_values(layout: torch.memory_format) -> None:
    given = IMAGES.contiguous(memory_format=layout)
    ((images, labels),) = batches_on([(given, LABELS)], CPU)
    assert images.is_contiguous(memory_format=layout)
    assert torch.equal(images, IMAGES) and torch.equal(labels, LABELS)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (IMAGES, TypeError, "A batch is a Tensor; expected a pair"),
        ((IMAGES, LABELS, LABELS), TypeError, "A batch is a tuple of 3; expected a pair"),
        (((IMAGES * 255).byte(), LABELS), TypeError, "torch.uint8; expected a float32 tensor"),
        ((IMAGES.numpy(), LABELS), TypeError, "images are ndarray; expected a float32 tensor"),
        (
            (IMAGES[0], LABELS),
            ValueError,
            r"shape \(3, 8, 8\); expected at least one",
        ),
        ((IMAGES, LABELS.float()), TypeError, "labels are torch.float32; expected an int64"),
        ((IMAGES, LABELS.tolist()), TypeError, "labels are list; expected an int64"),
        ((IMAGES, LABELS[:3]), ValueError, r"4 images and labels of shape \(3,\)"),
    ],
)
def test_a_batch_of_another_kind_is_refused(
    batch: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(batches_on([batch], CPU))


def test_a_loader_without_batches_is_refused() -> None:
    with pytest.raises(ValueError, match="The loader gave no batches"):
        list(batches_on([], CPU))


@pytest.mark.parametrize(
    ("logits", "num_classes", "message"),
    [
        (torch.zeros(4, 3, 1), None, r"outputs of shape \(4, 3, 1\) for 4 images"),
        (torch.zeros(2, 3), None, r"outputs of shape \(2, 3\) for 4 images"),
        (torch.zeros(4, 3), 10, "gives 3 outputs per image, but the images have 10 classes"),
        (torch.zeros(4, 2), None, "Labels run from 0 to 2, but the model has 2 outputs"),
    ],
)
def test_outputs_that_do_not_match_the_labels_are_refused(
    logits: Tensor, num_classes: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_logits(logits, LABELS, num_classes)


def test_a_negative_label_is_refused() -> None:
    with pytest.raises(ValueError, match="Labels run from -1 to 1"):
        check_logits(torch.zeros(4, 3), LABELS - 1)


def test_matching_outputs_are_accepted() -> None:
    check_logits(torch.zeros(4, 3), LABELS, 3)
    check_logits(torch.zeros(4, 5), LABELS)  # more outputs than labels seen are no error


def test_the_device_is_that_of_the_parameters() -> None:
    assert device_of(nn.Linear(2, 2, device="meta")).type == "meta"
    assert device_of(nn.ReLU()) == CPU


@pytest.mark.parametrize("logits", [(torch.zeros(4, 10),), {"logits": torch.zeros(4, 10)}, None])
def test_outputs_that_are_no_tensor_are_refused(logits: Any) -> None:
    with pytest.raises(TypeError, match=f"gave a {type(logits).__name__}; expected a tensor"):
        check_logits(logits, torch.zeros(4, dtype=torch.int64))


def test_a_batch_without_images_is_refused() -> None:
    empty = (torch.zeros(0, 3, 32, 32), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="expected at least one image"):
        list(batches_on([empty], CPU))
