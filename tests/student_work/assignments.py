"""The networks that the assignments hand out, with `view`, written as the assignments write them.

Their layers stand in the order of the library's models, so a state can be copied by its order.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from cifar_lab.models import build_model


class SimpleMLP(nn.Module):
    def __init__(self, input_dim: int = 3072, hidden_dim: int = 100, num_classes: int = 10) -> None:
        super().__init__()
        self.fc1 = nn.Linear(input_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(x.size(0), -1)
        return self.fc2(F.relu(self.fc1(x)))


class Skeleton(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(16 * 16 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        batch_size = x.size(0)
        x = F.relu(self.conv1(x))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(batch_size, -1)
        return self.fc(x)


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv4 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv5 = nn.Conv2d(64, 64, 3, padding=1)
        self.max_pool = nn.MaxPool2d(2)
        self.average_pool = nn.AvgPool2d(2)
        self.fc = nn.Linear(64 * 8 * 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        batch_size = x.size(0)
        x = F.relu(self.conv1(x))
        x = self.max_pool(F.relu(self.conv2(x)))
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = self.average_pool(F.relu(self.conv5(x)))
        x = x.view(batch_size, -1)
        return self.fc(x)


class BottleneckResBlock(nn.Module):
    def __init__(self, in_channels: int, bottleneck_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, bottleneck_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(bottleneck_channels)
        self.conv2 = nn.Conv2d(bottleneck_channels, bottleneck_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(bottleneck_channels)
        self.conv3 = nn.Conv2d(bottleneck_channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.shortcut(x)
        return F.relu(out)


class BottleneckResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1 = BottleneckResBlock(3, 8, 16)
        self.block2 = BottleneckResBlock(16, 8, 16)
        self.pool = nn.MaxPool2d(2)
        self.block3 = BottleneckResBlock(16, 16, 32)
        self.block4 = BottleneckResBlock(32, 16, 32)
        self.block5 = BottleneckResBlock(32, 16, 32)
        self.average_pool = nn.AdaptiveAvgPool2d(8)
        self.fc = nn.Linear(32 * 8 * 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        batch_size = x.size(0)
        x = self.pool(self.block2(self.block1(x)))
        x = self.average_pool(self.block5(self.block4(self.block3(x))))
        x = x.view(batch_size, -1)
        return self.fc(x)


class TinyNet(nn.Module):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(64 * 8 * 8, 128)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)


ASSIGNMENTS: dict[str, Callable[[], nn.Module]] = {
    "cifar10-mlp": SimpleMLP,
    "cifar10-skeleton": Skeleton,
    "cifar10-convnet": ConvNet,
    "cifar10-resnet-small": BottleneckResNet,
    "cifar100-tinynet": TinyNet,
}
"""By the name of the library's experiment."""


def with_the_weights_of(library_model: str, student: Callable[[], nn.Module]) -> nn.Module:
    """The student's network with the initial weights of the library's, built at this moment."""
    weights = build_model(library_model, num_classes=10).state_dict()
    network = student()
    names = network.state_dict().keys()
    network.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    return network
