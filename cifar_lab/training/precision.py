"""Precision of the forward and backward pass, and what `auto` means on which hardware.

The measurements behind `cpu_precision` are in this room's README.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.models.forward import logits_in
from cifar_lab.models.inspection import untouched
from cifar_lab.models.layout import has_hooks
from cifar_lab.models.wrapping import unwrap
from cifar_lab.utils.console import say

AUTOCAST_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
SLOW = 2.0  # times as long as in fp32: a sign of a convolution without a fast kernel in bf16
CPU_FLAGS = ("amx_bf16", "avx512_bf16", "avx512_f", "bf16")


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision that "auto" means on this device; return any other as it is.

    On a GPU it is the precision of its matrix units: bf16 from compute capability 8.0 on (A100,
    L4), fp16 from 7.0 on (V100, T4, which only emulates bf16), and fp32 on those without any (P100,
    K80). On a CPU it follows from the processor's flags, see `cpu_precision`; elsewhere it is fp32.

    Raises:
        ValueError: The device can't train in the precision.
    """
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(
            f"precision 'fp16' needs a CUDA device, this is {device.type!r}; use 'auto'."
        )
    if precision == "bf16" and device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"precision 'bf16' needs a CPU or CUDA device, this is {device.type!r}; use 'auto'."
        )
    if precision != "auto":
        return precision
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"
    return cpu_precision(cpu_capabilities()) if device.type == "cpu" else "fp32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return a block in which a forward pass computes in the precision."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, AUTOCAST_TYPES[precision])


def cpu_capabilities() -> dict[str, Any]:
    """Return the processor's name and flags, as PyTorch reports them; none in older releases."""
    return dict(getattr(torch.cpu, "get_capabilities", dict)())


def cpu_precision(capabilities: Mapping[str, Any]) -> str:
    """Return the precision in which a CPU trains fastest: "bf16" or "fp32".

    It depends on the arguments alone, so that a run resumes in the precision that it began with.

    - AMX multiplies matrices in bf16 (measured).
    - AVX-512's bf16 instructions do twice as many multiplications as fp32's on AMD's processors,
      but half as many on Intel's, where only AMX is fast (both measured).
    - ARM's bf16 instructions are taken where there are any (not measured).

    Args:
        capabilities: The processor's name and flags, as `torch.cpu.get_capabilities` returns them.
    """
    flags = {name for name, value in capabilities.items() if value is True}
    is_amd = "AMD" in str(capabilities.get("cpu_name", ""))
    is_arm = capabilities.get("architecture") in ("aarch64", "arm64")
    if "amx_bf16" in flags or ("avx512_bf16" in flags and is_amd) or ("bf16" in flags and is_arm):
        return "bf16"
    return "fp32"


def warn_if_slow(model: nn.Module, images: Tensor, precision: str) -> None:
    """Print a line where bf16 takes much longer on the CPU than fp32 would.

    Some releases of PyTorch have no fast bf16 kernel for some convolutions (pytorch issue 183815).

    Args:
        model: The network, which is left as it was. One with hooks is not tried out.
        images: A batch to time it on, on the model's device.
        precision: The precision of the run.
    """
    if precision != "bf16" or images.device.type != "cpu" or has_hooks(model):
        return
    try:
        times = {name: _pass_seconds(model, images, name) for name in ("fp32", "bf16")}
    except Exception:  # training will raise it
        return
    if times["bf16"] > SLOW * times["fp32"]:
        say(
            f"{type(unwrap(model)).__name__} takes {times['bf16'] / times['fp32']:.1f} times as "
            'long in bf16 as in fp32 on this CPU: set precision="fp32" in the recipe.'
        )


def _pass_seconds(model: nn.Module, images: Tensor, precision: str) -> float:
    """Return the CPU seconds of a forward and backward pass, the faster of two."""
    parameters = [each for each in model.parameters() if each.requires_grad]
    seconds = []
    for _ in range(2):
        with untouched(model):
            model.train()
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = logits_in(model(images.clone()))[0].float().square().mean()
            torch.autograd.grad(loss, parameters, allow_unused=True)
            seconds.append(time.process_time() - start)
    return min(seconds)
