"""CutMix and MixUp: torchvision's own, drawing from the run's generator.

They mix each image with the one before it in the batch, and their labels in the same proportion, so
a batch must be in random order. One proportion (and one box) is drawn for the whole batch, as in
the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cifar_lab.data.augment.common import check_images, take_plain_numbers


@dataclass(frozen=True)
class _Mix:
    num_classes: int | None = None
    alpha: float = 1.0

    def __post_init__(self) -> None:
        take_plain_numbers(self)
        if self.num_classes is not None and self.num_classes < 2:
            raise ValueError(f"num_classes is {self.num_classes}; expected at least 2.")
        if not 0 < self.alpha < float("inf"):
            raise ValueError(f"alpha is {self.alpha}; expected a number above 0.")

    def _mix(
        self,
        name: Literal["CutMix", "MixUp"],
        images: Tensor,
        labels: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        from torchvision.transforms import v2  # imported late: it takes seconds

        if self.num_classes is None:
            raise ValueError(
                f"{name} has num_classes=None; expected the number of classes. Give num_classes."
            )
        check_images(images)
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels are {labels.dtype} of shape {tuple(labels.shape)}; expected torch.int64, "
                f"({len(images)},): one label per image."
            )
        mix = getattr(v2, name)(alpha=self.alpha, num_classes=self.num_classes)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the CPU's global state
            torch.default_generator.manual_seed(int(seed))
            mixed, soft_labels = mix(images, labels)
        return mixed.contiguous(memory_format=torch.channels_last), soft_labels


@dataclass(frozen=True)
class CutMix(_Mix):
    """CutMix: a box of another image is pasted into each image, and the labels are mixed by area.

    Yun et al., 2019, https://arxiv.org/abs/1905.04899.

    Args:
        num_classes: The number of classes; None, in a recipe, for the number that the images have.
        alpha: The share of the image that is kept is drawn from Beta(alpha, alpha); 1 is uniform.

    Raises:
        ValueError: There are fewer than two classes, or alpha is not above 0. When called: the
            number of classes is None, or the labels are not (N,), int64.
    """

    def __call__(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Map images (N, 3, H, W) and labels (N,) to images and soft labels (N, num_classes)."""
        return self._mix("CutMix", images, labels, generator)


@dataclass(frozen=True)
class MixUp(_Mix):
    """MixUp: each image and its label are averaged with those of another, by a random weight.

    Zhang et al., 2018, https://arxiv.org/abs/1710.09412. Arguments and errors are `CutMix`'s.
    """

    alpha: float = 0.2

    def __call__(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Map images (N, 3, H, W) and labels (N,) to images and soft labels (N, num_classes)."""
        return self._mix("MixUp", images, labels, generator)
