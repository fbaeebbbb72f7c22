"""A recipe's settings as a Markdown table."""

from __future__ import annotations

import dataclasses
from typing import Any

from cifar_lab.reporting.tables.markdown import markdown_table
from cifar_lab.training.recipe import Recipe


def changed_settings(recipe: Recipe) -> str:
    """Return a Markdown table of the settings that differ from the default, and of that default."""
    rows = []
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if value != field.default:
            given = field.default is not dataclasses.MISSING
            default = _text(field.default) if given else "(required)"
            rows.append([f"`{field.name}`", _text(value), default])
    return markdown_table(["setting", "value", "default"], rows)


def _text(value: Any) -> str:
    """Return a value as it is written in code; a sequence of transforms has one on each line."""
    if isinstance(value, tuple) and value:
        return "<br>".join(f"`{each!r}`" for each in value)
    return f"`{value!r}`"
