"""Whitened residual networks with shared weights, which the frontier's experiments train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.data.cifar import CIFAR10_MEAN, CIFAR10_STD, CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.models.layers.mirrored import (
    MirroredConv,
    MirroredDepthwise,
    MirroredNorm,
    MirroredWhitening,
)
from cifar_lab.models.layers.normalize import Normalize
from cifar_lab.models.layers.whitening import Whitening


@dataclass(frozen=True)
class Stage:
    """The description of a `SharedStage`.

    Attributes:
        channels: The number of output channels.
        convs: The number of 3x3 convolutions in a pass.
        passes: The number of passes at the stage's first resolution.
        pooled_passes: The number of further passes, each at half the height and width of the one
            before.
        separable: Whether convolutions are depthwise and pointwise instead of full ones.
        mirrored: Whether the stage treats an image and its mirror image alike, with half the
            weights: see `cifar_lab.models.layers.mirrored`. In a network all stages do, or none.
        conv_sets: The number of sets of convolutions: the first pass has the first one, and so on;
            all further passes share the last one.
    """

    channels: int
    convs: int = 2
    passes: int = 1
    pooled_passes: int = 0
    separable: bool = False
    mirrored: bool = False
    conv_sets: int = 1


class SharedStage(nn.Module):
    """A convolution to more channels and max pooling, then residual passes with shared weights.

    Every pass has the same convolutions and separate batch norms. Its depth costs time but few
    parameters (Liao and Poggio 2016, arXiv:1604.03640).

    A mirrored stage's max pooling has windows of 3x3 pixels, two pixels apart: on an odd number of
    columns they lie symmetrically, where windows of 2x2 leave out the last one.

    Args:
        in_channels: The number of input channels.
        stage: Describes the stage.
        fixed: Of a mirrored stage, the number of input channels that stay where the halves change
            places.
    """

    def __init__(self, in_channels: int, stage: Stage, fixed: int = 0) -> None:
        super().__init__()
        channels = stage.channels
        norm = MirroredNorm if stage.mirrored else nn.BatchNorm2d
        self.enter = _conv_of(stage, in_channels, fixed)
        self.enter_norm = norm(channels)
        self.convs = nn.ModuleList(
            _conv_of(stage, channels) for _ in range(stage.convs * stage.conv_sets)
        )
        self.passes = nn.ModuleList(
            nn.ModuleList(norm(channels) for _ in range(stage.convs))
            for _ in range(stage.passes + stage.pooled_passes)
        )
        self.passes_before_pooling = stage.passes
        self.conv_sets = stage.conv_sets
        self.window = 3 if stage.mirrored else 2
        self.activation = nn.GELU()

    def extra_repr(self) -> str:
        """Return the settings that the printed layers don't show."""
        sets = f", conv_sets={self.conv_sets}" if self.conv_sets > 1 else ""
        return f"passes_before_pooling={self.passes_before_pooling}{sets}"

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, in_channels, H, W) to (N, channels, H / 2, W / 2), or smaller."""
        x = self.activation(self.enter_norm(self._pool(self.enter(x))))
        convs = list(self.convs)
        in_set = len(convs) // self.conv_sets
        for number, norms in enumerate(self.passes):
            if number >= self.passes_before_pooling:
                x = self._pool(x)
            first = in_set * min(number, self.conv_sets - 1)
            residual = x
            for conv, norm in zip(convs[first : first + in_set], norms.children(), strict=True):
                residual = self.activation(norm(conv(residual)))
            x = x + residual
        return x

    def _pool(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, self.window, stride=2)


def _conv_of(stage: Stage, in_channels: int, fixed: int = 0) -> nn.Module:
    """Return one of the stage's convolutions; `fixed` is that of `SharedStage`."""
    if not stage.mirrored:
        conv = separable_conv3x3 if stage.separable else conv3x3
        return conv(in_channels, stage.channels)
    if not stage.separable:
        return MirroredConv(in_channels, stage.channels, fixed=fixed)
    return nn.Sequential(
        MirroredDepthwise(in_channels, fixed),
        MirroredConv(in_channels, stage.channels, kernel_size=1, fixed=fixed),
    )


