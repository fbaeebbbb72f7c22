"""Muon: SGD with momentum whose steps are orthogonal, so equally long in all directions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ_STEPS = 5
# The polynomial that maps singular values in (0, 1] to about 0.7 to 1.2 in five steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return matrices with the same singular vectors and all singular values near 1.

    With the singular value decomposition U S V' of a matrix the result is about U V'. It is
    computed by a Newton-Schulz iteration, which needs matrix products only. Singular values that
    are less than about a thousandth of the matrix's norm stay smaller.

    Args:
        matrices: A matrix (M, N), or several (K, M, N), which take as many calls as one; a zero
            matrix stays zero.

    Returns:
        Matrices of the same shape.

    Source: Bernstein and Newhouse 2024 (arXiv:2409.20325); the coefficients are Jordan's, 2024
    (https://kellerjordan.github.io/posts/muon/).
    """
    a, b, c = COEFFICIENTS
    x = matrices.reshape(-1, *matrices.shape[-2:])
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    tall = x.size(1) > x.size(2)
    if tall:
        x = x.mT
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).reshape(matrices.shape)


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum and orthogonal steps for convolutions' weights.

    A gradient is mostly made of a few directions, and SGD's steps follow these. An orthogonal step
    is equally long in all directions, so rare features are learnt as fast as common ones. A
    convolution's weights (out, in, height, width) are one matrix here, (out, in x height x width).
    Each step first scales them to a norm of sqrt(out). Use it for convolutions with a batch norm
    after them, which makes the scale of the weights meaningless.

    torch.optim.Muon, from PyTorch 2.9 on, takes matrices only, and lets their norm grow.

    A gradient scaler's overflow is read on the device: the step is made there with a length of
    zero, so that the host never waits to know.

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
        for group in self.param_groups:
            by_device = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_device[parameter.device].append(parameter)
            for device, parameters in by_device.items():
                self._change(parameters, group, device)
        return loss

    def _change(
        self, parameters: list[Tensor], group: dict[str, Any], device: torch.device
    ) -> None:
        """Change parameters by their gradients, together: each call makes a GPU wait for the host.

        Args:
            parameters: Parameters of a group, all with gradients, and on one device.
            group: The group's settings.
            device: The device.
        """
        scale, overflow = (getattr(self, name, None) for name in ("grad_scale", "found_inf"))
        gradients = [each.grad for each in parameters if each.grad is not None]
        momenta = [self._momentum(each) for each in parameters]
        rate, kept = group["lr"], group["momentum"]
        if scale is not None:
            gradients = list(torch._foreach_div(gradients, scale.to(device)))
        if overflow is not None:
            skipped = overflow.to(device) > 0
            zero, one = (torch.full((), value, device=device) for value in (0.0, 1.0))
            gradients = [torch.where(skipped, zero, each) for each in gradients]
            rate, kept = torch.where(skipped, zero, rate), torch.where(skipped, one, kept)
        torch._foreach_mul_(momenta, kept)
        torch._foreach_add_(momenta, gradients)
        updates = list(torch._foreach_add(gradients, momenta, alpha=group["momentum"]))
        if group["orthogonal"]:
            updates = _orthogonal(updates)
            sizes = [len(each) ** 0.5 for each in parameters]
            norms = torch.stack(torch._foreach_div(torch._foreach_norm(parameters), sizes))
            factors = norms.clamp(min=1e-7).reciprocal()
            if overflow is not None:
                factors = torch.where(skipped, one, factors)
            torch._foreach_mul_(parameters, list(factors.unbind()))
        torch._foreach_sub_(parameters, torch._foreach_mul(updates, rate))

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum


def _orthogonal(updates: Sequence[Tensor]) -> list[Tensor]:
    """Return the orthogonal step for each update; those of equal shapes are computed together."""
    matrices = [update.flatten(1) for update in updates]
    places = defaultdict(list)
    for place, matrix in enumerate(matrices):
        places[matrix.shape].append(place)
    steps: dict[int, Tensor] = {}
    for alike in places.values():
        together = orthogonalize(torch.stack([matrices[place] for place in alike]))
        steps |= dict(zip(alike, together.unbind(), strict=True))
    return [steps[place].view_as(update) for place, update in enumerate(updates)]
