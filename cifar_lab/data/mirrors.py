"""The official archives of CIFAR-10 and CIFAR-100, and the mirrors with byte-identical copies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.data.cifar import DATASETS, Archive
from cifar_lab.utils.errors import unknown_name


@dataclass(frozen=True)
class ArchiveSpec:
    """An official archive and its files.

    Attributes:
        filename: The archive's official name.
        size: The archive's size in bytes.
        md5: The archive's MD5, in hexadecimal.
        url: The archive's official address.
        folder: The folder that it extracts to.
        files: The name in that folder and the MD5 of each file that is used.
    """

    filename: str
    size: int
    md5: str
    url: str
    folder: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """A place with a copy of an archive.

    Attributes:
        name: The name in progress bars and messages.
        url: The address of the archive: http, https or file.
        usual_bytes_per_second: The usual speed of a slow source; None for the others.
    """

    name: str
    url: str
    usual_bytes_per_second: int | None = None


OFFICIAL_BYTES_PER_SECOND = 70_000  # throttled to 50-85 kB/s since June 2026


def spec_for(dataset: str) -> ArchiveSpec:
    """Return the official archive of a dataset, such as "cifar10".

    Raises:
        ValueError: The dataset is unknown, or drawn by code.
    """
    archive = _archive_of(dataset)
    from torchvision import datasets  # imported late: it takes seconds

    official = getattr(datasets, archive.torchvision_class)
    batches = [(name, md5) for name, md5 in official.train_list + official.test_list]
    return ArchiveSpec(
        filename=official.filename,
        size=archive.size,
        md5=official.tgz_md5,
        url=official.url,
        folder=official.base_folder,
        files=(*batches, (official.meta["filename"], official.meta["md5"])),
    )


def sources_for(dataset: str) -> list[Source]:
    """Return the places that have a dataset's archive, in the order in which they are tried.

    First the course's own mirror, where the environment variable `CIFAR_LAB_MIRROR` names one (the
    http(s) or file address of a folder, or its path); then public mirrors; last the official host.

    Raises:
        ValueError: The dataset is unknown, or drawn by code.
    """
    spec = spec_for(dataset)
    mirrors = dict(_archive_of(dataset).mirrors)
    own_mirror = os.environ.get("CIFAR_LAB_MIRROR", "").strip()
    if own_mirror:
        mirrors = {"CIFAR_LAB_MIRROR": _as_url(own_mirror)} | mirrors
    return [
        *(Source(name, f"{base.rstrip('/')}/{spec.filename}") for name, base in mirrors.items()),
        Source("the official host", spec.url, OFFICIAL_BYTES_PER_SECOND),
    ]


def _archive_of(dataset: str) -> Archive:
    archives = {name: facts.archive for name, facts in DATASETS.items() if facts.archive}
    if dataset not in archives:
        raise unknown_name("dataset with official files", dataset, archives)
    return archives[dataset]


def _as_url(folder: str) -> str:
    return folder if "://" in folder else Path(folder).expanduser().absolute().as_uri()
