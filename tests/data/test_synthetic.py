"""The synthetic dataset: deterministic, and a convolution learns it better than an MLP."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from cifar_lab import ImageSet, Recipe, Role, count_parameters, fit, seed_everything
from cifar_lab import test_accuracy as accuracy_of
from cifar_lab.data import synthetic


def drawn(num_images, seed, role):
    images, labels = synthetic.draw(num_images, seed)
    images = torch.from_numpy(images).permute(0, 3, 1, 2)
    return ImageSet(images, torch.from_numpy(labels), role, synthetic.CLASS_NAMES, "synthetic")


def test_images_and_labels_have_the_promised_form():
    images, labels = synthetic.draw(203, seed=0)
    assert (images.shape, images.dtype) == ((203, 32, 32, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((203,), np.int64)
    counts = np.bincount(labels, minlength=10)
    assert len(synthetic.CLASS_NAMES) == len(counts) == 10
    assert counts.max() - counts.min() <= 1
    assert not np.array_equal(labels, np.sort(labels)), "the order is shuffled"


def test_the_same_arguments_give_the_same_bytes_on_every_machine():
    images, labels = synthetic.draw(100, seed=7)
    digest = hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    # Another digest means that every synthetic figure published so far has changed.
    assert digest == "14745ab5ad0ec6f40110b1756f19520cf9c7e78bfbfe15b1aa4f14f2dc954423"


def test_training_and_test_images_share_none():
    first, second = (synthetic.draw(1000, seed=seed)[0] for seed in (0, 1))
    distinct = {image.tobytes() for image in (*first, *second)}
    assert len(distinct) == 2000


def test_colour_hardly_tells_the_class():
    """Nearest class mean on an image's mean colour is far from what a network finds."""
    (images, labels), (held_out, truth) = (synthetic.draw(2000, seed=seed) for seed in (0, 1))
    colours, held_out = (part.mean(axis=(1, 2)) for part in (images, held_out))
    centres = np.stack([colours[labels == label].mean(axis=0) for label in range(10)])
    distances = ((held_out[:, None] - centres) ** 2).sum(axis=2)
    assert (distances.argmin(axis=1) == truth).mean() < 0.2  # chance is 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_a_convolution_beats_a_fully_connected_net_with_fewer_parameters(seed):
    train, test = drawn(3000, 10, Role.TRAIN), drawn(500, 11, Role.TEST)
    recipe = Recipe(epochs=4, batch_size=64, optimizer="adam", learning_rate=2e-3, precision="fp32")
    accuracies, sizes = [], []
    for build in (fully_connected, convolutional):
        seed_everything(seed)
        model = build()
        fit(model, train, recipe, seed=seed, progress=False)
        accuracies.append(accuracy_of(model, test))
        sizes.append(count_parameters(model))
    assert sizes[1] < sizes[0]
    assert accuracies[1] > accuracies[0] + 20, accuracies


def fully_connected():
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Linear(64, 10))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4096, 10),
    )


@pytest.mark.parametrize("num_images", [0, -1, 2.5, True, "10"])
def test_a_number_of_images_that_cannot_be_drawn_is_refused(num_images):
    with pytest.raises(ValueError, match="num_images is .*expected a whole number from 1 up"):
        synthetic.draw(num_images, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_a_seed_that_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed is .*expected a whole number from 0 up"):
        synthetic.draw(10, seed)
