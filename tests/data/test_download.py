"""`ensure_files` against real servers on this machine's loopback, good and bad."""

from __future__ import annotations

import errno
import hashlib
import io
import multiprocessing
import random
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cifar_lab.data.download import ensure_files, obtain
from cifar_lab.data.mirrors import ArchiveSpec, Source, sources_for, spec_for
from cifar_lab.data.transfer import Patience
from cifar_lab.utils.errors import CorruptedDataError, DatasetUnavailableError

# ---- a small archive like the official one

FOLDER = "cifar-10-batches-py"
NAMES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
FILES = {name: random.Random(name).randbytes(40_000) for name in NAMES}
NOT_WANTED = {f"{FOLDER}/readme.html": b"<html>", "../escaped": b"out", f"{FOLDER}/../up": b"out"}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


ARCHIVE = tar_gz(NOT_WANTED | {f"{FOLDER}/{name}": data for name, data in FILES.items()})
HALF = len(ARCHIVE) // 2
SPEC = ArchiveSpec(
    filename="cifar-10-python.tar.gz",
    size=len(ARCHIVE),
    md5=md5(ARCHIVE),
    url="http://127.0.0.1/never-asked",
    folder=FOLDER,
    files=tuple((name, md5(data)) for name, data in FILES.items()),
)
CALM = Patience(stall_seconds=20, crawl_bytes_per_second=0, crawl_seconds=20)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def no_proxy_and_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("CIFAR_LAB_MIRROR", raising=False)


def archive_in(root: Path) -> Path:
    return root / SPEC.filename


def part_in(root: Path) -> Path:
    return root / f"{SPEC.filename}.part"


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def put_files(root: Path) -> None:
    for name, data in FILES.items():
        put(root / FOLDER / name, data)


def stands(root: Path) -> bool:
    """The folder has each file, byte for byte, and nothing else."""
    return {path.name: path.read_bytes() for path in (root / FOLDER).iterdir()} == FILES


# ---- servers


