"""All networks that a student is given: the library's, and those of the notebooks.

A network that a notebook builds and trains by itself belongs here; else it counts as the student's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from cifar_lab.models import MODELS
from cifar_lab.models.layers.blocks import SqueezeExcitation
from cifar_lab.models.mbconv import MBConvBlock, MBConvNet
from cifar_lab.models.whitened import Stage, WhitenedResNet, frontier_wide
from cifar_lab.models.wide_resnet import WideResNet


def handed_out() -> dict[str, Callable[..., nn.Module]]:
    """Return their builders, which take `num_classes`, by the names to tell them."""
    stages = {
        "the two stages of notebook 03": [Stage(32), Stage(64)],
        "separable convolutions of notebook 03": [
            Stage(64, passes=2, separable=True),
            Stage(160, passes=2, pooled_passes=1, separable=True),
        ],
        "24 channels of notebook 04": _scaled(24),
        "40 channels of notebook 04": _scaled(40),
        "single passes of notebook 04": [Stage(24), Stage(48), Stage(48)],
    }
    return {
        **MODELS,
        "averaged_convnet of notebook 01": averaged_convnet,
        "squeeze-and-excitation of notebook 03": gated,
        "inverted bottleneck of notebook 03": inverted,
        "wide residual of notebook 04": partial(WideResNet, 32, [(48, 3), (80, 3), (112, 2)]),
        "inverted bottlenecks of notebook 04": partial(MBConvNet, 24, [(24, 3), (48, 4), (96, 5)]),
        **{name: partial(WhitenedResNet, each) for name, each in stages.items()},
    }


def _scaled(channels: int) -> list[Stage]:
    return [Stage(channels), Stage(2 * channels, passes=2), Stage(2 * channels, passes=2)]


def averaged_convnet(num_classes: int = 10) -> nn.Module:
    """Build three convolutions, an average over all places, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, num_classes),
    )


def gated(num_classes: int = 10) -> nn.Module:
    """Build the frontier's wide network with gates on channels behind each stage."""
    model = frontier_wide(num_classes)
    activation, first, second = model.features
    gates = SqueezeExcitation(32), SqueezeExcitation(64)
    model.features = nn.Sequential(activation, first, gates[0], second, gates[1])
    return model


def inverted(num_classes: int = 10) -> nn.Module:
    """Build a stage, the entrance of a second one, and an inverted bottleneck."""
    model = WhitenedResNet((Stage(32), Stage(64, convs=0, passes=0)), num_classes=num_classes)
    model.features.append(MBConvBlock(64, 64))
    return model
