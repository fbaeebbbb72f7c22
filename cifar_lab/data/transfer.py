"""One archive from one source, over HTTP or from a folder: resumed, timed and verified."""

from __future__ import annotations

import errno
import hashlib
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError, URLError

from tqdm import tqdm

from cifar_lab.data.mirrors import ArchiveSpec, Source
from cifar_lab.utils.console import echo, progress_stream

CHUNK_BYTES = 256 * 1024
UNREACHABLE = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)


@dataclass(frozen=True)
class Patience:
    """The limits at which a source is given up and the next one is tried.

    Attributes:
        stall_seconds: The longest wait for a connection, for an answer and for the next bytes.
        crawl_bytes_per_second: The lowest acceptable speed while there are other sources.
        crawl_seconds: The time over which the speed is averaged.
    """

    stall_seconds: float = 15
    crawl_bytes_per_second: float = 200_000
    crawl_seconds: float = 10


DEFAULT_PATIENCE = Patience()


class SourceLeftError(Exception):
    """A reason to give up a source: the end of a sentence that begins with the source's name.

    Attributes:
        bytes_per_second: The speed of a source that is only too slow; None for other reasons.
    """

    bytes_per_second: float | None = None


def fetch(source: Source, spec: ArchiveSpec, part: Path, patience: Patience) -> None:
    """Download the archive to `part` from this source, resuming where `part` ends, and verify it.

    Raises:
        SourceLeftError: The source did not deliver the official archive. The part of it that
            arrived is kept.
        OSError: `part` can't be written.
    """
    resumed = _receive(source, spec, part, patience)
    md5 = md5_of(part)
    if md5 == spec.md5:
        return
    part.unlink()
    if not resumed:
        raise SourceLeftError(f"sent another file (MD5 {md5})")
    fetch(source, spec, part, patience)  # from scratch: the earlier bytes may have been wrong


def _receive(source: Source, spec: ArchiveSpec, part: Path, patience: Patience) -> bool:
    """Write the bytes that the source sends; return whether it resumed where `part` ended."""
    response, offset = _open(source, spec, size_of(part), patience)
    with response:
        length = response.headers.get("Content-Length")
        if response.headers.get_content_type() == "text/html":
            raise SourceLeftError("sent a web page, not the archive")
        if length not in (None, str(spec.size - offset)):
            raise SourceLeftError(f"has another file ({length} bytes to send)")
        _warn_if_slow(source, spec.size - offset)
        progress = tqdm(
            desc=source.name,
            total=spec.size,
            initial=offset,
            unit="B",
            unit_scale=True,
            mininterval=1,
            file=progress_stream(),
        )
        with progress, part.open("ab" if offset else "wb") as file:
            for chunk in _chunks(response, patience):
                progress.update(file.write(chunk))
                if file.tell() > spec.size:
                    break  # it would never end, and is the wrong file anyway
    if size_of(part) < spec.size:
        raise SourceLeftError(f"stopped after {size_of(part):,} of {spec.size:,} bytes")
    return offset > 0


def _warn_if_slow(source: Source, bytes_left: int) -> None:
    """Say how long a source that is known to be slow will take, once it has answered."""
    if source.usual_bytes_per_second:
        minutes = bytes_left / source.usual_bytes_per_second / 60
        echo(f"{source.name} is slow: expect about {minutes:.0f} minutes.\n", sys.stderr)


def _open(
    source: Source, spec: ArchiveSpec, offset: int, patience: Patience
) -> tuple[HTTPResponse, int]:
    """Return the source's answer and its offset in the archive: the one asked for, or else 0."""
    headers = {"User-Agent": "cifar-lab"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        request = urllib.request.Request(source.url, headers=headers)
        opener = urllib.request.build_opener(_NoFtp)
        response = opener.open(request, timeout=patience.stall_seconds)
    except (OSError, HTTPException, ValueError) as error:
        raise SourceLeftError(_reason(error, patience)) from error
    if not offset or response.status != 206:
        return response, 0
    if response.headers.get("Content-Range") == f"bytes {offset}-{spec.size - 1}/{spec.size}":
        return response, offset
    response.close()
    return _open(source, spec, 0, patience)


class _NoFtp(urllib.request.FTPHandler):
    """A handler that refuses ftp, to which urllib would follow a redirect."""

    def ftp_open(self, req: urllib.request.Request) -> NoReturn:
        raise URLError("ftp is not supported")


def _chunks(response: HTTPResponse, patience: Patience) -> Iterator[bytes]:
    """Yield the bytes of an answer as they arrive."""
    since, received = time.monotonic(), 0
    while True:
        try:
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, HTTPException) as error:
            raise SourceLeftError(_reason(error, patience)) from error
        if not chunk:
            return
        yield chunk
        received += len(chunk)
        seconds = time.monotonic() - since
        if seconds >= patience.crawl_seconds:
            if received / seconds < patience.crawl_bytes_per_second:
                crawling = SourceLeftError(f"sends only {received / seconds / 1000:.0f} kB/s")
                crawling.bytes_per_second = received / seconds
                raise crawling
            since, received = time.monotonic(), 0


def _reason(error: Exception, patience: Patience) -> str:
    if isinstance(error, HTTPError):
        error.close()
        return f"answered {error.code} {error.reason}"
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"sent nothing for {patience.stall_seconds:g} s"
    if isinstance(cause, socket.gaierror) or getattr(cause, "errno", None) in UNREACHABLE:
        return "could not be reached: no network connection?"
    return f"failed ({getattr(cause, 'strerror', None) or cause})"


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal."""
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            md5.update(chunk)
    return md5.hexdigest()
