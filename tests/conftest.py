"""What several test modules share: small image sets, made-up results, the real files if any."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small import RECIPE, synthetic_set

from cifar_lab.data.image_set import Data, ImageSet, Role
from cifar_lab.experiments.results import Result
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.recipe import Recipe

FOLDERS = ("cifar-10-batches-py", "cifar-100-python")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # tests in the background: `nohup pytest &`
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The tests' networks are so small that sharing them among threads only costs time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The folder with the real CIFAR files; without them the test is skipped."""
    root = Path(os.environ.get("CIFAR_LAB_DATA") or Path(__file__).parents[1] / "data")
    missing = [folder for folder in FOLDERS if not (root / folder).is_dir()]
    if missing:
        pytest.skip(
            f"{' and '.join(missing)} not in {root.absolute()}; "
            f"set CIFAR_LAB_DATA to the folder that holds {' and '.join(FOLDERS)}"
        )
    return root


@pytest.fixture(scope="session")
def data() -> Data:
    """A small synthetic dataset: 50 training and 30 test images of ten classes."""
    train = synthetic_set(Role.TRAIN, 50, seed=0)
    return Data("synthetic", train, synthetic_set(Role.TEST, 30, seed=1))


@pytest.fixture(scope="session")
def train(data: Data) -> ImageSet:
    return data.train


@pytest.fixture(scope="session")
def test(data: Data) -> ImageSet:
    return data.test


@pytest.fixture
def recipe() -> Recipe:
    """Two epochs of Adam in float32; 50 images make batches of 16, 16, 16 and 2."""
    return RECIPE


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """Builds a made-up result of two epochs; keywords replace its fields."""

    def make(test_accuracy: float = 50.0, **fields: Any) -> Result:
        history = [
            EpochRecord(1, 2.0, None, test_accuracy - 10, 1.5),
            EpochRecord(2, 1.25, None, test_accuracy, 1.5),
        ]
        usual = {
            "experiment": "cifar10-mlp",
            "title": "SimpleMLP",
            "dataset": "cifar10",
            "model_name": "mlp",
            "num_classes": 10,
            "recipe": RECIPE,
            "seed": 0,
            "parameters": 308_310,
            "macs": 308_200,
            "history": history,
            "test_accuracy": test_accuracy,
            "test_uses": 3,
            "seconds": 3.0,
            "precision": "fp32",
            "peak_memory_mib": 100,
            "environment": {"device": "cpu"},
        }
        return Result(**(usual | fields))

    return make
