"""The line of notebooks' set-up cells that names the address of the package."""

from __future__ import annotations

import re


def without_address(source: str) -> str:
    """Return a cell's code without that line, which `cifar-lab adopt` may change."""
    return re.sub(r"(?m)^ADDRESS = .*$", "", source)
