"""Names and digests in files of earlier versions, for networks that still compute the same."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

# Patterns of former names of tensors, and the names today. `DSConvBlock` once kept its pointwise
# convolution and batch norm in one layer.
NAMES = (
    (re.compile(r"(^|\.)layers\.1\.conv\.weight$"), r"\1layers.1.weight"),
    (re.compile(r"(^|\.)layers\.1\.norm\.(\w+)$"), r"\1layers.2.\2"),
)
# The former `architecture_digest` and today's, of networks whose layers were in another order or
# worked in place; first for 10 classes, then for 100.
DIGESTS = {
    "392a19fe8ab2c255": "43c39a9e3439d549",  # skeleton
    "28738b4828163476": "66fe32aa6b2852df",
    "ebc3826acf797aed": "0a9c45a5106676d7",  # convnet
    "ba99b4f1a0b38c9d": "2d8ea17264aa1b68",
    "924cc79692d044f9": "f530b29d4430a574",  # resnet-small
    "1183f0fce630e3d2": "dbb59bbb33d9fd0f",
    "6b06dc6bc3f0d3da": "979ae67fdcd62773",  # resnet-wide
    "7dc7617a86e2c9b3": "263430d2eb7324ee",
    "415db95476a1987c": "474970972e5a7d96",  # tinynet
    "de25bed4434f266f": "dcf46d06c7ede981",
    "c0962aa9e2fa36a2": "2cfa529c5eaa8f6c",  # smallcifarnet
    "f72122dd740da7a0": "7527d572b8c0b00a",
}


def renamed(state: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return a `state_dict` in which former names of tensors are replaced by today's.

    Args:
        state: Maps names to tensors.
        known: The model's names; tensors with one of these keep it.
    """
    return {_present_name(name, known): value for name, value in state.items()}


def _present_name(name: str, known: Collection[str]) -> str:
    if name not in known:
        for pattern, now in NAMES:
            if pattern.search(name) and (present := pattern.sub(now, name)) in known:
                return present
    return name


def present_digest(digest: str) -> str:
    """Return today's `architecture_digest` of the network that once had this one."""
    return DIGESTS.get(digest, digest)


def former_digests(digest: str) -> list[str]:
    """Return what `architecture_digest` once gave for the network that it gives this for today."""
    return [former for former, present in DIGESTS.items() if present == digest]