class Host(ThreadingHTTPServer):
    """A server on loopback. `ranges` has the Range of each request, `sent` all bytes of bodies."""

    daemon_threads = True

    def __init__(self, behave: Callable[[Request], None]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behave = behave
        self.ranges: list[str | None] = []
        self.sent = 0
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.source = Source(behave.__name__, f"{self.url}/{SPEC.filename}")
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class Request(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:  # noqa: N802 (the standard library's name)
        self.server.ranges.append(self.headers.get("Range"))
        with suppress(ConnectionError):  # the client may leave
            self.server.behave(self)

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, data: bytes) -> None:
        self.server.sent += len(data)  # before the client can have it all and look
        self.wfile.write(data)

    def asked_from(self) -> int:
        return int((self.headers.get("Range") or "bytes=0-")[len("bytes=") : -1])

    def answer_range(self) -> bytes:
        """Send the headers of an answer that honours Range; return the body to send."""
        start = self.asked_from()
        if start:
            content_range = f"bytes {start}-{len(ARCHIVE) - 1}/{len(ARCHIVE)}"
            self.answer(206, Content_Range=content_range, Content_Length=len(ARCHIVE) - start)
        else:
            self.answer(200, Content_Length=len(ARCHIVE))
        return ARCHIVE[start:]


def fine(request: Request) -> None:
    request.body(request.answer_range())


def ignoring_range(request: Request) -> None:
    request.answer(200, Content_Length=len(ARCHIVE))
    request.body(ARCHIVE)


def answering_another_range(request: Request) -> None:
    if request.headers.get("Range"):
        whole = f"bytes 0-{len(ARCHIVE) - 1}/{len(ARCHIVE)}"
        request.answer(206, Content_Range=whole, Content_Length=len(ARCHIVE))
    else:
        request.answer(200, Content_Length=len(ARCHIVE))
    request.body(ARCHIVE)


def breaking_off(request: Request) -> None:
    request.answer(200, Content_Length=len(ARCHIVE))
    request.body(ARCHIVE[:HALF])


def breaking_off_once(request: Request) -> None:
    data = request.answer_range()
    request.body(data if request.asked_from() else data[:HALF])


def stalling(request: Request) -> None:
    request.answer(200, Content_Length=len(ARCHIVE))
    request.body(ARCHIVE[:HALF])
    request.server.closing.wait(30)


def mute(request: Request) -> None:
    request.server.closing.wait(30)


def crawling(request: Request) -> None:
    """About 400 kB/s: the whole archive takes 0.7 s."""
    data = request.answer_range()
    for start in range(0, len(data), 20_000):
        request.body(data[start : start + 20_000])
        time.sleep(0.05)


def web_page(request: Request) -> None:
    request.answer(200, Content_Type="text/html")
    request.body(b"<html>Log in to the campus network</html>")


def other_size(request: Request) -> None:
    request.answer(200, Content_Length=1000)
    request.body(bytes(1000))


def other_bytes(request: Request) -> None:
    request.answer(200, Content_Length=len(ARCHIVE))
    request.body(bytes(len(ARCHIVE)))


def endless(request: Request) -> None:
    request.answer(200)
    while not request.server.closing.is_set():
        request.body(bytes(10_000))


def not_found(request: Request) -> None:
    request.send_error(404)


def internal_error(request: Request) -> None:
    request.send_error(500)


def redirecting_to(url: str) -> Callable[[Request], None]:
    def redirecting(request: Request) -> None:
        request.answer(302, Location=url, Content_Length=0)

    return redirecting


@pytest.fixture
def host() -> Iterator[Callable[[Callable[[Request], None]], Host]]:
    """Start a server that behaves as the given function does."""
    hosts: list[Host] = []

    def start(behave: Callable[[Request], None]) -> Host:
        hosts.append(Host(behave))
        return hosts[-1]

    yield start
    for started in hosts:
        started.close()


def down() -> Source:
    """A source whose port nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    return Source("down", f"http://127.0.0.1:{port}/{SPEC.filename}")


# ---- what is there already


def test_intact_files_are_used_without_writing_or_asking(root, host):
    put_files(root)
    server = host(fine)
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    obtain(SPEC, root, [server.source], CALM)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before
    assert server.ranges == []


def test_a_corrupted_file_is_named_and_left_as_it_is(root, host):
    put_files(root)
    cut = root / FOLDER / "data_batch_3"
    cut.write_bytes(FILES["data_batch_3"][:123])
    server = host(fine)
    with pytest.raises(CorruptedDataError) as error:
        obtain(SPEC, root, [server.source], CALM)
    for part in (str(cut), "123 bytes", md5(FILES["data_batch_3"]), "Delete it and run again"):
        assert part in str(error.value)
    assert cut.stat().st_size == 123
    assert server.ranges == []


def test_deleting_the_corrupted_file_as_told_repairs_the_folder(root):
    put_files(root)
    put(archive_in(root), ARCHIVE)
    (root / FOLDER / "data_batch_3").unlink()
    obtain(SPEC, root, [], CALM)
    assert stands(root)


def test_an_archive_that_is_there_is_extracted_without_asking_and_kept(root):
    put(archive_in(root), ARCHIVE)
    obtain(SPEC, root, [], CALM)
    assert stands(root)
    assert archive_in(root).read_bytes() == ARCHIVE


def test_a_truncated_archive_is_refused_and_not_overwritten(root, host):
    put(archive_in(root), ARCHIVE[:HALF])
    server = host(fine)
    with pytest.raises(CorruptedDataError) as error:
        obtain(SPEC, root, [server.source], CALM)
    for part in (str(archive_in(root)), f"{HALF:,} bytes", f"{len(ARCHIVE):,} bytes", SPEC.md5):
        assert part in str(error.value)
    assert archive_in(root).read_bytes() == ARCHIVE[:HALF]
    assert not (root / FOLDER).exists()
    assert server.ranges == []


def test_only_the_known_files_are_extracted(root, tmp_path):
    put(archive_in(root), ARCHIVE)
    obtain(SPEC, root, [], CALM)
    visible = {path.name for path in root.iterdir() if not path.name.startswith(".")}
    assert visible == {SPEC.filename, FOLDER}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_file_that_is_extracted_wrongly_does_not_get_its_name(root):
    put(archive_in(root), ARCHIVE)
    files = tuple((name, "0" * 32 if name == "test_batch" else md5) for name, md5 in SPEC.files)
    with pytest.raises(CorruptedDataError, match="test_batch"):
        obtain(replace(SPEC, files=files), root, [], CALM)
    assert not list((root / FOLDER).glob("*test_batch*"))


# ---- one source to another


def test_a_download_ends_in_verified_files_and_shows_progress_as_text(root, host, capsys):
    server = host(fine)
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    assert archive_in(root).read_bytes() == ARCHIVE
    assert not part_in(root).exists()
    output = capsys.readouterr()
    assert "fine: 100%" in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("bad", "answer"),
    [
        (not_found, "answered 404 Not Found"),
        (internal_error, "answered 500"),
        (web_page, "sent a web page"),
        (other_size, "has another file"),
        (other_bytes, "sent another file"),
        (endless, "sent another file"),
        (breaking_off, f"stopped after {HALF:,} of"),
    ],
)
def test_a_bad_source_is_left_for_the_next(root, host, capsys, bad, answer):
    first, second = host(bad), host(fine)
    obtain(SPEC, root, [first.source, second.source], CALM)
    assert stands(root)
    assert len(first.ranges) == len(second.ranges) == 1
    said = capsys.readouterr().err
    assert f"{bad.__name__} {answer}" in said
    assert "Next: fine." in said


def test_a_source_that_is_down_is_left_for_the_next(root, host, capsys):
    obtain(SPEC, root, [down(), host(fine).source], CALM)
    assert stands(root)
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize("silent", [stalling, mute])
def test_a_source_that_falls_silent_is_left_for_the_next(root, host, capsys, silent):
    patience = replace(CALM, stall_seconds=0.7)
    obtain(SPEC, root, [host(silent).source, host(fine).source], patience)
    assert stands(root)
    assert f"{silent.__name__} sent nothing for 0.7 s. Next: fine." in capsys.readouterr().err


HURRIED = replace(CALM, crawl_bytes_per_second=10_000_000, crawl_seconds=0.2)


def test_a_crawling_source_is_left_and_the_next_goes_on_where_it_was(root, host, capsys):
    slow, fast = host(crawling), host(fine)
    obtain(SPEC, root, [slow.source, fast.source], HURRIED)
    assert stands(root)
    assert 0 < fast.sent < len(ARCHIVE)
    assert fast.ranges == [f"bytes={len(ARCHIVE) - fast.sent}-"]
    assert "crawling sends only" in capsys.readouterr().err


def test_the_last_source_may_crawl(root, host):
    slow = host(crawling)
    obtain(SPEC, root, [down(), slow.source], HURRIED)
    assert stands(root)
    assert slow.ranges == [None]


def test_the_fastest_crawling_source_is_preferred_to_one_known_to_be_slower(root, host):
    slow, slower = host(crawling), host(fine)
    throttled = replace(slower.source, usual_bytes_per_second=1)
    obtain(SPEC, root, [slow.source, down(), throttled], HURRIED)
    assert stands(root)
    assert len(slow.ranges) == 2
    assert slower.ranges == []


def test_a_crawling_source_is_asked_again_when_the_others_fail(root, host):
    slow = host(crawling)
    obtain(SPEC, root, [slow.source, down()], HURRIED)
    assert stands(root)
    first, second = slow.ranges
    assert first is None
    assert second is not None


def test_a_slow_source_says_how_long_it_will_take(root, host, capsys):
    source = replace(host(fine).source, usual_bytes_per_second=len(ARCHIVE) // 600)
    obtain(SPEC, root, [source], CALM)
    asked, expected = capsys.readouterr().err.split("fine; it has 20 s to answer.")
    assert "minutes" not in asked and "fine is slow: expect about 10 minutes." in expected


def test_a_slow_source_that_does_not_answer_is_not_waited_for(root, capsys):
    source = replace(down(), usual_bytes_per_second=1)
    with pytest.raises(DatasetUnavailableError):
        obtain(SPEC, root, [source], CALM)
    said = capsys.readouterr().err
    assert "down failed (Connection refused)." in said and "minutes" not in said


@pytest.mark.parametrize(
    "failure",
    [socket.gaierror(-2, "Name or service not known"), OSError(errno.ENETUNREACH, "unreachable")],
)
def test_no_network_is_called_by_its_name(root, monkeypatch, failure):
    def fail(*args: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(DatasetUnavailableError, match="no network connection") as error:
        obtain(SPEC, root, [down()], CALM)
    assert "Errno" not in str(error.value)


def test_a_redirect_is_followed_with_its_range(root, host):
    put(part_in(root), ARCHIVE[:HALF])
    target = host(fine)
    obtain(SPEC, root, [host(redirecting_to(target.source.url)).source], CALM)
    assert stands(root)
    assert target.ranges == [f"bytes={HALF}-"]


@pytest.mark.parametrize(
    ("scheme", "answer"), [("file", "answered 302.*not allowed"), ("ftp", "ftp is not supported")]
)
def test_a_redirect_away_from_http_is_refused(root, host, tmp_path, scheme, answer):
    put(archive_in(tmp_path), ARCHIVE)
    url = archive_in(tmp_path).as_uri().replace("file://", f"{scheme}://localhost")
    with pytest.raises(DatasetUnavailableError, match=answer):
        obtain(SPEC, root, [host(redirecting_to(url)).source], CALM)


# ---- interruption


def test_half_a_file_is_never_taken_for_a_whole_one(root, host):
    with pytest.raises(DatasetUnavailableError):
        obtain(SPEC, root, [host(breaking_off).source], CALM)
    assert not archive_in(root).exists()
    assert not (root / FOLDER).exists()
    assert part_in(root).read_bytes() == ARCHIVE[:HALF]


def test_a_resumed_download_asks_only_for_what_is_missing(root, host):
    put(part_in(root), ARCHIVE[:HALF])
    server = host(fine)
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    assert server.ranges == [f"bytes={HALF}-"]
    assert server.sent == len(ARCHIVE) - HALF


def test_a_source_that_broke_off_is_asked_to_go_on(root, host):
    server = host(breaking_off_once)
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert server.sent == len(ARCHIVE)


def test_a_source_that_always_breaks_off_at_the_same_place_is_given_up(root, host):
    server = host(breaking_off)
    with pytest.raises(DatasetUnavailableError):
        obtain(SPEC, root, [server.source], CALM)
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_a_server_that_ignores_range_starts_clean(root, host):
    put(part_in(root), ARCHIVE[:HALF])
    server = host(ignoring_range)
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    assert server.ranges == [f"bytes={HALF}-"]


def test_an_answer_with_another_range_starts_clean(root, host):
    put(part_in(root), ARCHIVE[:HALF])
    server = host(answering_another_range)
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    assert server.ranges == [f"bytes={HALF}-", None]


def test_a_damaged_part_is_discarded_and_the_same_source_asked_from_the_start(root, host):
    put(part_in(root), bytes(HALF))
    server = host(fine)
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    assert server.ranges == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("bad", [web_page, other_size, not_found])
def test_a_bad_source_does_not_cost_what_is_there(root, host, bad):
    put(part_in(root), ARCHIVE[:HALF])
    server = host(fine)
    obtain(SPEC, root, [host(bad).source, server.source], CALM)
    assert server.ranges == [f"bytes={HALF}-"]


def test_a_part_that_is_already_whole_is_used_without_asking(root):
    put(part_in(root), ARCHIVE)
    obtain(SPEC, root, [], CALM)
    assert stands(root)
    assert not part_in(root).exists()


def test_a_part_that_is_too_long_is_discarded(root, host):
    put(part_in(root), ARCHIVE + b"more")
    server = host(fine)
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    assert server.ranges == [None]


# ---- other processes


def in_another_process(root: Path, source: Source) -> multiprocessing.process.BaseProcess:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["cifar_lab.data.download"])  # imported once for all of them
    process = processes.Process(target=obtain, args=(SPEC, root, [source], CALM))
    process.start()
    return process


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_download_whose_process_was_killed_goes_on_where_it_stopped(root, host):
    process = in_another_process(root, host(stalling).source)
    wait_until(lambda: part_in(root).exists() and part_in(root).stat().st_size > HALF - 8192)
    process.kill()
    process.join()
    kept = part_in(root).stat().st_size
    assert not archive_in(root).exists()

    server = host(fine)
    obtain(SPEC, root, [server.source], CALM)  # the lock of the dead does not block either
    assert stands(root)
    assert server.ranges == [f"bytes={kept}-"]
    assert server.sent == len(ARCHIVE) - kept


def test_of_two_processes_one_downloads_and_the_other_waits(root, host, capsys):
    server = host(crawling)
    process = in_another_process(root, server.source)
    wait_until(lambda: bool(server.ranges))
    obtain(SPEC, root, [server.source], CALM)
    assert stands(root)
    process.join()
    assert process.exitcode == 0
    assert server.ranges == [None]
    assert "Another process is getting cifar-10-python.tar.gz" in capsys.readouterr().err


# ---- nothing works


def test_the_error_says_what_was_tried_and_offers_three_ways_on(tmp_path, monkeypatch, host):
    monkeypatch.chdir(tmp_path)
    sources = [down(), host(not_found).source, host(other_bytes).source]
    with pytest.raises(DatasetUnavailableError) as error:
        obtain(SPEC, Path("data"), sources, CALM)
    lines = str(error.value).splitlines()
    for source, answer in zip(sources, ("failed", "answered 404", "sent another"), strict=True):
        (line,) = (line for line in lines if source.url in line)
        assert f"{source.name} {answer}" in line
    archive, folder, synthetic = lines[-3:]
    for part in (SPEC.filename, SPEC.md5, str(tmp_path / "data"), "run the same command"):
        assert part in archive
    for part in ("--data", "CIFAR_LAB_DATA", FOLDER):
        assert part in folder
    for part in ('load("synthetic")', "--dataset synthetic"):
        assert part in synthetic
    assert not archive_in(tmp_path / "data").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_root_that_cannot_be_made_says_so_and_what_to_do(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetUnavailableError) as error:
        obtain(SPEC, tmp_path / place, [], CALM)
    for part in (str(tmp_path / place), "writable folder", "--data", "CIFAR_LAB_DATA"):
        assert part in str(error.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, always out of space")
def test_a_full_disk_is_called_by_its_name(root, host):
    root.mkdir()
    part_in(root).symlink_to("/dev/full")
    with pytest.raises(DatasetUnavailableError, match=r"No space left.*Free up to \d+ MB.*kept"):
        obtain(SPEC, root, [host(fine).source], CALM)
    assert part_in(root).is_symlink()


# ---- the official files, mirrors


def test_ensure_files_takes_a_dataset_by_name(root, host, monkeypatch):
    monkeypatch.setattr("cifar_lab.data.download.spec_for", {"cifar10": SPEC}.get)
    ensure_files("cifar10", root, sources=[host(fine).source], patience=CALM)
    assert stands(root)


def test_ensure_files_asks_the_course_mirror_first(root, host, monkeypatch):
    monkeypatch.setattr("cifar_lab.data.download.spec_for", {"cifar10": SPEC}.get)
    monkeypatch.setenv("CIFAR_LAB_MIRROR", host(fine).url)
    ensure_files("cifar10", root)
    assert stands(root)


@pytest.mark.parametrize("written_as", [str, Path.as_uri])
def test_the_course_mirror_may_be_a_folder(root, tmp_path, monkeypatch, written_as):
    mirror = tmp_path / "a mirror"
    put(archive_in(mirror), ARCHIVE)
    monkeypatch.setenv("CIFAR_LAB_MIRROR", written_as(mirror))
    obtain(SPEC, root, sources_for("cifar10")[:1], CALM)
    assert stands(root)
    assert archive_in(mirror).read_bytes() == ARCHIVE


def test_a_mirror_folder_without_the_archive_is_left_for_the_next(
    root, tmp_path, host, monkeypatch
):
    monkeypatch.setenv("CIFAR_LAB_MIRROR", str(tmp_path))
    obtain(SPEC, root, [*sources_for("cifar10")[:1], host(fine).source], CALM)
    assert stands(root)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_sources_run_from_the_course_mirror_to_the_official_host(dataset, monkeypatch):
    filename = spec_for(dataset).filename
    public = sources_for(dataset)
    assert len(public) >= 2
    assert all(source.url.startswith("https://") for source in public)
    assert all(source.url.endswith(f"/{filename}") for source in public)
    assert public[-1].url.startswith("https://www.cs.toronto.edu/~kriz/")
    monkeypatch.setenv("CIFAR_LAB_MIRROR", "http://mirror.example/cifar/")
    own, *others = sources_for(dataset)
    assert own.url == f"http://mirror.example/cifar/{filename}"
    assert others == public


def test_the_official_files_are_those_that_the_authors_published():
    cifar10, cifar100 = spec_for("cifar10"), spec_for("cifar100")
    assert (cifar10.filename, cifar10.folder) == ("cifar-10-python.tar.gz", FOLDER)
    assert (cifar10.size, cifar10.md5) == (170_498_071, "c58f30108f718f92721af3b95e74349a")
    assert {name for name, _ in cifar10.files} == set(NAMES)
    assert (cifar100.filename, cifar100.folder) == ("cifar-100-python.tar.gz", "cifar-100-python")
    assert cifar100.md5 == "eb9058c3a382ffc7106e4002c42a8d85"
    assert {name for name, _ in cifar100.files} == {"train", "test", "meta"}


def test_another_dataset_is_refused_with_the_known_names(root):
    with pytest.raises(ValueError, match="cifar10.*cifar100"):
        ensure_files("cifar-10", root)
    assert not root.exists()


# ---- datasets that Kaggle attached


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    folder = tmp_path / "kaggle" / "input"
    folder.mkdir(parents=True)
    for module in ("attached", "download"):
        monkeypatch.setattr(f"cifar_lab.data.{module}.INPUT", folder)
    return folder


def placed(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / FOLDER).iterdir()}


@pytest.mark.parametrize("inside", ["", FOLDER, f"owner/datasets/cifar/{FOLDER}"])
def test_files_in_an_attached_dataset_are_taken_without_a_network(tmp_path, kaggle, inside):
    folder = kaggle / "cifar10-python" / inside
    folder.mkdir(parents=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    obtain(SPEC, tmp_path / "data", [], CALM)
    assert placed(tmp_path / "data") == FILES


def test_an_archive_in_an_attached_dataset_is_extracted_and_stays(tmp_path, kaggle):
    archive = kaggle / "cifar" / SPEC.filename
    archive.parent.mkdir()
    archive.write_bytes(ARCHIVE)
    obtain(SPEC, tmp_path / "data", [], CALM)
    assert placed(tmp_path / "data") == FILES
    assert archive.read_bytes() == ARCHIVE
    assert not (tmp_path / "data" / SPEC.filename).exists()


def test_attached_files_of_other_content_are_left_alone(tmp_path, kaggle):
    for name in NAMES:
        (kaggle / name).write_bytes(b"of another dataset")
    with pytest.raises(DatasetUnavailableError, match="Add Input"):
        obtain(SPEC, tmp_path / "data", [], CALM)
