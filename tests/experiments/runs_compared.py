"""Saved runs compared: everything but times, dates and the machine's memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def facts(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """Return a run's weights as bytes, and its result without times and memory."""
    result = json.loads((folder / "result.json").read_text())
    for name in ("seconds", "peak_memory_mib"):
        del result[name]
    for record in result["history"]:
        del record["seconds"]
    return (folder / "weights.pt").read_bytes(), result


def all_facts(out: Path) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Return the facts of every run below a folder by its path there."""
    folders = [path.parent for path in out.glob("*/*/result.json")]
    return {folder.relative_to(out).as_posix(): facts(folder) for folder in folders}
