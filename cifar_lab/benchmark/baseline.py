"""The baseline: one image at a time through PIL and torchvision, and the textbook loop in float32.

The library is compared with it, so nothing of the library that saves time is used here. It trains
the same networks.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cifar_lab.benchmark.profile import Stopwatch
from cifar_lab.data.augment import describe
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.evaluation import test_accuracy
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.models.counting import count_training_flops
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.optimizers import build_optimizer
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at

WORKERS = 2  # as Colab's machines have cores


class PILImages(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's `CIFAR10` gives them: through PIL, then through a transform."""

    def __init__(self, image_set: ImageSet, transform: Callable[[Image.Image], Tensor]) -> None:
        self.data = image_set.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.targets = image_set.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def baseline_loader(
    image_set: ImageSet, experiment: Experiment, device: torch.device
) -> DataLoader[Any]:
    """Return shuffled batches, with the recipe's augmentation in torchvision's own transforms."""
    steps = [_torchvision(describe(transform)) for transform in experiment.recipe.augment]
    on_pil = [step for step in steps if not isinstance(step, transforms.RandomErasing)]
    on_tensors = [step for step in steps if isinstance(step, transforms.RandomErasing)]
    transform = transforms.Compose([*on_pil, transforms.ToTensor(), *on_tensors])
    return DataLoader(
        PILImages(image_set, transform),
        batch_size=experiment.recipe.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        pin_memory=device.type == "cuda",
    )


def _torchvision(transform: dict[str, Any]) -> Any:
    """Return torchvision's transform for a recipe's.

    Raises:
        ValueError: The baseline has none.
    """
    arguments = {name: value for name, value in transform.items() if name != "name"}
    name = transform["name"]
    if name == "RandomCrop":
        return transforms.RandomCrop(32, **arguments)
    if name == "RandomErasing":
        return transforms.RandomErasing(**arguments)
    if name in ("RandomHorizontalFlip", "ColorJitter"):
        return getattr(transforms, name)(**arguments)
    raise ValueError(f"The baseline has no {name}; the benchmark can't compare this recipe.")


def baseline_epoch(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    loss_fn: nn.Module,
    recipe: Recipe,
    average: nn.Module | None,
) -> float:
    """Train for one epoch of the textbook's loop and return the mean of the batches' losses."""
    device = next(model.parameters()).device
    losses = []
    model.train()
    for batch_images, batch_labels in loader:
        images, labels = batch_images.to(device), batch_labels.to(device)
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        if recipe.gradient_clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip)
        optimizer.step()
        if average is not None and recipe.ema_decay is not None:
            follow(average, model, recipe.ema_decay)
        losses.append(loss.item())
    return fmean(losses)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an exponential moving average of weights and buffers by one step."""
    values = model.state_dict()
    for name, kept in average.state_dict().items():
        if kept.is_floating_point():
            kept.mul_(decay).add_(values[name], alpha=1 - decay)
        else:
            kept.copy_(values[name])


class Baseline:
    """Trains an experiment as the course does.

    Args:
        experiment: Names the network, batch size and augmentation.
        recipe: Says how to train.
        device: Is where it trains.

    Raises:
        ValueError: The recipe asks for what the baseline does not have.
    """

    precision = "fp32"

    def __init__(self, experiment: Experiment, recipe: Recipe, device: torch.device) -> None:
        changes = recipe.schedule != "constant" or recipe.warmup_epochs > 0
        rates = (recipe.other_learning_rate, recipe.bias_learning_rate)
        several = any(rate is not None for rate in rates)
        if recipe.mix or several or (changes and recipe.schedule_per == "step"):
            raise ValueError(
                f"{experiment.name} mixes images, has several learning rates or changes them at "
                "each step; the baseline does none of it, so the benchmark can't compare them."
            )
        self.experiment, self.recipe, self.device = experiment, recipe, device
        self.loss_fn = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def train(
        self, train: ImageSet, watched: ImageSet, on_epoch: Callable[[EpochRecord], None]
    ) -> None:
        """Train, and measure the accuracy on `watched` after each epoch, not in its seconds."""
        model, optimizer, average = self._begin(train.num_classes)
        loader = baseline_loader(train, self.experiment, self.device)
        measured = model if average is None else average
        for epoch in range(self.recipe.epochs):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(self.recipe, epoch)
            start = time.perf_counter()
            loss = baseline_epoch(model, loader, optimizer, self.loss_fn, self.recipe, average)
            seconds = time.perf_counter() - start
            on_epoch(record_of(epoch + 1, loss, watched, test_accuracy(measured, watched), seconds))

    def profile(self, train: ImageSet) -> tuple[dict[str, float], float]:
        """Return the parts' shares of an epoch's time, and training's operations for an image."""
        model, optimizer, average = self._begin(train.num_classes)
        loader = baseline_loader(train, self.experiment, self.device)
        flops = count_training_flops(model)
        watch = Stopwatch(model, optimizer)
        batches = watch.batches(loader)
        baseline_epoch(model, batches, optimizer, self.loss_fn, self.recipe, average)
        return watch.shares(), flops

    def _begin(self, classes: int) -> tuple[nn.Module, torch.optim.Optimizer, nn.Module | None]:
        torch.manual_seed(0)
        model = self.experiment.build_model(classes).to(self.device)
        average = None if self.recipe.ema_decay is None else copy.deepcopy(model)
        return model, build_optimizer(self.recipe, model, fuse=False), average


def record_of(
    epoch: int, loss: float, watched: ImageSet, accuracy: float, seconds: float
) -> EpochRecord:
    """Return the record of an epoch, with the accuracy under the name of the images' role."""
    if watched.role is Role.TEST:
        return EpochRecord(epoch, loss, None, accuracy, seconds)
    return EpochRecord(epoch, loss, accuracy, None, seconds)
