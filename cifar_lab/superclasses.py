"""CIFAR-100's twenty superclasses, and confusion among them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Source: https://www.cs.toronto.edu/~kriz/cifar.html; the dataset's files hold the same.
CIFAR100_SUPERCLASSES: dict[str, tuple[str, ...]] = {
    "aquatic mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit and vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household electrical devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large man-made outdoor things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large natural outdoor scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large omnivores and herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles 1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles 2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}


def superclass_labels(class_names: Sequence[str]) -> Tensor:
    """Each class's superclass as an index into `CIFAR100_SUPERCLASSES`: int64, (num_classes,).

    Raises:
        ValueError: a class that is not CIFAR-100's.
    """
    index_of = {
        member: index
        for index, members in enumerate(CIFAR100_SUPERCLASSES.values())
        for member in members
    }
    unknown = [name for name in class_names if name not in index_of]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no class of CIFAR-100, which alone has superclasses.")
    return torch.tensor([index_of[name] for name in class_names])


def superclass_confusion(confusion: Tensor, class_names: Sequence[str]) -> Tensor:
    """A confusion matrix of classes (100, 100) -> one of superclasses (20, 20); rows are the truth.

    Raises:
        ValueError: another matrix than of these classes, or classes that are not CIFAR-100's.
    """
    if confusion.shape != (len(class_names), len(class_names)):
        raise ValueError(
            f"confusion has shape {tuple(confusion.shape)}; expected one row and one column for "
            f"each of the {len(class_names)} classes."
        )
    labels = superclass_labels(class_names)
    count = len(CIFAR100_SUPERCLASSES)
    rows = torch.zeros(count, len(labels), dtype=confusion.dtype).index_add_(0, labels, confusion)
    return torch.zeros(count, count, dtype=confusion.dtype).index_add_(1, labels, rows)