def conv3x3(in_channels: int, out_channels: int) -> nn.Module:
    """Return a 3x3 convolution that at first copies its inputs to its first outputs (dirac)."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[:in_channels])
    return conv


def separable_conv3x3(in_channels: int, out_channels: int) -> nn.Module:
    """Return a depthwise and a pointwise convolution that at first nearly copy their inputs."""
    depthwise = nn.Conv2d(
        in_channels, in_channels, kernel_size=3, padding=1, groups=in_channels, bias=False
    )
    pointwise = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
    with torch.no_grad():
        depthwise.weight.mul_(0.5)
        depthwise.weight[:, :, 1, 1] += 1
        nn.init.dirac_(pointwise.weight[:in_channels])
    return nn.Sequential(depthwise, pointwise)


class WhitenedResNet(nn.Module):
    """Whitening, stages with shared weights, global max pooling, and scaled logits.

    Small logits keep the first predictions undecided, and the steps of the linear layer small.

    The global maximum is `amax`, which shares its gradient among equal maxima. Compiled by
    `torch.compile` in half precision, `amax` gives NaN gradients: code that is fused compares
    numbers before rounding with the maximum after it, finds none equal, and divides by their number
    (PyTorch's issue 186799; seen on the CPU with 2.4.1 and 2.14.1; in fp32 they were right). So a
    network that is compiled in half precision takes `max`, whose gradient goes to one of the equal
    maxima. In fp32 it stays `amax`, also in an exported program.

    Args:
        stages: The stages, in order.
        logit_scale: The factor that the logits are multiplied by.
        num_classes: The number of logits per image.
        mean: The mean of each channel of images in [0, 1].
        std: The standard deviation of each channel of images in [0, 1].

    Raises:
        ValueError: Some stages are mirrored and others are not.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        logit_scale: float = 0.2,
        num_classes: int = 10,
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[float, ...] = CIFAR10_STD,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.mirrored = any(stage.mirrored for stage in stages)
        if any(stage.mirrored != self.mirrored for stage in stages):
            raise ValueError(
                "Some stages are mirrored and others are not; expected all or none, since a plain "
                "stage mixes up the halves. Give each Stage(...) the same mirrored=..."
            )
        self.whitening = MirroredWhitening() if self.mirrored else Whitening(kernel_size=2)
        channels, fixed = self.whitening.out_channels, getattr(self.whitening, "fixed", 0)
        layers: list[nn.Module] = [nn.GELU()]
        for stage in stages:
            layers.append(SharedStage(channels, stage, fixed))
            channels, fixed = stage.channels, 0
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels // (1 + self.mirrored), num_classes, bias=False)
        self.logit_scale = logit_scale

    def extra_repr(self) -> str:
        """Return the settings that the printed layers don't show."""
        return f"logit_scale={self.logit_scale}"

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) in [0, 1] to logits (N, num_classes)."""
        features = global_max(self.features(self.whitening(self.normalize(images))))
        if self.mirrored:
            features = torch.maximum(*features.chunk(2, dim=1))
        return self.logit_scale * self.head(features)


def global_max(features: Tensor) -> Tensor:
    """Map features (N, C, H, W) to each channel's maximum, (N, C); see `WhitenedResNet`."""
    if torch.compiler.is_compiling() and features.dtype != torch.float32:
        return features.flatten(2).max(dim=2).values
    return features.amax(dim=(2, 3))


def frontier_wide(num_classes: int = 10) -> WhitenedResNet:
    """Build the network with fewer parameters than the wide bottleneck ResNet: 119,544."""
    stages = [Stage(32), Stage(64, passes=2, pooled_passes=1)]
    return WhitenedResNet(stages, num_classes=num_classes)


def frontier_wide_mirrored(num_classes: int = 10) -> WhitenedResNet:
    """Build the network with 117,156 parameters, for images and their mirror images alike."""
    second = Stage(72, passes=2, pooled_passes=1, mirrored=True, conv_sets=2)
    return WhitenedResNet([Stage(32, mirrored=True), second], num_classes=num_classes)


def frontier_tiny(num_classes: int = 10) -> WhitenedResNet:
    """Build the network with a tenth of the small bottleneck ResNet's parameters: 3,312."""
    stages = [Stage(32, convs=1, passes=3, pooled_passes=2, separable=True)]
    return WhitenedResNet(stages, num_classes=num_classes)


def frontier_tiny_mirrored(num_classes: int = 10) -> WhitenedResNet:
    """Build the network with 2,634 parameters, for images and their mirror images alike."""
    stages = [Stage(48, convs=1, passes=3, pooled_passes=2, separable=True, mirrored=True)]
    return WhitenedResNet(stages, num_classes=num_classes)


def frontier_94(num_classes: int = 10) -> WhitenedResNet:
    """Build the network for 94 % on CIFAR-10 with under a million parameters: 902,072."""
    stages = [Stage(64), Stage(128), Stage(128)]
    return WhitenedResNet(stages, num_classes=num_classes)


def frontier_100(num_classes: int = 100) -> WhitenedResNet:
    """Build the network for CIFAR-100 with under a million parameters: 914,616, 88 million MACs."""
    stages = [Stage(64), Stage(128, passes=2), Stage(128, passes=2)]
    return WhitenedResNet(stages, num_classes=num_classes, mean=CIFAR100_MEAN, std=CIFAR100_STD)
