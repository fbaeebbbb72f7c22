"""CIFAR's own files, in the format of its authors, with the fake images in them."""

from __future__ import annotations

import builtins
import email.message
import functools
import gzip
import io
import os
import pathlib
import pickle
import struct
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.response import addinfourl

import numpy as np

from cifar_lab.data.cifar import CIFAR100_SUPERCLASSES

PLACE = ".fake-cifar"  # in the work folder
ARCHIVES = {
    "cifar-10-python.tar.gz": "cifar-10-batches-py",
    "cifar-100-python.tar.gz": "cifar-100-python",
}
BATCHES = 5  # that CIFAR-10's training images come in
FILES = {
    "cifar-10-batches-py": (
        *(f"data_batch_{number}" for number in range(1, BATCHES + 1)),
        *("test_batch", "batches.meta", "readme.html"),
    ),
    "cifar-100-python": ("train", "test", "meta", "file.txt~"),
}


def install(arrays: dict[str, np.ndarray], class_names: tuple[str, ...]) -> CifarFiles:
    """Have CIFAR's files found by code that opens or downloads them, wherever they should be."""
    files = CifarFiles(arrays, class_names, Path.cwd() / PLACE)
    for holder, name in _functions():
        found = files.found_by(getattr(holder, name))
        setattr(holder, name, staticmethod(found) if isinstance(holder, type) else found)
    opener = urllib.request.build_opener(_Downloads(files))
    urllib.request.install_opener(opener)
    return files


def _functions() -> Iterator[tuple[Any, str]]:
    """Yield the functions whose first argument is a file's path."""
    yield builtins, "open"
    yield io, "open"
    yield tarfile, "bltn_open"
    for name in ("stat", "listdir", "scandir"):
        yield os, name
    accessor = getattr(pathlib, "_NormalAccessor", None)  # of Python 3.10, with its own copies
    for name in ("open", "stat", "listdir", "scandir"):
        if hasattr(accessor, name):
            yield accessor, name


