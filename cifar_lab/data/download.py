"""The official files of CIFAR-10 and CIFAR-100: found in a folder or downloaded, and verified.

A file gets its official name only after its MD5 was found to be the official one. So an
interruption leaves no incomplete file behind, only a `.part` from which the download resumes.
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

from cifar_lab.data.attached import INPUT, attached
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
    """Make sure that the official files of a dataset are in their folder under `root`, verified.

    Files that are there and intact are used as they are, without any writing or network access.
    Missing files are taken from datasets that Kaggle attached to the notebook, or extracted from
    the official archive in `root`, which is downloaded if needed.

    Args:
        dataset: "cifar10" or "cifar100".
        root: The folder that holds, or will hold, the dataset's own folder and its archive.
        sources: The places to download from, in order; None for `sources_for(dataset)`.
        patience: Decides when a source is given up and the next one is tried.

    Raises:
        ValueError: The dataset is another one.
        CorruptedDataError: A file or archive is there but is not the official one.
        DatasetUnavailableError: No source delivered the archive, or `root` can't be written.
    """
    spec = spec_for(dataset)
    obtain(spec, root, sources_for(dataset) if sources is None else sources, patience)


def obtain(spec: ArchiveSpec, root: Path, sources: Sequence[Source], patience: Patience) -> None:
    """Make sure that an archive's files are there; see `ensure_files`, also for the errors."""
    root = user_path(root).absolute()
    try:
        if not missing_files(spec, root):
            return
        root.mkdir(parents=True, exist_ok=True)
        with _only_process(root, spec):
            missing = missing_files(spec, root)  # again: another process may have brought them
            missing = _place_attached(spec, root, missing)
            if missing:
                _extract(_archive(spec, root, sources, patience), root, spec, missing)
    except OSError as error:
        raise _unusable(root, spec, error) from error


def missing_files(spec: ArchiveSpec, root: Path) -> dict[str, str]:
    """Return names and MD5s of the files that are missing, and verify the others."""
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
            "Delete it and run again; it will be downloaded or extracted again."
        )


@contextmanager
def _only_process(root: Path, spec: ArchiveSpec) -> Iterator[None]:
    """Hold the lock that lets one process at a time work on this archive in this folder."""
    lock = FileLock(root / f".{spec.filename}.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        _say(f"Another process is getting {spec.filename} into {root}; waiting for it to finish.")
        held = lock.acquire()
    with held:
        yield


def _place_attached(spec: ArchiveSpec, root: Path, missing: dict[str, str]) -> dict[str, str]:
    """Copy what attached datasets have of the missing files; return what they don't have."""
    left = {}
    for name, md5 in missing.items():
        found = next((path for path in attached(name) if md5_of(path) == md5), None)
        if found is None:
            left[name] = md5
        else:
            (root / spec.folder).mkdir(exist_ok=True)
            _place(found.open("rb"), root / spec.folder / name, md5)
    return left


def _archive(spec: ArchiveSpec, root: Path, sources: Sequence[Source], patience: Patience) -> Path:
    """Return the path of the verified archive; download it if it isn't there."""
    archive = root / spec.filename
    given = (path for path in attached(spec.filename) if md5_of(path) == spec.md5)
    if archive.exists():
        _verify(archive, spec.md5, spec.size)
    elif found := next(given, None):
        return found
    else:
        _say(f"Downloading {spec.filename} ({spec.size / 1e6:.0f} MB) into {root}.")
        _download(spec, archive, sources, patience)
    return archive


def _extract(archive: Path, root: Path, spec: ArchiveSpec, missing: Mapping[str, str]) -> None:
    """Extract only the missing files; each gets its own name after it was verified."""
    folder = root / spec.folder
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
    """Try each source in turn; try one that made progress again after the others."""
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
            waiting.appendleft(source)  # it is known to be even slower
            source = fastest
        # A slow download is better than none: the last source, and a repeated one, may crawl.
        may_crawl = source is sources[-1] or source in answers
        limits = replace(patience, crawl_bytes_per_second=0) if may_crawl else patience
        _say(f"Asking {source.name}; it has {limits.stall_seconds:g} s to answer.")
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


def _unavailable(
    spec: ArchiveSpec, archive: Path, answers: Mapping[Source, str]
) -> DatasetUnavailableError:
    tried = [f"  - {source.name} {answer}: {source.url}" for source, answer in answers.items()]
    lines = [
        f"{spec.filename} could not be downloaded; run again later to resume. Tried:",
        *(tried or ["  - nothing: there are no sources"]),
        "Three alternatives:",
        f"  1. Get {spec.filename} ({spec.size:,} bytes, MD5 {spec.md5}) some other way and put it "
        f"into {archive.parent}. Then run the same command or cell again: it finds the file there.",
        f"  2. Point --data or CIFAR_LAB_DATA at a folder that already has {spec.folder}/.",
        '  3. Use the synthetic dataset: load("synthetic"), or run NAME --dataset synthetic.',
    ]
    if INPUT.is_dir():
        lines.append(
            "On Kaggle there is no internet by default: switch it on under Session options, or add "
            f"(Add Input) a dataset that holds {spec.filename} or the files of {spec.folder}."
        )
    return DatasetUnavailableError("\n".join(lines))


def _unusable(root: Path, spec: ArchiveSpec, error: OSError) -> DatasetUnavailableError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = 2.2 * spec.size / 1e6  # the archive, and its files of nearly the same size
        remedy = f"Free up to {needed:.0f} MB there (the part downloaded so far is kept)"
    else:
        remedy = "Make it a writable folder"
    return DatasetUnavailableError(
        f"The data folder {root} can't be used: {error}. "
        f"{remedy}, or choose another with --data or CIFAR_LAB_DATA."
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
