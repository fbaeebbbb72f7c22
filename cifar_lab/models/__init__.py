"""The coursework's networks, one file a family, and a registry by name.

Every model takes images (N, 3, 32, 32) in [0, 1] and returns logits (N, num_classes).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cifar_lab.models.convnet import ConvNet, SkeletonConvNet, TinyNet
from cifar_lab.models.layers.blocks import SqueezeExcitation
from cifar_lab.models.layers.normalize import Normalize
from cifar_lab.models.layers.whitening import Whitening
from cifar_lab.models.mbconv import MBConvBlock, MBConvNet
from cifar_lab.models.mlp import SimpleMLP
from cifar_lab.models.resnet import BottleneckResBlock, BottleneckResNet, resnet_small, resnet_wide
from cifar_lab.models.separable import DSConvBlock, SmallCIFARNet
from cifar_lab.models.whitened import (
    SharedStage,
    Stage,
    WhitenedResNet,
    frontier_94,
    frontier_100,
    frontier_tiny,
    frontier_wide,
)
from cifar_lab.models.wide_resnet import WideBlock, WideResNet
from cifar_lab.utils.errors import unknown_name

__all__ = [
    "MODELS",
    "BottleneckResBlock",
    "BottleneckResNet",
    "ConvNet",
    "DSConvBlock",
    "MBConvBlock",
    "MBConvNet",
    "Normalize",
    "SharedStage",
    "SimpleMLP",
    "SkeletonConvNet",
    "SmallCIFARNet",
    "SqueezeExcitation",
    "Stage",
    "TinyNet",
    "WhitenedResNet",
    "Whitening",
    "WideBlock",
    "WideResNet",
    "build_model",
    "frontier_100",
    "frontier_94",
    "frontier_tiny",
    "frontier_wide",
    "resnet_small",
    "resnet_wide",
]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": SimpleMLP,
    "skeleton": SkeletonConvNet,
    "convnet": ConvNet,
    "resnet-small": resnet_small,
    "resnet-wide": resnet_wide,
    "tinynet": TinyNet,
    "smallcifarnet": SmallCIFARNet,
    "frontier-wide": frontier_wide,
    "frontier-tiny": frontier_tiny,
    "frontier-94": frontier_94,
    "frontier-100": frontier_100,
}


def build_model(name: str, num_classes: int = 10) -> nn.Module:
    """A new model by its registered name, with PyTorch's default initialisation or its family's.

    Raises:
        ValueError: an unknown name (the message offers the nearest), or fewer than two classes.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; a classifier needs at least 2.")
    return MODELS[name](num_classes=num_classes)
