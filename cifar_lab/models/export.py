"""A network as a `torch.export` program, which can be evaluated without the network's code."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.models.inspection import evaluation_mode, untouched
from cifar_lab.models.wrapping import unwrap, unwrapped_parts

TRIED_COUNTS = (1, 3)  # numbers of images to try a program on; it is traced with 2


def export_program(model: nn.Module, image_size: int = 32) -> bytes:
    """Return the bytes of a program that computes the network in eval mode on the CPU.

    The program takes any number of images. The network may have any wrapper, mode and device; it is
    left as it was.

    Args:
        model: Takes images (N, 3, image_size, image_size).
        image_size: Height and width of the images, in pixels.

    Raises:
        Exception: PyTorch can't export the network; the kind of error is its own.
    """
    model = unwrap(model)
    with ExitStack() as conditions:
        conditions.enter_context(torch.inference_mode(False))
        conditions.enter_context(torch.enable_grad())  # so that the program has gradients
        conditions.enter_context(_silence())
        for condition in (unwrapped_parts, untouched, evaluation_mode, _on_the_cpu, _interpreted):
            conditions.enter_context(condition(model))
        try:
            with _one_argument(model):
                return _program(model, image_size, strict=False)
        except Exception as error:  # torch.export raises almost anything
            first = error
        try:  # `len(images)` in a forward is a plain number unless Python's bytecode is read
            torch.compiler.reset()  # PyTorch 2.4 can't read a network after compiling another one
            with _one_argument(model, forgetting=False):
                return _program(model, image_size, strict=True)
        except Exception:
            raise first from None


def _program(model: nn.Module, image_size: int, *, strict: bool) -> bytes:
    """Return the program's bytes, after loading it again and trying other numbers of images."""
    images = torch.zeros(2, 3, image_size, image_size)
    batch = torch.export.Dim("batch", min=1)
    file = io.BytesIO()
    program = torch.export.export(model, (images,), dynamic_shapes=({0: batch},), strict=strict)
    torch.export.save(program, file)
    loaded = torch.export.load(io.BytesIO(file.getvalue())).module()
    with torch.no_grad():
        for count in TRIED_COUNTS:
            outputs = loaded(torch.zeros(count, 3, image_size, image_size))
            if isinstance(outputs, Tensor) and len(outputs) != count:
                raise ValueError(
                    f"for {count} images the program gives {len(outputs)} outputs; expected one "
                    "per image"
                )
    return file.getvalue()


@contextmanager
def _silence() -> Iterator[None]:
    """Silence torch, which prints pages about an attempt that fails."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


@contextmanager
def _on_the_cpu(model: nn.Module) -> Iterator[None]:
    """Move parameters and buffers to the CPU, and back to the same memory at the end."""
    tensors = [*model.parameters(), *model.buffers()]
    elsewhere = [(one, one.data) for one in tensors if one.device.type != "cpu"]
    try:
        for tensor, data in elsewhere:
            tensor.data = data.cpu()
        yield
    finally:
        for tensor, data in elsewhere:
            tensor.data = data


@contextmanager
def _interpreted(model: nn.Module) -> Iterator[None]:
    """Undo `module.compile()` for the block, so that the network's own forward passes run."""
    compiled = {
        module: call
        for module in model.modules()
        if (call := getattr(module, "_compiled_call_impl", None)) is not None
    }
    try:
        for module in compiled:
            module._compiled_call_impl = None
        yield
    finally:
        for module, call in compiled.items():
            module._compiled_call_impl = call


@contextmanager
def _one_argument(model: nn.Module, *, forgetting: bool = True) -> Iterator[None]:
    """Give the network a forward pass with the single argument `images`, for the block.

    Args:
        model: The network, whose own forward pass may name its arguments in any way.
        forgetting: Whether the forward pass also drops tensors that it stored (`self.last = x`),
            which some releases of torch refuse to export.
    """
    own, original = model.__dict__.get("forward"), model.forward
    parts = list(model.modules())

    def forward(images: Tensor) -> Any:
        return original(images)

    def forward_and_forget(images: Tensor) -> Any:
        before = [dict(part.__dict__) for part in parts]
        outputs = original(images)
        for part, attributes in zip(parts, before, strict=True):
            part.__dict__.clear()
            part.__dict__.update(attributes)
        return outputs

    try:
        model.forward = forward_and_forget if forgetting else forward
        yield
    finally:
        del model.__dict__["forward"]
        if own is not None:
            model.__dict__["forward"] = own
