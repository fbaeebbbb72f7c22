"""Muon: SGD with momentum whose steps are orthogonal, so equally long in all directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ_STEPS = 5
# The polynomial that maps singular values in (0, 1] to about 0.7 to 1.2 in five steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors and all singular values near 1.

    With the singular value decomposition U S V' of the matrix the result is about U V'. It is
    computed by a Newton-Schulz iteration, which needs matrix products only. Singular values that
    are less than about a thousandth of the matrix's norm stay smaller.

    Args:
        matrix: The matrix (M, N); a zero matrix stays zero.

    Source: Bernstein and Newhouse 2024 (arXiv:2409.20325); the coefficients are Jordan's, 2024
    (https://kellerjordan.github.io/posts/muon/).
    """
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum and orthogonal steps for convolutions' weights.

    A gradient is mostly made of a few directions, and SGD's steps follow these. An orthogonal step
    is equally long in all directions, so rare features are learnt as fast as common ones. A
    convolution's weights (out, in, height, width) are one matrix here, (out, in x height x width).
    Each step first scales them to a norm of sqrt(out). Use it for convolutions with a batch norm
    after them, which makes the scale of the weights meaningless.

    torch.optim.Muon, from PyTorch 2.9 on, takes matrices only, and lets their norm grow.

    A gradient scaler's overflow is read on the device: the step is made, and undone there, so that
    the host never waits to know.

    Args:
        groups: The parameters, as for every optimizer. A group with `orthogonal=True` gets
            orthogonal steps (for parameters of at least two dimensions), any other SGD's.
        lr: The step size of groups that don't set theirs. For orthogonal steps it is about the
            share by which a step rotates the weights.
        momentum: The momentum, in [0, 1).

    Raises:
        ValueError: A parameter in an orthogonal group is neither a matrix nor a convolution's.
    """

    _step_supports_amp_scaling = True  # a scaler then sets `grad_scale` and `found_inf` for a step

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "orthogonal": False})
        for group in self.param_groups:
            if group["orthogonal"] and any(each.ndim < 2 for each in group["params"]):
                raise ValueError(
                    "An orthogonal group holds a parameter of one dimension, such as a bias; "
                    "expected weights of convolutions and linear layers. Put it into another group."
                )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the parameters by their gradients, and return the closure's loss, if any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        scale, overflow = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        skipped = None if overflow is None else overflow > 0
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                gradient = parameter.grad if scale is None else parameter.grad / scale
                changed = (parameter, state["momentum"])
                before = [each.clone() for each in changed] if skipped is not None else []
                _step(*changed, gradient, group)
                if skipped is not None:
                    for new, old in zip(changed, before, strict=True):
                        torch.where(skipped, old, new, out=new)
        return loss


def _step(parameter: Tensor, momentum: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
    """Change a parameter and its momentum by a gradient, with the settings of its group."""
    momentum.mul_(group["momentum"]).add_(gradient)
    update = gradient.add(momentum, alpha=group["momentum"])
    if group["orthogonal"]:
        update = orthogonalize(update.flatten(1)).view_as(update)
        norm = parameter.norm().clamp(min=1e-7)
        parameter.mul_(len(parameter) ** 0.5 / norm)
    parameter.sub_(update, alpha=group["lr"])
