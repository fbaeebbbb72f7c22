"""A course's own files, as TOML or JSON: names and values in a text that a person writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_lab.utils.files import read_text


def read_course_file(path: Path, kind: str) -> dict[str, Any]:
    """Return the names and values in a TOML file, or in a JSON file of one object.

    Args:
        path: The file; one whose name ends in .json is JSON, every other is TOML.
        kind: What the file holds, as errors name it, such as "settings".

    Raises:
        ValueError: The file can't be read; the message says where in it, and why.
    """
    try:
        text = read_text(path)
        content = (
            json.loads(text, object_pairs_hook=_without_repeats)
            if path.suffix.lower() == ".json"
            else _toml(text, kind)
        )
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"The {kind} in {path} can't be read: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected names and values.")
    return content


def _toml(text: str, kind: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib  # which pytest brings before Python 3.11
        except ImportError as error:
            raise ValueError(f"TOML needs Python 3.11; write the {kind} as .json") from error
    return tomllib.loads(text)


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; a name that is there twice is refused, as TOML does."""
    names = [name for name, _ in pairs]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"the name {repeated[0]!r} is there twice in one object")
    return dict(pairs)
