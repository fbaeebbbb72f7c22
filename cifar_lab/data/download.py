"""The official files of CIFAR-10 and CIFAR-100: found in a folder or fetched into it, and verified.

Nothing is taken on trust: a file counts once its MD5 is the official one, and it gets its official
name only then. So an interruption leaves no half file behind, only a `.part` to go on from.
"""

from __future__ import annotations

import errno
import shutil
import sys
import tarfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from cifar_lab.data.mirrors import ArchiveSpec, Source, sources_for, spec_for
from cifar_lab.data.transfer import (
    DEFAULT_PATIENCE,
    Patience,
    SourceLeftError,
    fetch,
    md5_of,
    size_of,
)
from cifar_lab.utils.errors import CorruptedDataError, DatasetUnavailableError
from cifar_lab.utils.files import user_path


def ensure_files(
    dataset: str,
    root: Path,
    *,
    sources: Sequence[Source] | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """See to it that the official files of a dataset stand, verified, in their folder under `root`.

    Files that are there and intact are used as they are: nothing is written or asked for. Otherwise
    they are extracted from the official archive in `root`, which is downloaded if it isn't there.

    Args:
        dataset: "cifar10" or "cifar100".
        root: the folder that has, or gets, the dataset's own folder and its archive.
        sources: where to download from, in this order; by default `sources_for(dataset)`.
        patience: when to leave a source for the next.

    Raises:
        ValueError: another dataset.
        CorruptedDataError: a file or archive is there but is not the official one.
        DatasetUnavailableError: no source gave the archive, or `root` can't be written.
    """
    spec = spec_for(dataset)
    obtain(spec, root, sources_for(dataset) if sources is None else sources, patience)


def obtain(spec: ArchiveSpec, root: Path, sources: Sequence[Source], patience: Patience) -> None:
    """What `ensure_files` does, for any archive; it raises the same errors."""
    root = user_path(root).absolute()
    try:
        if not missing_files(spec, root):
            return
        root.mkdir(parents=True, exist_ok=True)
        with _only_process(root, spec):
            missing = missing_files(spec, root)  # again: another process may have brought them
            if missing:
                _extract(_archive(spec, root, sources, patience), spec, missing)
    except OSError as error:
        raise _unusable(root, spec, error) from error


def missing_files(spec: ArchiveSpec, root: Path) -> dict[str, str]:
    """Name and MD5 of the files that are not there; those that are there are verified."""
    missing = {}
    for name, md5 in spec.files:
        path = root / spec.folder / name
        if path.exists():
            _verify(path, md5)
        else:
            missing[name] = md5
    return missing


def _verify(path: Path, md5: str, size: int | None = None) -> None:
    found = md5_of(path)
    if found != md5:
        expected = f"MD5 {md5}" if size is None else f"{size:,} bytes, MD5 {md5}"
        raise CorruptedDataError(
            f"{path} is not the official file; it may be cut short or damaged. "
            f"Found: {path.stat().st_size:,} bytes, MD5 {found}. Expected: {expected}. "
            "Delete it and run again; it will be fetched or extracted afresh."
        )


@contextmanager
def _only_process(root: Path, spec: ArchiveSpec) -> Iterator[None]:
    """Work on this archive in this folder in one process at a time."""
    lock = FileLock(root / f".{spec.filename}.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        _say(f"Another process is getting {spec.filename} into {root}; waiting for it to finish.")
        held = lock.acquire()
    with held:
        yield


def _archive(spec: ArchiveSpec, root: Path, sources: Sequence[Source], patience: Patience) -> Path:
    """The verified archive, downloaded if it isn't there."""
    archive = root / spec.filename
    if archive.exists():
        _verify(archive, spec.md5, spec.size)
    else:
        _say(f"Downloading {spec.filename} ({spec.size / 1e6:.0f} MB) into {root}.")
        _download(spec, archive, sources, patience)
    return archive


def _extract(archive: Path, spec: ArchiveSpec, missing: Mapping[str, str]) -> None:
    """Extract the missing files, and only those, each under its own name once it is verified."""
    folder = archive.parent / spec.folder
    folder.mkdir(exist_ok=True)
    paths = {f"{spec.folder}/{name}": folder / name for name in missing}
    with tarfile.open(archive) as tar:
        for member in tar:  # in the archive's order, so it is decompressed only once
            path = paths.get(member.name)
            stream = tar.extractfile(member) if path else None
            if path and stream:
                _place(stream, path, missing[path.name])


def _place(stream: IO[bytes], path: Path, md5: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with stream, part.open("wb") as file:
            shutil.copyfileobj(stream, file)
        _verify(part, md5)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _download(
    spec: ArchiveSpec, archive: Path, sources: Sequence[Source], patience: Patience
) -> None:
    """Ask each source in turn; one that brought the archive further is asked again at the end."""
    part = archive.with_name(f"{archive.name}.part")
    if size_of(part) >= spec.size and md5_of(part) != spec.md5:
        part.unlink()
    furthest = size_of(part)
    waiting = deque(sources)
    answers: dict[Source, str] = {}
    crawling: dict[Source, float] = {}  # bytes per second
    while size_of(part) < spec.size:
        if not waiting:
            raise _unavailable(spec, archive, answers)
        source = waiting.popleft()
        fastest = max(crawling, key=lambda crawler: crawling[crawler], default=None)
        usual = source.usual_bytes_per_second
        if fastest is not None and usual is not None and crawling.pop(fastest) > usual:
            waiting.appendleft(source)  # known to be even slower
            source = fastest
        # Slow beats nothing: the last source, and one that is asked again, may crawl.
        may_crawl = source is sources[-1] or source in answers
        limits = replace(patience, crawl_bytes_per_second=0) if may_crawl else patience
        _warn_if_slow(source, spec.size - size_of(part))
        try:
            fetch(source, spec, part, limits)
        except SourceLeftError as reason:
            answers[source] = str(reason)
            if reason.bytes_per_second is not None:
                crawling[source] = reason.bytes_per_second
            if size_of(part) > furthest:
                furthest = size_of(part)
                waiting.append(source)
            _say(f"{source.name} {reason}." + (f" Next: {waiting[0].name}." if waiting else ""))
    part.replace(archive)


def _warn_if_slow(source: Source, bytes_left: int) -> None:
    if source.usual_bytes_per_second:
        minutes = bytes_left / source.usual_bytes_per_second / 60
        _say(f"{source.name} is slow: expect about {minutes:.0f} minutes.")


def _unavailable(
    spec: ArchiveSpec, archive: Path, answers: Mapping[Source, str]
) -> DatasetUnavailableError:
    tried = [f"  - {source.name} {answer}: {source.url}" for source, answer in answers.items()]
    lines = [
        f"{spec.filename} could not be downloaded; run again later to go on from here. Tried:",
        *(tried or ["  - nothing: there are no sources"]),
        "Three other ways on:",
        f"  1. Get {spec.filename} ({spec.size:,} bytes, MD5 {spec.md5}) some other way and put it "
        f"into {archive.parent}.",
        f"  2. Point --data or CIFAR_LAB_DATA at a folder that already has {spec.folder}/.",
        '  3. Use the built-in stand-in: load("synthetic"), or --dataset synthetic.',
    ]
    return DatasetUnavailableError("\n".join(lines))


def _unusable(root: Path, spec: ArchiveSpec, error: OSError) -> DatasetUnavailableError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = 2.2 * spec.size / 1e6  # the archive and its files, which hardly compress
        remedy = f"Free up to {needed:.0f} MB there (what was downloaded so far is kept)"
    else:
        remedy = "Make it a folder that you can write to"
    return DatasetUnavailableError(
        f"The data folder {root} can't be used: {error}. "
        f"{remedy}, or choose another with --data or CIFAR_LAB_DATA."
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
