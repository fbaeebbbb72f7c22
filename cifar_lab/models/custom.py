"""Custom networks: classes and functions that build one, as experiments and variants take them."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def refuse_built(model: object, setting: str = "model") -> None:
    """Raise for a network where what builds it is expected: each run needs new weights.

    Args:
        model: A name of the registry, or a class or function that builds a network.
        setting: The name under which it was given.

    Raises:
        TypeError: It is a network, or can't build one.
    """
    if isinstance(model, nn.Module):
        name = type(model).__name__
        raise TypeError(
            f"{setting} is a {name} that is already built; expected what builds it, so that every "
            f"run starts from new weights. Give the class, {setting}={name}, or a function, "
            f"{setting}=lambda: {name}(...)."
        )
    if not isinstance(model, str) and not callable(model):
        raise TypeError(
            f"{setting} is a {type(model).__name__}; expected a class or function that builds a "
            f"network without arguments, such as {setting}=MyNet."
        )


def built(build: Callable[[], nn.Module]) -> nn.Module:
    """Return the network that a class or function builds.

    Raises:
        TypeError: It returned something else.
    """
    model = build()
    if not isinstance(model, nn.Module):
        name = getattr(build, "__name__", repr(build))
        raise TypeError(
            f"{name} returned a {type(model).__name__}; expected a network (torch.nn.Module). Does "
            "the function end with `return model`?"
        )
    return model
