from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Subset
from torchvision import datasets
from torchvision.transforms import ToTensor

from cifar_lab.cli.main import build_parser, main
from cifar_lab.cli.pytest_options import pytest_addoption
from cifar_lab.data import datasets as data_module
from cifar_lab.data import synthetic
from cifar_lab.data.augment import CutMix
from cifar_lab.data.batches import Batches
from cifar_lab.data.cifar import DATASETS, Archive, DatasetFacts
from cifar_lab.data.datasets import load, load_or_synthetic
from cifar_lab.data.image_set import Data, ImageSet, Role, from_numpy, split
from cifar_lab.data.mirrors import sources_for
from cifar_lab.grading.settings import Settings
from cifar_lab.utils.errors import CorruptedDataError, DatasetUnavailableError


def to_tensor(image: Tensor) -> Tensor:
    """What torchvision makes of the same image as a PIL image."""
    return ToTensor()(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()))


@pytest.fixture
def numbered() -> ImageSet:
    """103 images, each filled with its own number; 37, 33, 22 and 11 of four classes."""
    images = torch.arange(103, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 2, 2)
    labels = torch.tensor([0] * 37 + [1] * 33 + [2] * 22 + [3] * 11)
    return ImageSet(images, labels, Role.TRAIN, ("a", "b", "c", "d"))


def numbers(image_set: ImageSet) -> list[int]:
    return image_set.images[:, 0, 0, 0].tolist()


# ---- load


@pytest.fixture(scope="module")
def drawn() -> Data:
    return load("synthetic")


@pytest.mark.parametrize(
    ("part", "role", "count"), [("train", "train", 10_000), ("test", "test", 2_000)]
)
def test_the_synthetic_dataset_has_images_labels_and_roles(
    drawn: Data, part: str, role: str, count: int
) -> None:
    image_set: ImageSet = getattr(drawn, part)
    assert image_set.images.shape == (count, 3, 32, 32)
    assert image_set.images.dtype == torch.uint8
    assert image_set.labels.dtype == torch.int64
    assert image_set.labels.bincount().tolist() == [count // 10] * 10
    assert image_set.role == role
    assert image_set.class_names == drawn.class_names == synthetic.CLASS_NAMES
    assert image_set.dataset == drawn.name == "synthetic"


def test_the_synthetic_test_images_are_not_training_images(drawn: Data) -> None:
    seen = {image.numpy().tobytes() for image in drawn.train.images}
    assert not any(image.numpy().tobytes() in seen for image in drawn.test.images)


def test_an_unknown_dataset_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="Unknown dataset 'cifar-100'. Did you mean 'cifar100'"):
        load("cifar-100")


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(name: str, root: Path) -> None:
        raise DatasetUnavailableError(f"{name} is not in {root}; three ways on")

    monkeypatch.setattr(data_module, "ensure_files", unavailable)


@pytest.mark.usefixtures("no_files")
def test_missing_data_is_an_error_for_load_and_a_loud_warning_with_the_synthetic_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], drawn: Data
) -> None:
    with pytest.raises(DatasetUnavailableError):
        load("cifar10", tmp_path)
    found = load_or_synthetic("cifar10", tmp_path)
    printed = capsys.readouterr().out
    assert found.name == "synthetic"
    assert torch.equal(found.test.images, drawn.test.images)
    assert "SYNTHETIC DATASET" in printed and "NOT of cifar10" in printed
    assert f"cifar10 is not in {tmp_path}; three ways on" in printed


