"""Muon: momentum whose steps are made orthogonal, which moves a layer in all directions alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ_STEPS = 5
# Of a polynomial that takes singular values from (0, 1] to between about 0.7 and 1.2 in five steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors and all singular values near 1.

    With the singular value decomposition U S V' of the matrix it is about U V', found by a
    Newton-Schulz iteration, which needs matrix products only. Singular values that are less than
    about a thousandth of the matrix's norm stay smaller.

    Args:
        matrix: (M, N); zeros give zeros.

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
    """SGD with Nesterov momentum, with orthogonal steps for convolutions' weights.

    A gradient is mostly made of few directions, and plain steps follow these. An orthogonal step is
    as long in all of them, so what is rare is learnt as fast as what is common. A convolution's
    weights (out, in, height, width) are one matrix here, (out, in x height x width). Each time they
    are also scaled to a norm of the root of `out`, as batch norm behind them makes their scale
    meaningless; so use it for convolutions with a norm behind.

    torch.optim.Muon, from PyTorch 2.9 on, takes matrices only, and leaves their norm to grow.

    Args:
        groups: parameters as for every optimizer. A group with `orthogonal=True` gets orthogonal
            steps (parameters of at least two dimensions), any other those of SGD.
        lr: step size where a group has none of its own; for orthogonal steps the share, about, by
            which a step turns the weights.
        momentum: in [0, 1).

    Raises:
        ValueError: a parameter in an orthogonal group that is no matrix or convolution.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "orthogonal": False})
        for group in self.param_groups:
            if group["orthogonal"] and any(each.ndim < 2 for each in group["params"]):
                raise ValueError("Biases and norms can't be orthogonal; put them in another group.")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the parameters by their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                update = parameter.grad.add(momentum, alpha=group["momentum"])
                if group["orthogonal"]:
                    update = orthogonalize(update.flatten(1)).view_as(update)
                    norm = parameter.norm().clamp(min=1e-7)
                    parameter.mul_(len(parameter) ** 0.5 / norm)
                parameter.sub_(update, alpha=group["lr"])
        return loss
