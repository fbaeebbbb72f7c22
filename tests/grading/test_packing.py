"""Submissions as bytes: what arrives is what was there, as far as the checks look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cifar_lab.grading.sessions import packing
from cifar_lab.grading.sessions.packing import (
    PackingError,
    packed,
    refuse_unpackable,
    unpack,
)
from cifar_lab.grading.submissions.submission import Submission


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A submission in a folder that only holds another one, with all that may lie there."""
    inside = tmp_path / "Ånna\u202e" / "work"
    (inside / "runs" / "deep").mkdir(parents=True)
    (inside / ".git").mkdir()
    (inside / "venv").mkdir()
    for name in ("venv/pyvenv.cfg", "venv/big.py", ".git/config", "__MACOSX"):
        (inside / name).write_text("left out")
    names = ["notebook.ipynb", "weights.pt", "runs/deep/old.pt", "new\nline.py", "-rf", "ü.txt"]
    for number, name in enumerate([*names, os.fsdecode(b"not utf-8 \xff.py")]):
        (inside / name).write_bytes(bytes(range(number, 256)) * 50)
        os.utime(inside / name, ns=(1_700_000_000_000_000_001 + number,) * 2)
    (inside / "linked.pt").hardlink_to(inside / "weights.pt")
    (inside / "best.pt").symlink_to("/etc/passwd")
    (inside / "up").symlink_to("../..")
    os.mkfifo(inside / "pipe")
    return inside.parent


def test_what_arrives_has_the_same_files_times_and_fingerprint(
    folder: Path, tmp_path: Path
) -> None:
    unpack(packed(folder), tmp_path / "there")
    sent, there = Submission(folder), Submission(tmp_path / "there")
    assert there.fingerprint() == sent.fingerprint()
    assert there.folder.name == "work", "unwrapped in the same way"
    relative = [path.relative_to(there.folder) for path in there.files]
    assert relative == [path.relative_to(sent.folder) for path in sent.files]
    for ours, theirs in zip(sent.files, there.files, strict=True):
        assert theirs.read_bytes() == ours.read_bytes()
        assert abs(theirs.stat().st_mtime_ns - ours.stat().st_mtime_ns) < 1000
    arrived = {path.name for path in (tmp_path / "there").rglob("*")}
    assert not arrived & {"venv", "big.py", ".git", "config", "__MACOSX", "pipe"}


def test_links_arrive_as_links_to_nothing(folder: Path, tmp_path: Path) -> None:
    unpack(packed(folder), tmp_path / "there")
    for name in ("best.pt", "up"):
        link = tmp_path / "there" / "work" / name
        assert link.is_symlink() and not link.exists()
    assert b"/etc/passwd" not in packed(folder)


def test_neither_the_students_name_nor_the_instructors_travels(folder: Path) -> None:
    content = packed(folder)
    assert "Ånna".encode() not in content
    assert folder.owner().encode() + b"\0" not in content


def test_a_linked_class_folder_is_packed_as_the_folder_itself(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert packed(tmp_path / "link") == packed(folder)


def test_too_large_a_submission_is_refused_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_unpackable(folder)
    with (folder / "work" / "data.bin").open("wb") as file:
        file.truncate(packing.MOST_MIB * 2**20)
    with pytest.raises(PackingError, match="256 MiB"):
        refuse_unpackable(folder)
    (folder / "work" / "data.bin").unlink()
    monkeypatch.setattr(packing, "MOST_ENTRIES", 5)
    with pytest.raises(PackingError, match="5 files"):
        packed(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_can_not_be_read_is_named(folder: Path) -> None:
    (folder / "work" / "weights.pt").chmod(0)
    with pytest.raises(PackingError, match="weights.pt can't be read"):
        refuse_unpackable(folder)
