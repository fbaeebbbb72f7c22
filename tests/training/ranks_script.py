"""The runs that `test_ranks` starts with torchrun, and repeats in one process.

    python ranks_script.py FOLDER DEVICE

Each process writes its outcomes to FOLDER/rank-RANK.pt.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from small import RECIPE, synthetic_set

from cifar_lab.data.augment import CutMix, RandomCrop, RandomHorizontalFlip
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import Role
from cifar_lab.models import SimpleMLP
from cifar_lab.models.whitened import Stage, WhitenedResNet
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.utils.ranks import join_ranks

TRAIN = synthetic_set(Role.TRAIN, 53, seed=0)  # batches of 16, 16, 16 and 5: parts of 2 and 3
FEWER = synthetic_set(Role.TRAIN, 50, seed=0)  # the last batch has 2 images, too few to share
VALIDATION = synthetic_set(Role.VALIDATION, 31, seed=1)
MIXED = replace(
    RECIPE,
    optimizer="sgd",
    momentum=0.9,
    learning_rate=0.02,
    augment=(RandomCrop(4), RandomHorizontalFlip()),
    mix=CutMix(),
    gradient_clip=0.5,
    label_smoothing=0.1,
    schedule="cosine",
)
NORMED = replace(
    RECIPE,
    optimizer="muon",
    learning_rate=0.02,
    other_learning_rate=0.1,
    momentum=0.9,
    ema_decay=0.9,
    keep_best=True,
    channels_last=True,
    reestimate_norms=True,
)
RANK = int(os.environ.get("RANK", "0"))
DEVICE = "cpu"


def mlp() -> nn.Module:
    torch.manual_seed(1)
    return SimpleMLP()


def convnet() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))


def with_norms() -> nn.Module:
    torch.manual_seed(3 + RANK)  # all processes begin with the weights of the first
    return WhitenedResNet([Stage(4, pooled_passes=1)])


def norm_of_images() -> nn.Module:
    """A network whose norm has statistics that don't depend on its weights."""
    torch.manual_seed(5)
    return nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3072, 10))


class Drawing(nn.Module):
    """A network that notes what it draws in training, as dropout would."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.layer = nn.Linear(3072, 10)
        self.drawn: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.drawn.append(float(torch.rand(())))
        return self.layer(images.flatten(1))


def draws() -> list[float]:
    model = Drawing()
    options: dict[str, Any] = {"device": DEVICE, "progress": False}
    if RANK == 0:  # a callback of the first process alone
        options["callback"] = options["on_epoch"] = model.drawn.append
    fit(model, TRAIN, replace(RECIPE, epochs=1), **options)
    return [each for each in model.drawn if isinstance(each, float)][-4:]  # of its four steps


class Uneven(nn.Module):
    """Two outputs, a layer without use, and one that only a process beyond the first uses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.main = nn.Linear(3072, 10)
        self.auxiliary = nn.Linear(3072, 10)
        self.unused = nn.Linear(3, 3)
        self.sometimes = nn.Parameter(torch.ones(10))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.seen += images.sum()
        flat = images.flatten(1)
        logits = self.main(flat)
        return logits * self.sometimes if RANK else logits, self.auxiliary(flat)


def loader(**options: Any) -> DataLoader[Any]:
    images, labels = TRAIN[:]
    return DataLoader(TensorDataset(images, labels), 16, **options)


def unshuffled_pairs() -> list[tuple[Tensor, Tensor]]:
    """Validation batches of one image and of four, 31 images in all."""
    images, labels = VALIDATION[:]
    sizes = [1, 1, 1, *[4] * 7]
    return list(zip(images.split(sizes), labels.split(sizes), strict=True))


