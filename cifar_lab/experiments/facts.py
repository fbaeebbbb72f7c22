"""Facts of every experiment, readable without PyTorch: what it is, takes and is expected to reach.

Each is one row here and one in `catalog`, which says how it is trained. Tests compare the rows with
what the catalogue's models and recipes count to, and with the published results.
"""

from __future__ import annotations

from dataclasses import dataclass

# The dataset that each assignment is about.
ASSIGNMENTS = {"a": "cifar10", "b": "cifar100"}


@dataclass(frozen=True)
class Facts:
    """The facts of an experiment.

    Attributes:
        title: The name in tables and plots.
        dataset: The dataset that it is trained and tested on.
        parameters: The numbers in the model's parameters.
        macs: The multiply-accumulate operations of one image's forward pass.
        epochs: The epochs of its recipe.
        training_tflops: The floating-point operations of the whole training, in 1e12.
        accuracy: The expected test accuracy in percent, the mean over `runs` published runs; None
            where none is published.
        runs: The number of those runs, each with a seed of its own.
        reference: The test accuracy in percent that the course reported after the last epoch.
        minutes: The measured time of training on two CPU cores, in fp32; None where it was not
            measured so.
    """

    title: str
    dataset: str
    parameters: int
    macs: int
    epochs: int
    training_tflops: float
    accuracy: float | None = None
    runs: int = 0
    reference: float | None = None
    minutes: float | None = None


FACTS: dict[str, Facts] = {
    "cifar10-mlp": Facts(
        title="SimpleMLP",
        dataset="cifar10",
        parameters=308_310,
        macs=308_200,
        epochs=3,
        training_tflops=0.185,
        accuracy=41.24,
        runs=5,
        reference=42.35,
        minutes=0.05,
    ),
    "cifar10-skeleton": Facts(
        title="ConvNet, skeleton",
        dataset="cifar10",
        parameters=42_362,
        macs=1_441_792,
        epochs=3,
        training_tflops=1.23,
        accuracy=59.00,
        runs=5,
        reference=61.75,
        minutes=0.27,
    ),
    "cifar10-convnet": Facts(
        title="ConvNet, plain",
        dataset="cifar10",
        parameters=143_466,
        macs=33_955_840,
        epochs=3,
        training_tflops=30.3,
        accuracy=67.24,
        runs=5,
        reference=66.47,
        minutes=2.2,
    ),
    "cifar10-resnet-small": Facts(
        title="Bottleneck ResNet, small",
        dataset="cifar10",
        parameters=32_946,
        macs=4_288_512,
        epochs=3,
        training_tflops=3.84,
        accuracy=65.94,
        runs=5,
        reference=66.62,
        minutes=1.7,
    ),
    "cifar10-resnet-wide": Facts(
        title="Bottleneck ResNet, wide",
        dataset="cifar10",
        parameters=121_306,
        macs=25_092_096,
        epochs=3,
        training_tflops=22.5,
        accuracy=71.89,
        runs=5,
        reference=73.01,
        minutes=3.7,
    ),
    "cifar100-tinynet": Facts(
        title="TinyNet",
        dataset="cifar100",
        parameters=556_708,
        macs=6_140_416,
        epochs=10,
        training_tflops=15.8,
        accuracy=2.84,
        runs=1,
        reference=3.37,
    ),
    "cifar100-smallcifarnet": Facts(
        title="SmallCIFARNet",
        dataset="cifar100",
        parameters=765_055,
        macs=15_361_024,
        epochs=50,
        training_tflops=207,
        accuracy=52.75,
        runs=2,
        reference=52.95,
        minutes=40.4,
    ),
    "cifar10-frontier-wide": Facts(
        title="Frontier, wide",
        dataset="cifar10",
        parameters=117_156,
        macs=25_578_360,
        epochs=3,
        training_tflops=20.9,
        accuracy=87.80,
        runs=5,
    ),
    "cifar10-frontier-tiny": Facts(
        title="Frontier, tiny",
        dataset="cifar10",
        parameters=2_634,
        macs=3_458_760,
        epochs=3,
        training_tflops=2.97,
        accuracy=70.39,
        runs=5,
    ),
    "cifar10-frontier-94": Facts(
        title="Frontier, 94",
        dataset="cifar10",
        parameters=902_072,
        macs=71_070_752,
        epochs=8,
        training_tflops=170,
        accuracy=91.66,
        runs=1,
        minutes=13,
    ),
    # Nobody has run all its epochs yet, so no accuracy and no time are expected.
    "cifar100-frontier": Facts(
        title="Frontier, CIFAR-100",
        dataset="cifar100",
        parameters=914_616,
        macs=88_187_168,
        epochs=1000,
        training_tflops=26_400,
    ),
}

_COURSE = [name for name in FACTS if "-frontier" not in name]
GROUPS: dict[str, tuple[str, ...]] = {
    "assignment-a": tuple(name for name in _COURSE if name.startswith("cifar10-")),
    "assignment-b": tuple(name for name in _COURSE if name.startswith("cifar100-")),
    # CIFAR-100's takes an hour of a GPU, the others minutes: it goes by its own name.
    "frontier": tuple(name for name in FACTS if name.startswith("cifar10-frontier-")),
}