class CifarFiles:
    """The files and archives, each written when it is first looked for.

    Args:
        arrays: Images and labels, as `downloads.install` takes them.
        class_names: Names of the classes.
        place: Folder to write to.
    """

    def __init__(
        self, arrays: dict[str, np.ndarray], class_names: tuple[str, ...], place: Path
    ) -> None:
        self.arrays, self.class_names, self.place = arrays, class_names, place
        self.made: set[str] = set()

    def at(self, path: Any) -> str | None:
        """Return where the file, folder or archive of this name is; None if it is not CIFAR's."""
        if not isinstance(path, str | os.PathLike):
            return None
        text = os.fspath(path)
        if not isinstance(text, str) or "cifar-10" not in text:
            return None
        *_, folder, name = ("", *text.replace("\\", "/").rstrip("/").split("/"))
        if name in ARCHIVES:
            return str(self._archive(name))
        if name in FILES:
            return str(self._folder(name))
        if name in FILES.get(folder, ()):
            return str(self._folder(folder) / name)
        return None

    def found_by(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, which turns to the fake files where nothing is at a path."""

        @functools.wraps(function)
        def finding(*arguments: Any, **options: Any) -> Any:
            try:
                return function(*arguments, **options)
            except FileNotFoundError:
                name = "file" if "file" in options else "path"
                path, *others = arguments or (options.pop(name, None),)
                there = None if _writes(*others, **options) else self.at(path)
                if there is None:
                    raise
                return function(there, *others, **options)

        return finding

    def archive_of(self, url: str) -> Path | None:
        """Return the archive that an address is of."""
        name = url.partition("?")[0].rpartition("/")[2]
        return self._archive(name) if name in ARCHIVES else None

    def let_request(self, adapters: ModuleType) -> None:
        """Have the package requests answer downloads of an archive."""
        send = adapters.HTTPAdapter.send

        @functools.wraps(send)
        def answer(connection: Any, request: Any, *arguments: Any, **options: Any) -> Any:
            path = self.archive_of(request.url)
            if path is None:
                return send(connection, request, *arguments, **options)
            response = adapters.Response()
            response.status_code, response.reason = 200, "OK"
            response.url, response.request = request.url, request
            response.headers["Content-Length"] = str(path.stat().st_size)
            response.raw = path.open("rb")
            return response

        adapters.HTTPAdapter.send = answer

    def let_open(self, shell: ModuleType) -> None:
        """Have IPython's own `open`, which cells call, find the files."""
        shell.io_open = builtins.open

    def trust(self, utils: ModuleType) -> None:
        """Have torchvision take the fake archives for intact."""
        check = utils.check_integrity

        @functools.wraps(check)
        def check_integrity(fpath: Any, md5: str | None = None) -> bool:
            return check(fpath, None if Path(fpath).name in ARCHIVES else md5)

        utils.check_integrity = check_integrity

    def _folder(self, name: str) -> Path:
        folder = self.place / name
        if name not in self.made:
            self.made.add(name)
            folder.mkdir(parents=True)
            for file, content in self._contents(name):
                (folder / file).write_bytes(content)
        return folder

    def _archive(self, name: str) -> Path:
        path, folder = self.place / name, ARCHIVES[name]
        if name not in self.made:
            self.made.add(name)
            self.place.mkdir(exist_ok=True)
            # Not compressed: noise can't be, and trying takes as long as the rest of a run.
            with (
                gzip.open(path, "wb", compresslevel=0) as packed,
                tarfile.open(fileobj=packed, mode="w") as archive,
            ):
                root = tarfile.TarInfo(folder)
                root.type, root.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(root)
                for file, content in self._contents(folder):
                    member = tarfile.TarInfo(f"{folder}/{file}")
                    member.size, member.mode = len(content), 0o644
                    archive.addfile(member, io.BytesIO(content))
        return path

    def _contents(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Yield the files of a folder, in the format that is described on CIFAR's page."""
        if folder == "cifar-10-batches-py":
            yield from self._cifar10()
        else:
            yield from self._cifar100()

    def _cifar10(self) -> Iterator[tuple[str, bytes]]:
        rows = len(self.arrays["train_images"]) // BATCHES
        for batch in range(BATCHES):
            about = f"training batch {batch + 1} of {BATCHES}"
            which = slice(batch * rows, (batch + 1) * rows)
            yield f"data_batch_{batch + 1}", self._batch("train", which, about, "labels")
        yield "test_batch", self._batch("test", slice(None), "testing batch 1 of 1", "labels")
        about_all = {"num_cases_per_batch": rows, "label_names": self.class_names, "num_vis": 3072}
        yield "batches.meta", as_python2(about_all)
        yield "readme.html", b"<html>Fake images in place of CIFAR-10.</html>\n"

    def _cifar100(self) -> Iterator[tuple[str, bytes]]:
        for part, about in (("train", "training"), ("test", "testing")):
            batch = f"{about} batch 1 of 1"
            yield part, self._batch(part, slice(None), batch, "fine_labels")
        names = {
            "fine_label_names": self.class_names,
            "coarse_label_names": [name.replace(" ", "_") for name in CIFAR100_SUPERCLASSES],
        }
        yield "meta", as_python2(names)
        yield "file.txt~", b""

    def _batch(self, part: str, which: slice, about: str, labels: str) -> bytes:
        images = self.arrays[f"{part}_images"][which]
        numbers = self.arrays[f"{part}_labels"][which].tolist()
        content = {
            "filenames": [f"{part}_{number:05}.png" for number in range(len(images))],
            "batch_label": about,
            labels: numbers,
            "data": images.transpose(0, 3, 1, 2).reshape(len(images), -1),
        }
        if labels == "fine_labels":
            superclasses = list(map(_superclass, self.class_names, range(len(self.class_names))))
            content["coarse_labels"] = [superclasses[number] for number in numbers]
        return as_python2(content)


def _superclass(name: str, label: int) -> int:
    for number, members in enumerate(CIFAR100_SUPERCLASSES.values()):
        if name in members:
            return number
    return label % len(CIFAR100_SUPERCLASSES)


def _writes(mode: Any = "r", *others: Any, **options: Any) -> bool:
    """Return whether the arguments of `open` after the path are for writing."""
    return isinstance(mode, str) and not set(mode).isdisjoint("wax+")


class _Python2Pickler(pickle._Pickler):
    """A pickler that writes text as a `str` of Python 2: `encoding=` decides what is read."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_as_str(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_as_str


def as_python2(content: dict[str, Any]) -> bytes:
    """Pickle as Python 2 would: `pickle.load(file, encoding="bytes")` gives keys as bytes."""
    file = io.BytesIO()
    lists = {
        name: list(value) if isinstance(value, tuple) else value for name, value in content.items()
    }
    _Python2Pickler(file, protocol=2).dump(lists)
    return file.getvalue()


class _Downloads(urllib.request.BaseHandler):
    """A handler of downloads of one of the archives, from whatever address."""

    handler_order = 100  # before those that ask the network

    def __init__(self, files: CifarFiles) -> None:
        self.files = files

    def https_open(self, request: urllib.request.Request) -> addinfourl | None:
        path = self.files.archive_of(request.full_url)
        if path is None:
            return None
        headers = email.message.Message()
        headers["Content-Length"] = str(path.stat().st_size)
        response = addinfourl(path.open("rb"), headers, request.full_url, 200)
        response.msg = "OK"
        return response

    http_open = https_open
