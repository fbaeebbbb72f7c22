"""The coursework's networks as the course writes them: a layer after the other, none in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cifar_lab.experiments.catalog import Experiment


def plain_model(experiment: Experiment, num_classes: int) -> nn.Module:
    """The experiment's network in plain layers, in PyTorch's default layout.

    What the library computes at once, in place or in another order is here a layer after the other.
    SmallCIFARNet takes images that are normalised. A network that is not written out here is the
    library's own.
    """
    builders: dict[str, Callable[[int], nn.Module]] = {
        "skeleton": _skeleton,
        "tinynet": _tinynet,
        "convnet": _convnet,
        "resnet-small": _resnet_small,
        "resnet-wide": _resnet_wide,
        "smallcifarnet": _smallcifarnet,
    }
    if isinstance(experiment.model, str) and experiment.model in builders:
        return builders[experiment.model](num_classes)
    return experiment.build_model(num_classes)


def _skeleton(classes: int) -> nn.Module:
    layers = [*_conv_relu(3, 8), *_conv_relu(8, 16), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 16 * 16, classes))


def _convnet(classes: int) -> nn.Module:
    early = [*_conv_relu(3, 32), *_conv_relu(32, 32), nn.MaxPool2d(2)]
    late = [*_conv_relu(32, 64), *_conv_relu(64, 64), *_conv_relu(64, 64), nn.AvgPool2d(2)]
    return nn.Sequential(*early, *late, nn.Flatten(), nn.Linear(64 * 8 * 8, classes))


def _tinynet(classes: int) -> nn.Module:
    layers = [*_conv_relu(3, 32), nn.MaxPool2d(2), *_conv_relu(32, 64), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(64 * 8 * 8, 128), nn.ReLU(), nn.Linear(128, classes)]
    return nn.Sequential(*layers, *head)


def _resnet_small(classes: int) -> nn.Module:
    return _resnet([(3, 8, 16), (16, 8, 16)], [(16, 16, 32), (32, 16, 32), (32, 16, 32)], classes)


def _resnet_wide(classes: int) -> nn.Module:
    late = [(32, 32, 64), (64, 32, 64), (64, 64, 64)]
    return _resnet([(3, 16, 32), (32, 16, 32)], late, classes)


def _smallcifarnet(classes: int) -> nn.Module:
    channels, dropout = (3, 64, 128, 256, 512, 512, 512), (0.05, 0.10, 0.15, 0.20, 0.20, 0.20)
    layers: list[nn.Module] = []
    for number, (inside, outside) in enumerate(pairwise(channels)):
        layers += [
            nn.Conv2d(inside, inside, kernel_size=3, padding=1, groups=inside, bias=False),
            *_conv_norm(inside, outside, kernel_size=1),
            nn.ReLU(),
            nn.Dropout2d(dropout[number]),
        ]
        if number < 3:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def _conv_relu(inside: int, outside: int) -> list[nn.Module]:
    return [nn.Conv2d(inside, outside, kernel_size=3, padding=1), nn.ReLU()]


def _conv_norm(inside: int, outside: int, kernel_size: int) -> list[nn.Module]:
    padding = kernel_size // 2
    conv = nn.Conv2d(inside, outside, kernel_size, padding=padding, bias=False)
    return [conv, nn.BatchNorm2d(outside)]


def _resnet(
    early: Sequence[tuple[int, int, int]], late: Sequence[tuple[int, int, int]], classes: int
) -> nn.Module:
    blocks = [*(_Block(*each) for each in early), nn.MaxPool2d(2)]
    blocks += [*(_Block(*each) for each in late), nn.AdaptiveAvgPool2d(8), nn.Flatten()]
    return nn.Sequential(*blocks, nn.Linear(late[-1][-1] * 8 * 8, classes))


class _Block(nn.Module):
    """A bottleneck block: channels in, inside and out."""

    def __init__(self, inside: int, bottleneck: int, outside: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_conv_norm(inside, bottleneck, kernel_size=1),
            nn.ReLU(),
            *_conv_norm(bottleneck, bottleneck, kernel_size=3),
            nn.ReLU(),
            *_conv_norm(bottleneck, outside, kernel_size=1),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inside != outside:
            self.shortcut = nn.Sequential(*_conv_norm(inside, outside, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))
