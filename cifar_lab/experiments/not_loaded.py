"""The model of a result that was loaded without it."""

from __future__ import annotations

from typing import NoReturn


class NotLoaded:
    """The model of a result that was loaded without it: False in a condition, else an error.

    Args:
        remedy: The call that loads it.
    """

    _message = ""  # of a copy that has not got its own yet

    def __init__(self, remedy: str) -> None:
        self._message = f"This result was loaded without its model. Load it: {remedy}"

    def __repr__(self) -> str:
        return self._message

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(self._message)

    def __call__(self, *arguments: object, **options: object) -> NoReturn:
        """Raise, as a forward pass is not possible."""
        raise ValueError(self._message)
