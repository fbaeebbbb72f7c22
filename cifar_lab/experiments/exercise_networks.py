"""Trials of a network that a student wrote: is it finished, does it work, can it overfit?"""

from __future__ import annotations

import ast
import copy
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.data.image_set import ImageSet, to_unit_interval
from cifar_lab.models.counting import count_parameters
from cifar_lab.models.forward import are_probabilities, logits_in
from cifar_lab.models.inspection import IMAGE_SHAPE, evaluation_mode, untouched
from cifar_lab.models.structure import library_network_like
from cifar_lab.utils.seeding import random_state_kept

GRADIENT_STEPS = 3  # a branch that starts at zero gets its first gradient after a step
OVERFIT_RATES = (3e-3, 1e-3)  # Adam's; the second for a deep network, which the first may stall
OVERFIT_STEPS = 300


def build_network(build: Any) -> nn.Module:
    """Return the network that a class or function builds; a network becomes a copy of itself."""
    model = copy.deepcopy(build) if isinstance(build, nn.Module) else build()
    if not isinstance(model, nn.Module):
        raise TypeError(f"this builds a {type(model).__name__}; expected a torch.nn.Module")
    return model


def has_gap(answer: Any) -> bool:
    """Return whether `...` is left in an answer: in its value, its code or the network it builds.

    In code, nbgrader's placeholder `raise NotImplementedError()` counts too.

    Args:
        answer: A value, a list, tuple or dict of answers, a function, or a class or function
            that builds a network. `...` as an index, such as `x[..., 0]`, is none to fill in.
    """
    if answer is None or answer is ...:
        return True
    if isinstance(answer, dict):
        return any(map(has_gap, answer.values()))
    if isinstance(answer, list | tuple):
        return any(map(has_gap, answer))
    if inspect.isfunction(answer) and _gap_in_code(answer):
        return True
    if isinstance(answer, nn.Module) or (callable(answer) and not _needs_arguments(answer)):
        return _gap_in_network(answer)
    return False


def _needs_arguments(build: Callable[..., Any]) -> bool:
    try:
        inspect.signature(build).bind()
    except (TypeError, ValueError):  # ValueError: it has no signature
        return True
    return False


def _gap_in_network(build: Any) -> bool:
    try:
        with random_state_kept():
            model = build_network(build)
            if any(each is ... for module in model.modules() for each in vars(module).values()):
                return True
            outputs = _outputs(model, torch.rand(2, *IMAGE_SHAPE))
        return outputs is None or outputs is ...
    except NotImplementedError:
        return True
    except Exception as error:  # a mistake, unless `...` is its cause
        return "ellipsis" in str(error).lower() or any(map(_gap_in_code, _functions_of(build)))


def _functions_of(build: Any) -> list[Any]:
    """Return the methods that the student wrote: PyTorch's own classes are left out."""
    cls = build if inspect.isclass(build) else type(build)
    own = [
        each for each in cls.__mro__ if each.__module__.split(".")[0] not in ("torch", "builtins")
    ]
    return [each for one in own for each in vars(one).values() if inspect.isfunction(each)]


def _gap_in_code(function: Any) -> bool:
    """Return whether a function's code has nbgrader's `raise NotImplementedError()`, or a `...`.

    A `...` that is part of an index is none.
    """
    try:
        if function.__code__.co_filename == "<string>":  # Python 3.13 shows that of `python -c`
            raise OSError("no source")
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):  # no source, or a lambda in the midst of an expression
        return ... in function.__code__.co_consts
    if any(isinstance(node, ast.Raise) and _is_placeholder(node) for node in ast.walk(tree)):
        return True
    indices = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    allowed = {inner for index in indices for inner in ast.walk(index)}
    return any(
        isinstance(node, ast.Constant) and node.value is ... and node not in allowed
        for node in ast.walk(tree)
    )


def _is_placeholder(node: ast.Raise) -> bool:
    """Return whether it raises a bare NotImplementedError; a refusal would say what is refused."""
    text = "" if node.exc is None else ast.unparse(node.exc)
    return text in ("NotImplementedError", "NotImplementedError()")


def _outputs(model: nn.Module, images: Tensor) -> Any:
    with evaluation_mode(model), torch.no_grad():
        return model(images)


def first_problem(model: nn.Module, num_classes: int, fewer_than: int | None) -> str | None:
    """Return what is wrong with a network, the first thing found; None where nothing is."""
    problems: list[Callable[[], str | None]] = [
        partial(_problem_of_outputs, model, num_classes),
        partial(_problem_of_size, model, fewer_than),
        partial(_problem_of_last_layer, model),
        partial(_problem_of_gradients, model),
        partial(_problem_of_structure, model),
    ]
    with untouched(model):
        return next((problem for look in problems if (problem := look())), None)


