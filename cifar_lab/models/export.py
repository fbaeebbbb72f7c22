"""A network as a `torch.export` program: it can be evaluated without the code it was written in."""

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

TRIED_COUNTS = (1, 3)  # numbers of images that a program has to take, besides the 2 of its making


def export_program(model: nn.Module, image_size: int = 32) -> bytes:
    """The network in eval mode, on the CPU, as a program for any number of images, as a file.

    Whatever wrapper, mode, device and gradients the model has; they are the same afterwards.

    Args:
        model: Takes images (N, 3, image_size, image_size).
        image_size: Height and width of the images, in pixels.

    Raises:
        Exception: whatever torch.export raises for a network that it can't trace.
    """
    model = unwrap(model)
    with ExitStack() as conditions:
        conditions.enter_context(torch.inference_mode(False))
        conditions.enter_context(torch.enable_grad())  # the program is to have gradients
        conditions.enter_context(_silence())
        for condition in (unwrapped_parts, untouched, evaluation_mode, _on_the_cpu, _interpreted):
            conditions.enter_context(condition(model))
        try:
            with _one_argument(model):
                return _program(model, image_size, strict=False)
        except Exception as error:  # torch.export raises almost anything
            first = error
        try:  # `len(images)` in a forward is a plain number unless Python's bytecode is read
            with _one_argument(model, forgetting=False):
                return _program(model, image_size, strict=True)
        except Exception:
            raise first from None


def _program(model: nn.Module, image_size: int, *, strict: bool) -> bytes:
    """The program, written and read back, and run with other numbers of images."""
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
                raise ValueError(f"for {count} images the program gives {len(outputs)} outputs")
    return file.getvalue()


@contextmanager
def _silence() -> Iterator[None]:
    """Without what torch has to say: of an attempt that fails it shows pages."""
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
    """Parameters and buffers on the CPU; afterwards the very memory that they were in."""
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
    """Without what `module.compile()` put in the place of the forward passes."""
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
    """A forward pass of images alone, by whatever names and stars the network's own has them.

    Args:
        model: the network.
        forgetting: it also drops the tensors that it kept (`self.last = x`), which releases of
            torch refuse to export.
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
