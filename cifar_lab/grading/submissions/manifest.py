"""The manifest that `cifar_lab.submit` wrote, known by what it holds: sites rename files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cifar_lab.experiments.submission import FORMAT, MANIFEST
from cifar_lab.grading.submissions.folder import plain_name
from cifar_lab.utils.files import BYTE_ORDER_MARK_TOO

MIB = 2**20
MOST_MANIFEST_MIB, MOST_LOOKED_AT = 4, 20
MOST_DIGITS = 40  # of a whole number: seeds have up to 39


class Manifest(NamedTuple):
    """A manifest that was found, or none.

    Attributes:
        path: The manifest's; None where there is none.
        content: Content of the manifest; empty where there is none, or it is damaged.
        damage: Why the file can't be used; empty where it can.
    """

    path: Path | None = None
    content: dict[str, Any] = {}
    damage: str = ""


def find_manifest(files: Sequence[Path], assignment: str | None = None) -> Manifest:
    """Return the manifest among a submission's files.

    If there are several, one for the assignment comes first, then one in the outermost folder,
    then the highest number at the end of the name, then the newest file.
    """
    found: list[Manifest] = []
    damaged = Manifest()
    paths = sorted((path for path in files if path.suffix.lower() == ".json"), key=_likeliest)
    for path in paths[:MOST_LOOKED_AT]:
        try:
            content = _read(path)
        except (OSError, ValueError, RecursionError) as error:
            if plain_name(path)[0] == MANIFEST and damaged.path is None:
                damaged = Manifest(path, {}, str(error))
            continue
        if content is not None:
            found.append(Manifest(path, content))

    def order(one: Manifest) -> tuple[bool, int, tuple[int, ...], float, str]:
        assert one.path is not None
        suits = assignment is not None and one.content.get("assignment") == assignment
        numbers = plain_name(one.path)[1]
        return suits, -len(one.path.parts), numbers, one.path.lstat().st_mtime, str(one.path)

    return max(found, key=order, default=damaged)


def _likeliest(path: Path) -> tuple[bool, bool, bool, int, Path]:
    name = plain_name(path)[0]
    exact = path.name == MANIFEST
    return not exact, name != MANIFEST, "submission" not in name, len(path.parts), path


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a manifest says; None for JSON that is none.

    Raises:
        ValueError: It can't be read.
    """
    if path.stat().st_size > MOST_MANIFEST_MIB * MIB:
        raise ValueError(f"it has more than {MOST_MANIFEST_MIB} MiB")
    text = path.read_bytes().decode(BYTE_ORDER_MARK_TOO)
    if plain_name(path)[0] != MANIFEST and FORMAT not in text:
        return None
    content = json.loads(
        text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_bounded
    )
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return content
    if path.name.lower() == MANIFEST:
        raise ValueError(f"its format is not {FORMAT!r}")
    return None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _bounded(digits: str) -> int | None:
    """Return no number that later can't become a `float`, or can't be written out."""
    return int(digits) if len(digits) <= MOST_DIGITS else None
