"""Archives of unknown origin: what comes out, what stays in, and what is said of it."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from cifar_lab.grading.collecting.archive_kinds import archive_kind
from cifar_lab.grading.collecting.archives import Unpacked, top_names, unpack
from cifar_lab.grading.collecting.unpack_limits import ArchiveError, UnpackLimits

SMALL = UnpackLimits(files=20, mib=4, file_mib=2, ratio=20)


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def of_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3  # Unix
    info.external_attr = (mode | 0o644) << 16
    return info


def tarred(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def in_tar(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def below(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder; links and devices would have no content."""
    found = {}
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        if not path.is_dir():
            assert stat.S_ISREG(path.lstat().st_mode)
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def reasons(unpacked: Unpacked) -> dict[str, str]:
    return {one.name: one.reason for one in unpacked.refused}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
def test_files_and_folders_come_out(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"work{suffix}"
    content = {"notebook.ipynb": b"{}", "code/Ärger 🎉.py": b"x = 1", "code/in/deep.py": b""}
    if suffix == ".zip":
        zipped(path, *content.items())
    else:
        tarred(path, *((in_tar(name), data) for name, data in content.items()))
    unpacked = unpack(path, tmp_path / "out")
    assert below(tmp_path / "out") == content
    assert {name for name, _ in unpacked.files} == set(content)
    assert not unpacked.refused


HOSTILE = (
    "/etc/cron.d/job",
    "../../outside.py",
    "code/../../outside.py",
    "C:\\Windows\\job.py",
    "..\\..\\outside.py",
)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_path_leads_out(kind: str, name: str, tmp_path: Path) -> None:
    inside = tmp_path / "in" / "side"
    inside.mkdir(parents=True)
    if kind == "zip":
        path = zipped(inside / "a.zip", (name, b"harm"), ("notebook.ipynb", b"{}"))
    else:
        path = tarred(inside / "a.tar", (in_tar(name), b"harm"), (in_tar("notebook.ipynb"), b"{}"))
    unpacked = unpack(path, inside / "out")
    assert below(tmp_path).keys() == {
        f"in/side/{path.name}",
        "in/side/out/notebook.ipynb",
    }, "nothing else is anywhere"
    assert list(reasons(unpacked)) == [name]
    assert "path" in reasons(unpacked)[name]


def test_links_and_devices_stay_in(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.zip",
        (of_mode("link", stat.S_IFLNK), b"/etc/passwd"),
        (of_mode("pipe", stat.S_IFIFO), b""),
        ("notebook.ipynb", b"{}"),
    )
    unpacked = unpack(path, tmp_path / "out")
    assert below(tmp_path / "out") == {"notebook.ipynb": b"{}"}
    assert reasons(unpacked)["link"] == "a link"
    assert "device" in reasons(unpacked)["pipe"]


def test_a_link_in_a_tar_does_not_lead_later_entries_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tarred(
        tmp_path / "a.tar.gz",
        (in_tar("code", tarfile.SYMTYPE, str(tmp_path / "elsewhere")), b""),
        (in_tar("code/job.py"), b"harm"),
        (in_tar("passwd", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (in_tar("null", tarfile.CHRTYPE), b""),
        (in_tar("pipe", tarfile.FIFOTYPE), b""),
    )
    unpacked = unpack(path, tmp_path / "out")
    assert below(tmp_path / "out") == {"code/job.py": b"harm"}
    assert not list((tmp_path / "elsewhere").iterdir())
    assert set(reasons(unpacked)) == {"code", "passwd", "null", "pipe"}


def test_what_is_in_the_way_is_named_and_does_no_harm(tmp_path: Path) -> None:
    entries = (("a", b"file"), ("a/b", b"below a file"), ("twice", b"old"), ("twice", b"new"))
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zipped(tmp_path / "a.zip", *entries)
    unpacked = unpack(path, tmp_path / "out")
    assert below(tmp_path / "out") == {"a": b"file", "twice": b"new"}
    assert "same name" in reasons(unpacked)["a/b"]


def test_names_that_one_system_takes_for_the_same_stay_two_files(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("Net.py", b"1"), ("net.py", b"2"), ("NET.PY", b"3"))
    unpack(path, tmp_path / "out")
    found = below(tmp_path / "out")
    assert sorted(found.values()) == [b"1", b"2", b"3"]
    assert len({name.casefold() for name in found}) == 3
    assert found["Net.py"] == b"1"


@pytest.mark.parametrize(
    "name",
    ["line\nbreak.py", "\x1b[2Jscreen.py", "\u202egpj.exe", "-rf", "n" * 255, "ü" * 127 + ".ipynb"],
)
def test_names_do_no_harm_on_the_disk(name: str, tmp_path: Path) -> None:
    unpack(zipped(tmp_path / "a.zip", (name, b"1")), tmp_path / "out")
    (found,) = below(tmp_path / "out")
    assert len(os.fsencode(found)) <= 255
    assert found.isprintable()
    assert found.endswith(name[-3:]) or not name[-3:].isprintable()


def test_longer_names_than_any_system_takes_keep_their_suffix(tmp_path: Path) -> None:
    unpack(zipped(tmp_path / "a.zip", ("n" * 400 + ".ipynb", b"1")), tmp_path / "out")
    (found,) = below(tmp_path / "out")
    assert found.endswith("nnn.ipynb")


def test_a_name_that_the_archive_does_not_say_to_be_utf_8_is_read_as_such(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("Jos\u00e9.ipynb", b"{}"))
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(signature) + at
        flags = struct.unpack_from("<H", content, place)[0]
        struct.pack_into("<H", content, place, flags & ~0x800)
    path.write_bytes(bytes(content))
    unpack(path, tmp_path / "out")
    assert set(below(tmp_path / "out")) == {"Jos\u00e9.ipynb"}


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", *((f"{number}.py", b"") for number in range(21)))
    with pytest.raises(ArchiveError, match="more than 20 files"):
        unpack(path, tmp_path / "out", SMALL)


def test_too_much_is_refused_whatever_the_archive_says(tmp_path: Path) -> None:
    noise = [(f"{number}.bin", os.urandom(2**20)) for number in range(5)]
    path = zipped(tmp_path / "a.zip", *noise)
    with pytest.raises(ArchiveError, match="more than 4 MiB"):
        unpack(path, tmp_path / "out", SMALL)
    written = sum(map(len, below(tmp_path / "out").values()))
    assert written <= 4 * 2**20


def test_a_file_that_is_too_large_stays_in_and_the_others_come_out(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("data.bin", os.urandom(3 * 2**20)), ("a.ipynb", b"{}"))
    unpacked = unpack(path, tmp_path / "out", SMALL)
    assert below(tmp_path / "out") == {"a.ipynb": b"{}"}
    (refused,) = unpacked.refused
    assert refused.is_loss
    assert refused.reason == "larger than 2 MiB"


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_no_more_than_a_word(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.{kind}"
    zeros = bytes(100 * 2**20)
    if kind == "zip":
        zipped(path, ("zeros", zeros))
    else:
        tarred(path, (in_tar("zeros"), zeros))
    assert path.stat().st_size < 2**20
    try:
        unpacked = unpack(path, tmp_path / "out")
    except ArchiveError as error:
        assert "200 times its size" in str(error)
    else:
        assert reasons(unpacked) == {"zeros": "unpacks to more than 200 times its size"}
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) < 80 * 2**20


def test_a_size_that_lies_gains_nothing(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("zeros", bytes(3 * 2**20)))
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, place + 24, 10)  # ten bytes, it says
    path.write_bytes(bytes(content))
    try:
        unpack(path, tmp_path / "out", SMALL)
    except ArchiveError as error:
        assert "damaged" in str(error)
    assert sum(map(len, below(tmp_path / "out").values())) <= 2 * 2**20


def test_a_list_of_entries_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 9, 9, 2**30, 0, 0)
    path.write_bytes(bytes(100) + end)
    with pytest.raises(ArchiveError, match="files and folders"):
        unpack(path, tmp_path / "out")


def test_a_header_of_a_tar_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    info = in_tar("pax", tarfile.XHDTYPE)
    info.size = 2**30
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf())
        file.write(bytes(2**20))
    with pytest.raises(ArchiveError, match="fill the memory"):
        unpack(path, tmp_path / "out")


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("notebook.ipynb", b"{}"))
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + at] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArchiveError, match="encrypted"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
@pytest.mark.parametrize("damage", ["empty", "noise", "cut", "changed"])
def test_damage_is_named(name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = os.urandom(200_000)
    if name == "a.zip":
        zipped(path, ("weights.pt", content))
    else:
        tarred(path, (in_tar("weights.pt"), content))
    whole = path.read_bytes()
    half = len(whole) // 2
    changed = whole[:half] + bytes([whole[half] ^ 255]) + whole[half + 1 :]
    path.write_bytes(
        {"empty": b"", "noise": os.urandom(5_000), "cut": whole[:half], "changed": changed}[damage]
    )
    if damage == "changed" and name == "a.tar":
        pytest.skip("a tar has no checksum of its content")
    if name == "a.tar" and damage in ("empty", "noise"):
        assert archive_kind(path) is None, "it does not begin as one"
        return
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(path, tmp_path / "out")


def test_ways_of_packing_that_take_much_memory_to_undo_are_not_undone(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("notebook.ipynb", b"{}")
    (refused,) = unpack(path, tmp_path / "out").refused
    assert refused.is_loss
    assert "packed in a way" in refused.reason


def test_what_systems_add_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.zip", ("__MACOSX/._a.ipynb", b""), (".DS_Store", b""), ("a.ipynb", b"{}")
    )
    unpacked = unpack(path, tmp_path / "out")
    assert set(below(tmp_path / "out")) == {"a.ipynb"}
    assert not any(one.is_loss for one in unpacked.refused)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Work.ZIP", "zip"),
        ("work.TAR.GZ", "tar.gz"),
        ("work.7z", "other"),
        ("work.rar", "other"),
        ("work.tar.xz", "other"),
        ("model.pth.tar", None),
        ("weights.pt", None),
        ("notebook.ipynb", None),
    ],
)
def test_archives_are_known_by_their_names(name: str, kind: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    assert archive_kind(tmp_path / name) == kind


def test_weights_that_pytorch_zipped_are_no_archive(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights.zip")
    assert archive_kind(tmp_path / "weights.zip") is None
    with zipfile.ZipFile(tmp_path / "work.zip", "w") as archive:  # not packed any smaller
        archive.write(tmp_path / "weights.zip", "weights.pt")
    assert archive_kind(tmp_path / "work.zip") == "zip"


def test_the_outermost_names_are_those_below_a_single_folder(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.zip",
        ("class/", b""),
        ("class/anna/a.ipynb", b""),
        ("class/bert/", b""),
        ("class/readme.txt", b""),
        ("__MACOSX/class", b""),
    )
    assert top_names(path) == {"anna": True, "bert": True, "readme.txt": False}