def _problem_of_outputs(model: nn.Module, num_classes: int) -> str | None:
    for count in (2, 1, 5):
        images = torch.rand(count, *IMAGE_SHAPE)
        try:
            outputs = _outputs(model, images)
        except Exception as error:
            return (
                f"it fails on images {tuple(images.shape)}: {first_line(error)}. Compare the "
                "size that each layer gives with the size that the next one expects."
            )
        logits = logits_in(outputs)[0]
        if not torch.is_tensor(logits) or tuple(logits.shape) != (count, num_classes):
            seen = tuple(logits.shape) if torch.is_tensor(logits) else f"a {type(logits).__name__}"
            return (
                f"it maps {count} images to {seen}; expected ({count}, {num_classes}), one logit "
                "for each class of each image."
            )
    return None


def _problem_of_size(model: nn.Module, fewer_than: int | None) -> str | None:
    parameters = count_parameters(model)
    if parameters == 0:
        return "it has no parameters; expected layers that learn, such as nn.Conv2d."
    if fewer_than is not None and parameters >= fewer_than:
        return (
            f"it has {parameters:,} parameters; expected fewer than {fewer_than:,}. Which layer "
            "has most of them? More pooling before it, or fewer channels, makes it smaller."
        )
    return None


def _problem_of_last_layer(model: nn.Module) -> str | None:
    logits = logits_in(_outputs(model, torch.rand(16, *IMAGE_SHAPE)))[0].double()
    if logits.min() < 0:
        return None
    if are_probabilities(logits):
        return (
            "it ends in a softmax; expected logits, since the cross-entropy has the softmax "
            "inside. Leave the last one out."
        )
    if (logits == 0).any():
        return "it ends in a ReLU; expected logits, which may be negative. Leave the last one out."
    return None


def _problem_of_gradients(model: nn.Module) -> str | None:
    waiting = {name: each for name, each in model.named_parameters() if each.requires_grad}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(GRADIENT_STEPS):
        try:
            logits = logits_in(model(torch.rand(8, *IMAGE_SHAPE)))[0]
            optimizer.zero_grad()
            functional.cross_entropy(logits, torch.arange(8) % logits.shape[1]).backward()
        except Exception as error:
            return f"a training step fails: {first_line(error)}."
        waiting = {name: each for name, each in waiting.items() if not _is_reached(each)}
        optimizer.step()
    if waiting:
        return (
            f"no gradient reaches {', '.join(list(waiting)[:3])}; expected one for each "
            "parameter. Does forward use every layer?"
        )
    return None


def _is_reached(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool((parameter.grad != 0).any())


def _problem_of_structure(model: nn.Module) -> str | None:
    like = library_network_like(model)
    if like is None:
        return None
    return f"it is built like {like}, which you were given. Change it: channels, depth, pooling."


def lowest_loss(build: Any, images: ImageSet, goal: float) -> tuple[float, int]:
    """Train a new network on a few images, at most until the loss is below the goal.

    Returns:
        The lowest cross-entropy and the number of steps of that training.
    """
    inputs = to_unit_interval(images.images.cpu().contiguous())
    labels = images.labels.cpu()
    lowest = (math.inf, 0)
    with random_state_kept():
        for rate in OVERFIT_RATES:
            torch.manual_seed(0)
            model = build_network(build)
            _outputs(model, inputs)  # lazy layers take their sizes
            for step, loss in enumerate(_losses(model, inputs, labels, rate), start=1):
                lowest = min(lowest, (loss, step))
                if loss < goal:
                    return lowest
    return lowest


def _losses(model: nn.Module, images: Tensor, labels: Tensor, rate: float) -> Iterator[float]:
    """Yield the loss after each step of training, measured in eval mode every 20 steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    for step in range(OVERFIT_STEPS):
        loss = functional.cross_entropy(logits_in(model(images))[0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()
        if step % 20 == 19:  # without dropout
            logits = logits_in(_outputs(model, images))[0]
            yield functional.cross_entropy(logits, labels).item()


def output_shapes(model: nn.Module, images: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each submodule's output for one image, by the submodule's name."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, module: nn.Module, inputs: Any, outputs: Any) -> None:
        if torch.is_tensor(outputs):
            shapes[name] = tuple(outputs.shape[1:])

    handles = [
        module.register_forward_hook(partial(note, name))
        for name, module in model.named_modules()
        if name
    ]
    try:
        _outputs(model, torch.zeros(1, *images))
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, without a full stop at its end."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