@pytest.mark.parametrize(("given", "expected"), [("mine", "mine"), (None, "from-environment")])
def test_the_folder_is_the_argument_or_else_the_environment_s(
    no_files: None, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    monkeypatch.setenv("CIFAR_LAB_DATA", "from-environment")
    with pytest.raises(DatasetUnavailableError, match=f"not in {expected};"):
        load("cifar10", given)


# ---- a dataset is one row


class Shapes(datasets.CIFAR10):
    """A dataset in the format of CIFAR-10, with its own names and checksums."""

    base_folder = "shapes-py"
    filename = "shapes-python.tar.gz"
    url = "https://example.org/shapes-python.tar.gz"
    tgz_md5 = ""


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that holds a dataset of three classes; its row is added to `DATASETS`."""
    folder = tmp_path / Shapes.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)
    digests = {}
    for name, labels in {"train": [0, 1, 2, 0, 1, 2], "test": [2, 1, 0]}.items():
        pixels = rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}))
    (folder / "meta").write_bytes(pickle.dumps({"names": ["ball", "cone", "cube"]}))
    for path in folder.iterdir():
        digests[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(Shapes, "train_list", [["train", digests["train"]]])
    monkeypatch.setattr(Shapes, "test_list", [["test", digests["test"]]])
    meta = {"filename": "meta", "key": "names", "md5": digests["meta"]}
    monkeypatch.setattr(Shapes, "meta", meta)
    monkeypatch.setattr(datasets, "Shapes", Shapes, raising=False)
    archive = Archive("Shapes", 1000, {"example.org": "https://example.org/mirror"})
    row = DatasetFacts("Shapes", 3, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3), archive)
    monkeypatch.setitem(DATASETS, "shapes", row)
    return tmp_path


def test_a_new_row_is_loaded_from_verified_files(shapes: Path) -> None:
    data = load("shapes", shapes)
    assert (data.name, data.class_names) == ("shapes", ("ball", "cone", "cube"))
    assert data.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.test.images.shape == (3, 3, 32, 32) and data.test.role is Role.TEST
    (shapes / Shapes.base_folder / "test").write_bytes(b"damaged")
    with pytest.raises(CorruptedDataError, match="test is not the official file"):
        load("shapes", shapes)


def test_a_new_row_has_its_mirrors_and_then_its_official_host(shapes: Path) -> None:
    mirror, official = sources_for("shapes")
    assert mirror.url == "https://example.org/mirror/shapes-python.tar.gz"
    assert official.url == Shapes.url


def test_a_new_row_is_a_choice_of_commands_and_of_pytest(
    shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = build_parser().parse_args(["run", "cifar10-mlp", "--dataset", "shapes"])
    assert options.dataset == "shapes"
    parser = argparse.ArgumentParser()
    group = SimpleNamespace(addoption=parser.add_argument)
    pytest_addoption(SimpleNamespace(getgroup=lambda *texts: group))  # type: ignore[arg-type]
    assert parser.parse_args(["--dataset", "shapes"]).dataset == "shapes"
    assert main(["doctor", "--data", str(shapes)]) == 0
    assert re.search(r"shapes +complete and verified in", capsys.readouterr().out)


@pytest.mark.usefixtures("shapes")
def test_a_new_row_is_known_to_the_grader_and_in_messages() -> None:
    assert Settings("a", dataset="shapes").num_classes == 3
    with pytest.raises(ValueError, match="Unknown dataset 'shape'. Did you mean 'shapes'"):
        load("shape")


def test_the_synthetic_row_s_mean_and_deviation_are_those_of_the_images(drawn: Data) -> None:
    images = drawn.train.images.double() / 255
    facts = DATASETS["synthetic"]
    assert facts.mean == pytest.approx(images.mean(dim=(0, 2, 3)).tolist(), abs=1e-4)
    assert facts.std == pytest.approx(images.std(dim=(0, 2, 3)).tolist(), abs=1e-4)
    assert facts.num_classes == drawn.train.num_classes


# ---- ImageSet

GOOD = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (GOOD.float(), LABELS, TypeError, "images are torch.float32; expected torch.uint8"),
        (GOOD.permute(0, 2, 3, 1), LABELS, ValueError, r"shape \(4, 8, 8, 3\)"),
        (GOOD[0], LABELS, ValueError, r"shape \(3, 8, 8\); expected \(N, 3, height, width\)"),
        (GOOD, LABELS.int(), TypeError, "labels are torch.int32; expected torch.int64"),
        (GOOD, LABELS[:3], ValueError, r"labels have shape \(3,\); expected \(4,\)"),
        (GOOD, LABELS[:, None], ValueError, r"labels have shape \(4, 1\)"),
        (GOOD, LABELS + 1, ValueError, "labels run from 1 to 2; expected 0 to 1"),
        (GOOD, LABELS - 1, ValueError, "labels run from -1 to 0; expected 0 to 1"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(
    images: Tensor, labels: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ImageSet(images, labels, Role.TRAIN, ("no", "yes"))


def test_an_item_is_what_torchvision_makes_of_the_image(train: ImageSet) -> None:
    for index in (0, 17, -1):
        image, label = train[index]
        assert torch.equal(image, to_tensor(train.images[index]))
        assert label == train.labels[index] and type(label) is int


def test_a_subset_keeps_the_order_it_is_given(numbered: ImageSet) -> None:
    subset = numbered.subset(torch.tensor([40, 2, 100]))
    assert numbers(subset) == [40, 2, 100]
    assert subset.labels.tolist() == [1, 0, 3]
    assert subset.role is Role.TRAIN and subset.class_names == numbered.class_names


def test_a_subset_is_of_a_mask_or_counted_from_the_end_as_in_pytorch(numbered: ImageSet) -> None:
    mask = numbered.labels == numbered.labels[3]
    assert torch.equal(numbered.subset(mask).images, numbered.images[mask])
    assert torch.equal(numbered.subset(torch.tensor([-1])).images, numbered.images[-1:])
    with pytest.raises(IndexError, match="out of bounds"):
        numbered.subset(torch.tensor([len(numbered)]))


def test_test_images_stay_test_images(test: ImageSet) -> None:
    assert test.subset(torch.tensor([1, 2])).role is Role.TEST
    with pytest.raises(ValueError, match="is 'train'; expected 'test'"):
        test.subset(torch.tensor([1, 2]), Role.TRAIN)


# ---- Batches


def test_an_epoch_brings_every_image_once_with_its_label(numbered: ImageSet) -> None:
    batches = Batches(numbered, 10, shuffle=True, device="cpu")
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    found = (images[:, 0, 0, 0] * 255).round().long()
    assert sorted(found.tolist()) == list(range(103))
    assert torch.equal(labels, numbered.labels[found])


@pytest.mark.parametrize("batch_size", [1, 7, 52, 103, 104, 1000])
def test_the_last_batch_is_kept_and_len_is_exact(numbered: ImageSet, batch_size: int) -> None:
    batches = Batches(numbered, batch_size, device="cpu")
    sizes = [len(images) for images, _ in batches]
    full, rest = divmod(103, batch_size)
    assert sizes == [batch_size] * full + [rest] * (rest > 0)
    assert len(batches) == len(sizes)


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(102, [103]), (51, [51, 52]), (2, [2] * 50 + [3])]
)
def test_one_image_left_over_joins_the_batch_before_it(
    numbered: ImageSet, batch_size: int, sizes: list[int]
) -> None:
    batches = Batches(numbered, batch_size, device="cpu")
    assert [len(images) for images, _ in batches] == sizes
    assert len(batches) == len(sizes)


LAYOUTS = (torch.channels_last, torch.contiguous_format)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("stored", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches_hold_torchvision_s_values_in_the_layout_asked_for(
    train: ImageSet, stored: torch.memory_format, layout: torch.memory_format, shuffle: bool
) -> None:
    image_set = replace(train, images=train.images.contiguous(memory_format=stored))
    channels_last = layout == torch.channels_last
    batches = Batches(image_set, 50, shuffle=shuffle, channels_last=channels_last, device="cpu")
    images, labels = next(iter(batches))
    assert images.is_contiguous(memory_format=layout)
    assert labels.dtype == torch.int64
    expected = torch.stack([to_tensor(image) for image in train.images])
    if not shuffle:
        assert torch.equal(images, expected)
        assert torch.equal(labels, train.labels)
    else:
        order = (images.flatten(1)[:, None] == expected.flatten(1)).all(2).int().argmax(1)
        assert torch.equal(images, expected[order])
        assert torch.equal(labels, train.labels[order])


@pytest.mark.parametrize("stored", LAYOUTS)
def test_a_subset_keeps_the_memory_layout(train: ImageSet, stored: torch.memory_format) -> None:
    image_set = replace(train, images=train.images.contiguous(memory_format=stored))
    chosen = image_set.subset(torch.tensor([3, 1]))
    assert chosen.images.is_contiguous(memory_format=stored)
    assert torch.equal(chosen.images, train.images[[3, 1]])


def test_loaded_images_are_contiguous(drawn: Data) -> None:
    """`x.view(len(x), -1)` works on batches that are taken from them by hand."""
    pixels = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    turned = from_numpy(pixels, np.zeros(4), Role.TRAIN, ("a",), "custom")
    for image_set in (turned, drawn.train, drawn.test):
        assert image_set.images.is_contiguous()


def order_of(image_set: ImageSet, seed: int, epoch: int) -> list[int]:
    batches = Batches(image_set, 10, shuffle=True, seed=seed, device="cpu")
    batches.epoch = epoch
    return [round(float(image[0, 0, 0]) * 255) for images, _ in batches for image in images]


def test_the_order_is_a_function_of_seed_and_epoch(numbered: ImageSet) -> None:
    orders = {
        (seed, epoch): order_of(numbered, seed, epoch) for seed in (0, 1) for epoch in range(3)
    }
    assert len({tuple(order) for order in orders.values()}) == 6
    torch.rand(5)  # what else is drawn does not matter
    assert order_of(numbered, 1, 2) == orders[1, 2]


def test_each_pass_is_the_next_epoch_and_depends_on_no_pass_before(numbered: ImageSet) -> None:
    batches = Batches(numbered, 10, shuffle=True, seed=3, device="cpu")
    next(iter(batches))  # a pass that breaks off
    second = [labels.tolist() for _, labels in batches]
    batches.epoch = 1
    assert [labels.tolist() for _, labels in batches] == second


def test_without_shuffling_every_epoch_is_in_the_set_s_order(numbered: ImageSet) -> None:
    batches = Batches(numbered, 10, device="cpu")
    for _ in range(2):
        assert torch.equal(torch.cat([labels for _, labels in batches]), numbered.labels)


def brighten(images: Tensor, generator: torch.Generator) -> Tensor:
    return images + torch.rand(len(images), 1, 1, 1, generator=generator)


def test_a_transform_draws_anew_each_epoch_and_the_same_again(numbered: ImageSet) -> None:
    def passes() -> list[Tensor]:
        batches = Batches(numbered, 50, seed=5, transform=brighten, device="cpu")
        return [torch.cat([images for images, _ in batches]) for _ in range(2)]

    (first, second), again = passes(), passes()
    assert not torch.equal(first, second)
    assert torch.equal(first, again[0]) and torch.equal(second, again[1])
    plain = torch.cat([images for images, _ in Batches(numbered, 50, device="cpu")])
    added = (first - plain)[:, 0, 0, 0]
    assert len(set(added.tolist())) > 95  # per image, and not again in the next batch


@pytest.mark.parametrize(("mixed_epochs", "mixed"), [(None, 4), (0, 0), (3, 3), (9, 4)])
def test_the_first_epochs_are_mixed_wherever_one_begins(
    train: ImageSet, mixed_epochs: int | None, mixed: int
) -> None:
    options: dict[str, Any] = {"mix": CutMix(num_classes=10), "mixed_epochs": mixed_epochs}
    batches = Batches(train, 25, seed=1, device="cpu", **options)
    soft = [[labels.is_floating_point() for _, labels in batches] for _ in range(4)]
    assert soft == [[epoch < mixed] * 2 for epoch in range(4)]
    batches.epoch = 3
    assert next(iter(batches))[1].is_floating_point() is (mixed == 4)


def test_a_dataloader_gives_the_same_batches(train: ImageSet) -> None:
    ours = Batches(train, 16, device="cpu")
    theirs = DataLoader(train, 16)
    for (images, labels), (their_images, their_labels) in zip(ours, theirs, strict=True):
        assert torch.equal(images, their_images)
        assert torch.equal(labels, their_labels)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_refused(train: ImageSet, batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}; expected a whole"):
        Batches(train, batch_size)


def test_an_empty_set_is_refused(train: ImageSet) -> None:
    with pytest.raises(ValueError, match="The train set is empty"):
        Batches(train.subset(torch.tensor([], dtype=torch.int64)), 8)


def test_an_unknown_device_is_refused(train: ImageSet) -> None:
    with pytest.raises(ValueError, match="Device 'gpu' can't be used here"):
        Batches(train, 8, device="gpu")


# ---- split


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_split_is_disjoint_and_loses_nothing(
    numbered: ImageSet, stratified: bool, fraction: float
) -> None:
    train, validation = split(numbered, fraction, seed=0, stratified=stratified)
    assert sorted(numbers(train) + numbers(validation)) == list(range(103))
    assert (train.role, validation.role) == (Role.TRAIN, Role.VALIDATION)
    assert abs(len(validation) - 103 * fraction) <= (4 if stratified else 1)
    for part in (train, validation):
        assert torch.equal(part.labels, numbered.labels[torch.tensor(numbers(part))])


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_stratified_split_keeps_each_class_s_share(numbered: ImageSet, fraction: float) -> None:
    _, validation = split(numbered, fraction, seed=1, stratified=True)
    counts = np.bincount(validation.labels, minlength=4)
    assert np.all(np.abs(counts - fraction * np.array([37, 33, 22, 11])) <= 1)


def test_a_split_is_the_same_on_every_machine(numbered: ImageSet) -> None:
    _, validation = split(numbered, 0.1, seed=42)
    assert numbers(validation) == [0, 18, 27, 28, 33, 52, 55, 72, 81, 100]
    _, validation = split(numbered, 0.1, seed=42, stratified=True)
    assert numbers(validation) == [5, 18, 26, 27, 47, 55, 66, 76, 87, 93]
    _, validation = split(numbered, 0.1, seed=43)
    assert numbers(validation) != [0, 18, 27, 28, 33, 52, 55, 72, 81, 100]


def test_only_training_images_are_split(test: ImageSet) -> None:
    with pytest.raises(ValueError, match="role is 'test'; expected 'train'"):
        split(test, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, 1.5, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(numbered: ImageSet, fraction: float) -> None:
    with pytest.raises(ValueError, match=f"validation_fraction is {fraction}; expected between"):
        split(numbered, fraction, seed=0)


def test_a_split_that_leaves_a_part_empty_is_refused(numbered: ImageSet) -> None:
    with pytest.raises(ValueError, match="validation_fraction is 0.001, which of 103 images"):
        split(numbered, 0.001, seed=0)


@pytest.mark.parametrize("name", ["images", "labels"])
def test_arrays_that_are_no_tensors_are_refused(train: ImageSet, name: str) -> None:
    fields = {"images": train.images, "labels": train.labels}
    fields[name] = fields[name].numpy()
    with pytest.raises(TypeError, match=f"{name} are a ndarray; .*torch.from_numpy"):
        ImageSet(**fields, role=Role.TRAIN, class_names=train.class_names)


# ---- the real files

PER_CLASS = {"cifar10": (5000, 1000), "cifar100": (500, 100)}
TORCHVISION = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}


@pytest.mark.real_data
@pytest.mark.parametrize("name", PER_CLASS)
def test_real_images_are_torchvision_s(real_root: Path, name: str) -> None:
    data = load(name, real_root)
    for part, per_class in zip((data.train, data.test), PER_CLASS[name], strict=True):
        reference = TORCHVISION[name](real_root, train=part is data.train, transform=ToTensor())
        assert len(part) == len(reference) == (50_000 if part is data.train else 10_000)
        assert part.labels.bincount().tolist() == [per_class] * part.num_classes
        assert part.class_names == tuple(reference.classes)
        assert part.role is (Role.TRAIN if part is data.train else Role.TEST)
        for index in range(0, len(part), 997):
            image, label = reference[index]
            assert torch.equal(part[index][0], image)
            assert part[index][1] == label


@pytest.mark.real_data
@pytest.mark.parametrize("name", PER_CLASS)
def test_a_row_s_mean_and_deviation_are_those_of_the_real_images(
    real_root: Path, name: str
) -> None:
    images = load(name, real_root).train.images.double() / 255
    assert DATASETS[name].mean == pytest.approx(images.mean(dim=(0, 2, 3)).tolist(), abs=3e-4)
    assert DATASETS[name].std == pytest.approx(images.std(dim=(0, 2, 3)).tolist(), abs=3e-4)


@pytest.mark.real_data
def test_real_cifar10_has_its_ten_classes(real_root: Path) -> None:
    assert load("cifar10", real_root).class_names == (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )


@pytest.mark.real_data
def test_a_damaged_file_is_named(real_root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cifar-10-batches-py"
    copy.mkdir()
    for path in (real_root / copy.name).iterdir():
        (copy / path.name).symlink_to(path.absolute())
    damaged = copy / "data_batch_3"
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[:-1000])
    with pytest.raises(CorruptedDataError, match=r"data_batch_3.*[Dd]elete"):
        load("cifar10", tmp_path)


@pytest.mark.real_data
def test_the_data_path_costs_at_most_0_6_seconds_an_epoch(real_root: Path) -> None:
    batches = Batches(load("cifar10", real_root).train, 64, shuffle=True, device="cpu")
    seconds = []
    for _ in range(3):
        start = time.process_time()
        for _ in batches:
            pass
        seconds.append(time.process_time() - start)
    assert median(seconds) <= 0.6, f"{[round(value, 2) for value in seconds]} s an epoch"


# ---- places, written in many ways

PLACES: dict[str, Any] = {
    "tensor": torch.tensor([5, 2, -1]),
    "small integers": torch.tensor([5, 2, -1], dtype=torch.int8),
    "list": [5, 2, -1],
    "tuple": (5, 2, 102),
    "list of tensors": [torch.tensor(5), torch.tensor(2), torch.tensor(102)],
    "array": np.array([5, 2, -1]),
    "array backwards": np.array([-1, 2, 5])[::-1],
    "unsigned array": np.array([5, 2, 102], dtype=np.uint8),
}
IN_ORDER: dict[str, Any] = {
    "range": range(2, 103, 50),
    "slice": slice(2, None, 50),
    "mask": torch.arange(103) % 50 == 2,
    "list of flags": [place % 50 == 2 for place in range(103)],
    "array of flags": np.arange(103) % 50 == 2,
}


@pytest.mark.parametrize("form", [*PLACES, *IN_ORDER])
def test_places_are_taken_in_whatever_form(numbered: ImageSet, form: str) -> None:
    indices = {**PLACES, **IN_ORDER}[form]
    expected = [5, 2, 102] if form in PLACES else [2, 52, 102]
    assert numbers(numbered.subset(indices)) == expected
    images, labels = numbered[indices]
    assert (images[:, 0, 0, 0] * 255).round().tolist() == expected
    assert images.dtype == torch.float32 and images.is_contiguous()
    assert torch.equal(labels, numbered.labels[expected])


@pytest.mark.parametrize("indices", [[], (), range(0), np.array([]), torch.tensor([]), slice(0, 0)])
def test_no_places_are_an_empty_set(numbered: ImageSet, indices: Any) -> None:
    assert len(numbered.subset(indices)) == 0


@pytest.mark.parametrize("index", [3, np.int64(3), torch.tensor(3), np.array(3)])
def test_one_place_is_an_item(numbered: ImageSet, index: Any) -> None:
    image, label = numbered[index]
    assert image.shape == (3, 2, 2) and image.is_contiguous()
    assert round(float(image[0, 0, 0]) * 255) == 3 and type(label) is int


@pytest.mark.parametrize(
    "indices",
    [[1.5], torch.zeros(3), torch.tensor([0, 1], dtype=torch.uint8), [[1, 2]], "01", {1, 2}, None],
)
def test_what_is_no_place_is_answered_with_what_was_expected(
    numbered: ImageSet, indices: Any
) -> None:
    for take in (numbered.subset, numbered.__getitem__):
        with pytest.raises(TypeError, match="The indices are .*expected"):
            take(indices)


@pytest.mark.parametrize("indices", [[103], [-104], [True, False], 103])
def test_a_place_that_is_not_there_is_an_index_error(numbered: ImageSet, indices: Any) -> None:
    with pytest.raises(IndexError):
        numbered[indices]


def test_torch_s_own_tools_take_an_image_set(numbered: ImageSet) -> None:
    assert [label for _, label in Subset(numbered, [0, 40])] == [0, 1]
    assert len(list(numbered)) == 103
    batches = DataLoader(numbered, sampler=BatchSampler(range(4), 2, False), batch_size=None)
    assert [images.shape for images, _ in batches] == [(2, 3, 2, 2)] * 2


# ---- what is shown, and what messages say


def test_sets_show_themselves_in_a_line(numbered: ImageSet) -> None:
    assert repr(numbered) == "ImageSet(train: 103 images 3 x 2 x 2, 4 classes, custom)"
    data = Data("own", numbered, replace(numbered, role=Role.TEST))
    assert repr(data) == "Data(own: 103 training and 103 test images 3 x 2 x 2, 4 classes)"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"Grey images: use .*expand\(-1, 3"),
        (torch.zeros(2, 8, 8, dtype=torch.uint8), r"Grey images: use .*\[:, None\]"),
        (GOOD.permute(0, 2, 3, 1), r"channels last: use images.permute\(0, 3, 1, 2\)"),
        (GOOD[0], r"A single image: use images.unsqueeze\(0\)"),
        (torch.zeros(2, 4, 8, 8, dtype=torch.uint8), "alpha channel: keep only the first three"),
        (torch.zeros(2, 3072, dtype=torch.uint8), r"reshape\(-1, 3, 32, 32\)"),
        (torch.rand(2, 3, 8, 8), r"scaled to \[0, 1\]: use \(images \* 255\)"),
        (torch.rand(2, 3, 8, 8) * 250, r"Pixels from 0 to 255: use images.to\(torch.uint8\)"),
        (torch.full((2, 3, 8, 8), 255), r"Pixels from 0 to 255: use images.to\(torch.uint8\)"),
        (torch.randn(2, 3, 8, 8), "from before the normalisation"),
        (torch.full((2, 3, 8, 8), 65535), "scale them to 0 to 255 first"),
    ],
)
def test_a_message_is_about_the_images_that_were_given(images: Tensor, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        ImageSet(images, LABELS[:2], Role.TRAIN, ("no", "yes"))


@pytest.mark.parametrize("wrap", [lambda each: Subset(each, [0, 1]), DataLoader, list])
def test_what_is_no_image_set_is_not_split(numbered: ImageSet, wrap: Any) -> None:
    with pytest.raises(TypeError, match="This is a .*; expected an ImageSet, such as data.train"):
        split(wrap(numbered), seed=0)


def test_a_split_takes_numbers_of_numpy(numbered: ImageSet) -> None:
    _, expected = split(numbered, 0.1, seed=42)
    _, found = split(numbered, np.float32(0.1), seed=np.int64(42))
    assert numbers(found) == numbers(expected)


def test_the_data_folder_may_be_in_the_home_folder(
    no_files: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("CIFAR_LAB_DATA", "~/from-environment")
    for given, expected in (("~/mine", "mine"), (None, "from-environment")):
        with pytest.raises(DatasetUnavailableError, match=f"not in {tmp_path / expected};"):
            load("cifar10", given)
