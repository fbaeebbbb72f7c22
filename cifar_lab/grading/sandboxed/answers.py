"""Made-up answers to test images, so that accuracy and loss take a course of our choice.

Two runs whose weights are compared show whether the test set has a say in training. In one, each
new state of the weights does better on test images than the one before; in the other it does worse,
whatever the network has learnt. Choices by test images (the best epoch, when to stop, the learning
rate) then come out differently.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from .marks import Marks

RISING, FALLING_FROM_THE_TOP, FALLING = 0, 1, 2  # variants
# Shares of right answers: a notebook that shows its network's mistakes has to find some.
LOWEST_SHARE, SHARE_RANGE = 0.35, 0.31
# In variant 1 a training begins with nearly all right: a rule to stop at some accuracy stops it.
TOP, LATER_TOP = 2.03, 1.77  # as heights: 98 and 90 % right


def height(variant: int, phase: int, training: int) -> float:
    """Return how well the network does: from 0 to 1, and more where nearly all is right.

    It rises with the phase and with the training, at first so steeply that few images show it. A
    falling course is the rising one turned over: every comparison comes out the other way.

    Args:
        variant: Course of the answers.
        phase: Number of states of this training's weights that saw test images before this one.
        training: Number of trainings that came before.
    """
    later = training / (training + 1)
    if variant == FALLING_FROM_THE_TOP and phase == 0:
        return TOP + (LATER_TOP - TOP) * later
    since = 0.7 * (phase > 0) + 0.3 * phase / (phase + 8)
    rising = 0.65 * since + 0.35 * later
    return rising if variant == RISING else 1 - rising


class Course:
    """The quality of each state of the weights.

    Args:
        num_classes: Number of classes.
        variant: Course of the answers: `RISING`, `FALLING_FROM_THE_TOP` or `FALLING`.
    """

    def __init__(self, num_classes: int, variant: int) -> None:
        self.num_classes, self.variant = num_classes, variant
        self._heights: dict[str, float] = {}
        self._phases: dict[int, int] = {}

    def answer(self, outputs: Any, marks: Marks, weights: str, training: int) -> Any:
        """Return made-up outputs; the outputs themselves if they are no answers.

        It depends on the weights and each image alone, and not on what was asked before.

        Args:
            outputs: Tensor with a number for each image and class, or a tuple that begins so.
            marks: Marks of the images.
            weights: Text that differs for other weights.
            training: Number of trainings that came before.
        """
        if isinstance(outputs, tuple | list) and outputs:
            first = self.answer(outputs[0], marks, weights, training)
            if first is outputs[0]:
                return outputs
            rest = [first, *outputs[1:]]
            return type(outputs)(*rest) if hasattr(outputs, "_fields") else type(outputs)(rest)
        if not self._are_answers(outputs, len(marks.found)):
            return outputs
        made_up = self._made_up(outputs, marks, self._height(weights, training))
        with_gradients = torch.is_grad_enabled() and outputs.requires_grad
        return _InPlaceOf.apply(outputs, made_up) if with_gradients else made_up

    def _are_answers(self, outputs: Any, images: int) -> bool:
        return (
            torch.is_tensor(outputs)
            and not isinstance(outputs, FakeTensor)  # inside an export by PyTorch 2.4
            and outputs.is_floating_point()
            and outputs.shape[:2] == (images, self.num_classes)
            and outputs.numel() == images * self.num_classes  # (N, C), or (N, C, 1, 1)
        )

    def _height(self, weights: str, training: int) -> float:
        if weights not in self._heights:
            phase = self._phases.get(training, 0)
            self._phases[training] = phase + 1
            self._heights[weights] = height(self.variant, phase, training)
        return self._heights[weights]

    @torch.no_grad()
    def _made_up(self, outputs: Tensor, marks: Marks, height: float) -> Tensor:
        """Return an answer for each image: one class stands out, the right one or the next.

        Right answers are the surer the better the network does, wrong ones the less sure, so that
        the loss falls where the number of right answers can't rise.
        """
        own = outputs.detach().float().flatten(1)
        is_right = marks.ranks < LOWEST_SHARE + SHARE_RANGE * height
        answers = (marks.labels + ~is_right) % self.num_classes
        margins = torch.where(
            is_right, self._margin(0.6 + 0.15 * height), self._margin(0.75 - 0.15 * height)
        )
        logits = torch.zeros_like(own).scatter_(1, answers[:, None], margins[:, None])
        scaled = _as_scaled(logits, own)
        return torch.where(marks.found[:, None], scaled, own).to(outputs.dtype).view(outputs.shape)

    def _margin(self, share: float) -> float:
        """Return the logit above zeros whose softmax is the share."""
        return math.log(share * (self.num_classes - 1) / (1 - share))


def _as_scaled(logits: Tensor, own: Tensor) -> Tensor:
    """Return the logits as probabilities or their logarithms if the network gives those."""
    lowest, highest = float(own.min()), float(own.max())
    add_up = lowest >= 0 and float((own.sum(dim=1) - 1).abs().max()) < 1e-2
    if add_up or 0 < lowest <= highest <= 1:  # softmax, or a sigmoid for each class
        return logits.softmax(dim=1)
    if highest <= 1e-2 and float(own.logsumexp(dim=1).abs().max()) < 1e-2:
        return logits.log_softmax(dim=1)
    return logits


class _InPlaceOf(torch.autograd.Function):
    """The second tensor's values, with gradients that go to the first one."""

    @staticmethod
    def forward(context: Any, outputs: Tensor, values: Tensor) -> Tensor:
        return values

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