def digest(tensors: Any) -> str:
    content = hashlib.sha256()
    for each in tensors:
        content.update(each.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


@contextmanager
def digests_of_steps(found: list[str]) -> Iterator[None]:
    """Note the digest of all trained weights after each step of any optimizer."""

    def note(optimizer: torch.optim.Optimizer, *arguments: Any) -> None:
        found.append(digest(each for group in optimizer.param_groups for each in group["params"]))

    handle = register_optimizer_step_post_hook(note)
    try:
        yield
    finally:
        handle.remove()


def trained(model: nn.Module, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Train, and return all that the processes have to agree on."""
    steps: list[str] = []
    options = {"validation": VALIDATION, "device": DEVICE, "progress": False, **options}
    with digests_of_steps(steps):
        history = fit(model, *arguments, **options)
    return {
        "weights": {name: value.cpu().clone() for name, value in model.state_dict().items()},
        "history": [vars(record) for record in history],
        "steps": steps,
    }


def overflow() -> dict[str, Any]:
    """Train an epoch with scaled gradients, which overflow in a process beyond the first, once."""
    model = mlp().to(DEVICE)
    weight = next(model.parameters())
    steps: list[None] = []

    def overflow_in_second_step(gradient: Tensor) -> Tensor:
        steps.append(None)
        return gradient * torch.inf if RANK and len(steps) == 2 else gradient

    weight.register_hook(overflow_in_second_step)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler(DEVICE, init_scale=8.0)
    found: list[str] = []
    with digests_of_steps(found):
        train_epoch(
            model,
            Batches(TRAIN, 16, device=DEVICE),
            optimizer,
            nn.CrossEntropyLoss(),
            scaler=scaler,
            ranks=join_ranks(),
        )
    return {"steps": found, "scale": scaler.get_scale(), "is_finite": bool(weight.isfinite().all())}


def refused(function: Callable[[], Any]) -> str:
    try:
        function()
    except (ValueError, TypeError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was refused"


RUNS: dict[str, Callable[[], Any]] = {
    "mlp": lambda: trained(mlp(), TRAIN, RECIPE),
    "without norms": lambda: trained(convnet(), FEWER, MIXED, test=VALIDATION),
    "norms": lambda: trained(with_norms(), TRAIN, NORMED),
    "norm of images": lambda: trained(
        norm_of_images(), FEWER, replace(RECIPE, ema_decay=0.9, learning_rate=1e-4)
    ),
    "loader": lambda: trained(
        convnet(),
        loader(shuffle=True),
        RECIPE,
        validation=unshuffled_pairs(),
        optimizer=partial(torch.optim.RMSprop, lr=1e-3),
    ),
    "uneven": lambda: trained(Uneven(), TRAIN, RECIPE),
    "stopped": lambda: trained(
        mlp(), TRAIN, replace(RECIPE, epochs=5), callback=lambda progress: RANK == 0
    ),
}


def resumed(folder: Path) -> dict[str, Any]:
    longer = replace(RECIPE, epochs=3)
    return trained(mlp(), TRAIN, longer, checkpoint=folder / "begun.pt", resume=True)


REFUSED: dict[str, Callable[[], Any]] = {
    "small batches": lambda: fit(mlp(), TRAIN, replace(RECIPE, batch_size=3)),
    "wrapped": lambda: fit(nn.parallel.DistributedDataParallel(mlp()), TRAIN, RECIPE),
    "seeds": lambda: fit(mlp(), TRAIN, RECIPE, seed=RANK),
    "validation": lambda: fit(mlp(), TRAIN, RECIPE, validation=None if RANK else VALIDATION),
    "sampler": lambda: fit(
        mlp(), loader(sampler=DistributedSampler(TRAIN)), RECIPE, progress=False
    ),
    "existing": lambda: fit(mlp(), TRAIN, RECIPE, checkpoint=Path(sys.argv[1], "begun.pt")),
    "few images": lambda: fit(mlp(), TRAIN, RECIPE, validation=VALIDATION.subset([0])),
}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {name: run() for name, run in RUNS.items()}
    found |= {name: refused(run) for name, run in REFUSED.items()}
    found |= {"resumed": resumed(folder), "draws": draws(), "overflow": overflow()}
    torch.save(found, folder / f"rank-{RANK}.pt")


if __name__ == "__main__":
    DEVICE = sys.argv[2]
    main(Path(sys.argv[1]))
