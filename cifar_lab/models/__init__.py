"""The coursework's networks, one file per family, and `build_model`, which builds one by its name.

Every model takes images (N, 3, 32, 32) in [0, 1] and returns logits (N, num_classes).

- `mlp`, `convnet`, `resnet`: Assignment A's networks.
- `separable`, `wide_resnet`, `mbconv`: Assignment B's networks.
- `whitened`: The frontier's networks.
- `layers`: Layers that several families share.
- `counting`: Parameters, multiplications and training operations of a model.
- `forward`, `inspection`, `layout`, `holdings`: A forward pass of any network, its memory layout,
  and trials that leave no trace. `wrapping`: The network inside a wrapper.
- `custom`: Classes and functions that build a network, as experiments take them.
- `structure`, `operations`, `handed_out`: What a network computes, whatever its names, and the
  networks that students are given.
- `export`: A network as a `torch.export` program. `former`: Names in files of earlier versions.

A new family is a new file, and a row for each of its networks in `MODELS`.
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
    frontier_tiny_mirrored,
    frontier_wide,
    frontier_wide_mirrored,
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
    "frontier_tiny_mirrored",
    "frontier_wide",
    "frontier_wide_mirrored",
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
    "frontier-wide-mirrored": frontier_wide_mirrored,
    "frontier-tiny": frontier_tiny,
    "frontier-tiny-mirrored": frontier_tiny_mirrored,
    "frontier-94": frontier_94,
    "frontier-100": frontier_100,
}


def build_model(name: str, num_classes: int = 10) -> nn.Module:
    """Build a new model by its name, with PyTorch's default initialisation or its family's.

    Args:
        name: One of the names in `MODELS`, such as "mlp", "convnet" or "resnet-small".
        num_classes: The number of logits per image.

    Raises:
        ValueError: The name is unknown (the message suggests the nearest), or there are fewer than
            two classes.

    Example:
        >>> import cifar_lab as lab
        >>> model = lab.build_model("convnet", num_classes=10)
        >>> data = lab.load("synthetic")
        >>> model(lab.to_unit_interval(data.train.images[:5])).shape
        torch.Size([5, 10])
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    if num_classes < 2:
        raise ValueError(
            f"num_classes is {num_classes}; expected at least 2. Give the data's number of classes."
        )
    return MODELS[name](num_classes=num_classes)
