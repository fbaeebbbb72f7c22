"""Answers to calls that only another machine could answer."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any


class Obliging:
    """An object that can be made, called, entered, looped over and asked for any attribute."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Return something that obliges as well."""
        return Anything()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python asks for these to see what an object can do
            raise AttributeError(name)
        return Anything()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        """Let errors through."""

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __getitem__(self, name: Any) -> Any:
        return Anything()


class Anything(Obliging, int):
    """A zero, too: for results that nothing depends on, such as a progress bar's of Colab."""

    def __new__(cls, *arguments: Any, **options: Any) -> Anything:
        """Return a zero, whatever the arguments."""
        return super().__new__(cls)


class AnyModule(ModuleType):
    """A module that has any attribute: `answers` for those that matter, `Anything` for others."""

    def __init__(self, name: str, answers: dict[str, Any] | None = None) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        vars(self).update(answers or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # An `except` clause takes classes alone.
        is_error = name.endswith(("Error", "Exception"))
        value = type(name, (Exception,), {}) if is_error else Anything()
        setattr(self, name, value)
        return value
