"""Temporary replacements of a module's or a class's attribute."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any


def put(stack: ExitStack, holder: Any, name: str, value: Any) -> None:
    """Set an attribute, and set it back, or take it away, when the stack is closed."""
    own = vars(holder)
    if name in own:
        stack.callback(setattr, holder, name, own[name])
    else:
        stack.callback(delattr, holder, name)
    setattr(holder, name, value)
