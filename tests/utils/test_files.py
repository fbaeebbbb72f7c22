"""Files are whole or not there at all, alone and several together."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import IO, Any

import pytest

from cifar_lab.utils import files
from cifar_lab.utils.files import read_text, user_path, write_atomically, write_text, write_together


def fail_halfway(file: IO[bytes]) -> None:
    file.write(b"half of the new")
    raise KeyboardInterrupt  # not even an Exception


def test_a_write_that_breaks_off_leaves_the_old_content_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail_halfway)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_first_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", fail_halfway)
    assert list(tmp_path.iterdir()) == []


def test_the_old_content_stands_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def look_while_writing(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    write_atomically(path, look_while_writing)
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_content_that_fails_its_check_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def refuse(temporary: Path) -> None:
        assert temporary.read_bytes() == b"new" and path.read_bytes() == b"old"
        raise ValueError("not readable")

    with pytest.raises(ValueError, match="not readable"):
        write_atomically(path, lambda file: file.write(b"new"), check=refuse)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_permissions_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, mode: int, **options: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "chmod", refuse)
    write_text(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"


def test_a_file_system_without_fsync_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(errno.EINVAL, "Invalid argument")

    def refuse(descriptor: int) -> None:
        raise error

    monkeypatch.setattr(files.os, "fsync", refuse)
    write_text(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"
    error = OSError(errno.EIO, "Input/output error")  # this one says that data was lost
    with pytest.raises(OSError, match="Input/output"):
        write_text(tmp_path / "file", "other")
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize("held", [1, 100])
def test_on_windows_a_file_that_somebody_reads_is_replaced_when_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    replace, calls = Path.replace, iter(range(1000))

    def refuse(self: Path, target: Any) -> Path:
        if next(calls) < held:
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(target))
        return replace(self, target)

    monkeypatch.setattr(files, "IS_WINDOWS", True)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(Path, "replace", refuse)
    (tmp_path / "file").write_text("old")
    if held > 10:
        with pytest.raises(PermissionError):
            write_text(tmp_path / "file", "new")
    else:
        write_text(tmp_path / "file", "new")
    assert contents(tmp_path) == {"file": b"old" if held > 10 else b"new"}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "file").write_bytes(mark + "größer".encode())
    assert read_text(tmp_path / "file") == "größer"


def test_a_lone_surrogate_does_not_keep_a_text_from_being_written(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "a\udc80b")
    assert read_text(tmp_path / "file") == "a?b"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert user_path("~/file") == tmp_path / "file"
    assert user_path("a/~/file") == Path("a/~/file")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_several_files_are_written_and_taken_away_together(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"1")
    (tmp_path / "gone").write_bytes(b"2")
    write_together(
        {
            tmp_path / "old": b"3",
            tmp_path / "gone": None,
            tmp_path / "new": b"4",
            tmp_path / "never": None,
        }
    )
    assert contents(tmp_path) == {"old": b"3", "new": b"4"}


@pytest.mark.parametrize("failing", range(5))
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_if_one_file_can_not_be_put_in_place_all_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException
) -> None:
    before = {"first": b"1", "second": b"2", "third": b"3"}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    replace, calls = Path.replace, iter(range(100))

    def fail_once(self: Path, target: Any) -> Path:
        if next(calls) == failing:
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    changes = {"first": b"4", "second": None, "third": b"5", "new": b"6"}
    with pytest.raises(type(error)):
        write_together({tmp_path / name: content for name, content in changes.items()})
    assert contents(tmp_path) == before


def test_a_disk_that_is_full_for_the_second_file_leaves_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").write_bytes(b"1")
    calls = iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device. Free some, .*second"):
        write_together({tmp_path / "first": b"2", tmp_path / "second": b"3"})
    assert contents(tmp_path) == {"first": b"1"}


def test_a_file_where_a_folder_is_needed_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "new", tmp_path / "file" / "folder" / "new"):
        with pytest.raises(NotADirectoryError, match="A file is where a folder is needed"):
            write_text(path, "text")
