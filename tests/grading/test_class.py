"""Grading from the command line: one submission with pytest, a class with `cifar-lab grade`."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from handed_in.correct import CORRECT, plain_a
from handed_in.making import HandedIn
from handed_in.mutants import MUTANTS
from site_exports import (
    Someone,
    brightspace,
    brightspace_grades,
    canvas,
    canvas_gradebook,
    gradescope,
    moodle,
    moodle_worksheet,
    packed,
    zip_bytes,
)

from cifar_lab.cli.main import main
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import read_grade
from cifar_lab.grading.sessions import class_session, running
from cifar_lab.grading.sessions.class_list import ClassList, write_settings
from cifar_lab.grading.sessions.grade_class import LOCK
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import FAILED

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ALL = {name: (mutant.assignment, mutant.make) for name, mutant in MUTANTS.items()} | CORRECT


def grade(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cifar_lab.cli.main", "grade", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, check=False, cwd=cwd
    )


@dataclass
class Said:
    """What a command said, as `grade` tells it."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def grade_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """The command in this process, which saves seconds: its session without pytest's workers."""

    def run_session(class_: ClassList, settings: Settings, out: Path, jobs: int) -> object:
        class_.write(out / running.LIST)
        write_settings(settings, out / running.SETTINGS)
        options = {"submissions": out / running.LIST, "settings": out / running.SETTINGS}
        options |= {"reports": out, "assignment": settings.assignment}
        request = SimpleNamespace(config=SimpleNamespace(getoption=options.get))
        progress = running.Progress(list(class_.folders))
        for number, name in enumerate(class_.folders):
            said: dict[str, str] = {}
            class_session.test_has_a_grade(name, request, said.__setitem__)
            progress.pytest_runtest_logreport(
                SimpleNamespace(
                    when="call", failed=False, nodeid=f"[{number}]", user_properties=said.items()
                )
            )
        return progress, 0

    def grade_in_this_process(*arguments: object) -> Said:
        status = main(["grade", *map(str, arguments)])
        return Said(status, *capsys.readouterr())

    monkeypatch.setattr(running, "run_session", run_session)
    monkeypatch.setenv(class_session.ISOLATION, isolation_level())
    return grade_in_this_process


def table(out: Path) -> dict[str, dict[str, str]]:
    """The rows of the class's table, by submission."""
    text = (out / "grades.csv").read_text(encoding="utf-8-sig")
    return {row["submission"]: row for row in csv.DictReader(io.StringIO(text))}


@pytest.fixture
def unreadable_class(tmp_path: Path) -> Path:
    """Three submissions that are graded at once, since nothing in them can be run."""
    for name in ("anna", "bert", "carl"):
        folder = tmp_path / "class" / name
        folder.mkdir(parents=True)
        (folder / "notebook.ipynb").write_text(name)
    return tmp_path / "class"


def test_what_is_graded_and_unchanged_is_kept_and_what_changed_is_graded_again(
    unreadable_class: Path, tmp_path: Path
) -> None:
    arguments = [unreadable_class, "--assignment", "a", "--jobs", 2, "--out", tmp_path / "out"]
    arguments += ["--data", tmp_path / "nothing"]
    first = grade(*arguments)
    assert first.returncode == 0, first.stderr
    lines = [line for line in first.stdout.splitlines() if not line.startswith("Isolation")]
    assert [line.startswith("[") for line in lines] == [True] * 3 + [False] * 2, first.stdout
    assert first.stderr == "", "nothing but what an instructor reads"
    assert "[3/3]" in first.stdout
    assert "unchanged" not in first.stdout
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/grade.json")}
    assert len(times) == 3
    (unreadable_class / "bert" / "notebook.ipynb").write_text("changed")
    (tmp_path / "out" / "carl").rename(tmp_path / "kept")
    (tmp_path / "out" / "carl").write_text("a file where a folder should be")
    second = grade(*arguments)
    assert second.returncode == 3, "the grader itself failed at one"
    assert second.stdout.count("unchanged") == 1
    assert "carl: GRADER ERROR" in second.stdout
    anna, bert = (tmp_path / "out" / name / "grade.json" for name in ("anna", "bert"))
    assert anna.stat().st_mtime_ns == times[anna]
    assert bert.stat().st_mtime_ns != times[bert]
    statuses = [row["status"] for row in table(tmp_path / "out").values()]
    assert statuses == ["graded", "graded", "grader error"]


def grading(submissions: Path, out: Path) -> list[str | Path]:
    """The command's arguments, without any dataset."""
    return [submissions, "--assignment", "a", "--out", out, "--data", out / "no dataset"]


def test_one_student_is_graded_again_and_the_others_are_kept(
    unreadable_class: Path, tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    out = tmp_path / "out"
    arguments = grading(unreadable_class, out)
    grade_here(*arguments)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/grade.json")}
    (unreadable_class / "carl" / "notebook.ipynb").write_text("changed")
    result = grade_here(*arguments, "--only", "bert")
    assert result.returncode == 0, result.stderr
    assert "[1/1] bert" in result.stdout
    assert "unchanged" not in result.stdout
    changed = [path.parent.name for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == ["bert"]
    assert list(table(out)) == ["anna", "bert", "carl"], "the whole table"
    assert "grade without --only: carl." in result.stdout
    unknown = grade_here(*arguments, "--only", "berta")
    assert unknown.returncode == 1
    assert "Did you mean 'bert'" in unknown.stderr


def test_the_instructors_word_and_other_points_run_nothing_again(
    unreadable_class: Path, tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    out = tmp_path / "out"
    arguments = grading(unreadable_class, out)
    grade_here(*arguments)
    report = out / "anna" / "report.html"
    before, untouched = report.read_bytes(), (out / "bert" / "report.html").stat().st_mtime_ns
    words = tmp_path / "words.json"
    check = {"submission_readable": {"points": 1.5, "reason": "It could be read by hand."}}
    words.write_text(json.dumps({"students": {"anna": {"checks": check, "comment": "Ask me."}}}))
    result = grade_here(*arguments, "--overrides", words)
    assert result.stdout.count("unchanged") == 3
    assert table(out)["anna"]["points"] == "1.5"
    assert "It could be read by hand." in report.read_text()
    assert (out / "bert" / "report.html").stat().st_mtime_ns == untouched
    written = read_grade(out / "anna")
    assert written is not None
    assert written.earned == 0, "the grader's own word stays what it is"
    grade_here(*arguments, "--only", "anna", "--overrides", words)
    assert "It could be read by hand." in report.read_text()
    settings = tmp_path / "settings.json"
    settings.write_text('{"points": {"submission_readable": 40}}')
    result = grade_here(*arguments, "--settings", settings)
    assert result.stdout.count("unchanged") == 3
    assert table(out)["anna"]["of"] > table(out)["bert"]["points"]
    assert "of 40" in report.read_text()
    grade_here(*arguments)
    now = report.read_bytes()
    assert b"by hand" not in now
    assert len(now) - len(before) in range(-2, 3), "as it was, but for the seconds"


def test_an_unknown_student_in_the_overrides_is_said_before_anything_is_graded(
    unreadable_class: Path, tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    words = tmp_path / "words.json"
    words.write_text('{"students": {"ana": {"late_days": 1}}}')
    arguments = [unreadable_class, "--assignment", "a", "--out", tmp_path / "out"]
    result = grade_here(*arguments, "--overrides", words)
    assert result.returncode == 1
    assert "'anna'" in result.stderr
    assert "[" not in result.stdout.replace("[1", "")


def test_paths_may_be_relative(
    unreadable_class: Path,
    tmp_path: Path,
    grade_here: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "template.md").write_text("our words")
    (tmp_path / "course.json").write_text('{"template": "template.md", "min_words": 10}')
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    arguments = ["class", "--assignment", "a", "--out", "out", "--settings", "course.json"]
    first = grade_here(*arguments)
    assert first.returncode == 0, first.stderr
    assert grade_here(*arguments).stdout.count("unchanged") == 3


MARK = "import pathlib\npathlib.Path({!r}).write_text(__name__)\n"
STRAY = ("types", "enum", "execnet", "warnings", "conftest", "pytest", "xdist", "torch")


@pytest.mark.skipif(not Path(sys.executable).with_name("cifar-lab").exists(), reason="no command")
def test_nothing_in_the_current_folder_is_run(unreadable_class: Path, tmp_path: Path) -> None:
    """Neither stray files nor students' folders that are called as modules are."""
    mark = MARK.format(str(tmp_path / "was-run"))
    for name in STRAY:
        (unreadable_class / f"{name}.py").write_text(mark)
    for name in ("typing", "json", "numpy"):
        (unreadable_class / name).mkdir()
        (unreadable_class / name / "__init__.py").write_text(mark)
        (unreadable_class / name / "notebook.ipynb").write_text("")
    (unreadable_class / "pytest.ini").write_text("[pytest]\naddopts = -p types\n")
    command = [str(Path(sys.executable).with_name("cifar-lab")), "grade", ".", "--assignment", "a"]
    result = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, cwd=unreadable_class, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "[6/6]" in result.stdout
    assert not (tmp_path / "was-run").exists(), (tmp_path / "was-run").read_text()
    assert set(table(unreadable_class / "grades-a")) == {
        "anna",
        "bert",
        "carl",
        "json",
        "numpy",
        "typing",
    }
    for name in (*STRAY, "pytest"):
        assert name in result.stdout, "each is named"
    pytest_command = str(Path(sys.executable).with_name("pytest"))
    command = [pytest_command, "--pyargs", "cifar_lab.grading", "-c", os.devnull, "--noconftest"]
    command += ["-p", "no:cacheprovider", "--submission=anna", "--assignment", "a"]
    result = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, cwd=unreadable_class, check=False
    )
    assert result.returncode == 1, result.stdout
    assert not (tmp_path / "was-run").exists(), (tmp_path / "was-run").read_text()


NAMES = ("grades.csv", "class.html", ".name", "__name", "-rf", "new\nline", "\x1b[2J", "\u202etxt")


def test_whatever_a_students_folder_is_called_it_is_in_the_table(
    unreadable_class: Path, tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    for name in NAMES:
        (unreadable_class / name).mkdir()
        (unreadable_class / name / "notebook.ipynb").write_text("")
    (unreadable_class / "anna" / LOCK).touch()
    out = tmp_path / "out"
    result = grade_here(
        unreadable_class, "--assignment", "a", "--out", out, "--data", tmp_path / "nothing"
    )
    assert result.returncode == 0, result.stderr
    rows = table(out)
    assert len(rows) == 3 + len(NAMES)
    assert len(list(out.glob("*/report.html"))) == 3 + len(NAMES)
    assert not any(character in result.stdout for character in "\x1b\u202e")
    assert all(line.isprintable() for line in result.stdout.splitlines())
    assert all(cell.isprintable() for row in rows.values() for cell in row.values())


def test_a_download_is_collected_graded_and_filled_into_the_gradebook(
    tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    class_ = [
        Someone("Anna", "Muster", 11, {"notebook.ipynb": b"anna"}),
        Someone("Bert", "Ode", 12, {"work.zip": b"no archive"}),
        Someone("Carl", "Poe", 13, {"notebook-1.ipynb": b"carl"}, late=True),
    ]
    path = packed(canvas(tmp_path / "download", class_))
    (tmp_path / "book.csv").write_bytes(canvas_gradebook(class_))
    arguments = [path, "--assignment", "a", "--out", tmp_path / "out"]
    arguments += ["--data", tmp_path / "nothing", "--gradebook", tmp_path / "book.csv"]
    result = grade_here(*arguments)
    assert result.returncode == 3, "one has no grade"
    assert "Canvas: 3 submissions, 3 files, 1 late" in result.stdout
    assert "odebert_12  NOT GRADED" in result.stdout
    assert "[2/2]" in result.stdout
    statuses = {name: row["status"] for name, row in table(tmp_path / "out").items()}
    assert statuses["odebert_12"] == "not graded yet"
    assert (tmp_path / "out" / "collected" / "poecarl_13" / "notebook-1.ipynb").exists()
    assert "notebook-1.ipynb" in (tmp_path / "out" / "collected.csv").read_text(encoding="utf-8")
    filled = (tmp_path / "out" / "book-filled.csv").read_text(encoding="utf-8-sig")
    found = {row["ID"]: row for row in csv.DictReader(io.StringIO(filled))}
    points = {number: found[number]["Assignment A (4711)"] for number in ("11", "12", "13")}
    assert points["12"] == "", "no zero for whom nothing could be looked at"
    assert "Gradebook: " in result.stdout
    again = grade_here(*arguments)
    assert again.stdout.count("unchanged") == 2
    assert len(list((tmp_path / "out").glob("book-filled*.csv"))) == 1, "the same content"


def test_a_gradebook_that_can_not_be_filled_is_said_before_anything_is_graded(
    unreadable_class: Path, tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    arguments = [unreadable_class, "--assignment", "a", "--out", tmp_path / "out"]
    result = grade_here(*arguments, "--gradebook", tmp_path / "nothing.csv")
    assert result.returncode == 1
    assert "no gradebook" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_machine_is_looked_at_before_the_class(
    unreadable_class: Path, tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    (unreadable_class / "dora.zip").write_bytes(b"no archive")
    arguments = ["--check", "--assignment", "a", "--data", tmp_path / "nothing"]
    result = grade_here(*arguments, unreadable_class, "--out", tmp_path / "out")
    assert result.returncode == 1, "there is no dataset"
    assert "Dataset:" in result.stdout
    assert "dora  NOT GRADED: dora.zip is damaged" in result.stdout
    assert not (tmp_path / "out").exists()
    alone = grade_here(*arguments)
    assert "Dataset:" in alone.stdout


@pytest.mark.slow
def test_settings_of_pytest_in_a_submission_are_not_taken(
    unreadable_class: Path, tmp_path: Path
) -> None:
    (unreadable_class / "anna" / "helpers_of_anna.py").write_text("import os; os._exit(0)")
    (unreadable_class / "anna" / "pytest.ini").write_text(
        "[pytest]\naddopts = -p helpers_of_anna\npythonpath = .\n"
    )
    assert pytest_on(unreadable_class / "anna", "a", tmp_path / "reports") == 1
    assert read_grade(tmp_path / "reports") is not None


def test_settings_of_pytest_from_a_submission_are_refused(
    unreadable_class: Path, tmp_path: Path
) -> None:
    (unreadable_class / "anna" / "pytest.ini").write_text("[pytest]\nminversion = 2\n")
    command = [sys.executable, "-m", "pytest", "--pyargs", "cifar_lab.grading", "--assignment", "a"]
    command += ["--submission", str(unreadable_class / "anna")]
    result = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path, check=False
    )
    assert result.returncode == 4
    assert "--submission=PATH" in result.stderr


def test_two_runs_do_not_grade_into_one_folder(
    unreadable_class: Path, tmp_path: Path, grade_here: Callable[..., Said]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = grade_here(unreadable_class, "--assignment", "a", "--out", out)
    assert result.returncode == 1
    assert "Another run is grading" in result.stderr
    assert not list(out.glob("*/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "--assignment", "a"), "There is no folder nowhere"),
        ((".", "--assignment", "a", "--jobs", "0"), "no sub-folders"),
    ],
)
def test_a_wrong_class_folder_is_named(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["grade", *arguments]) == 1


def pytest_on(folder: Path, assignment: str, reports: Path) -> int:
    command = [sys.executable, "-m", "pytest", "--pyargs", "cifar_lab.grading", "-q"]
    command += [f"--submission={folder}", "--assignment", assignment]
    command += ["--dataset", "synthetic", "--reports", str(reports), "-p", "no:cacheprovider"]
    result = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, cwd=reports.parent, check=False
    )
    return result.returncode


def test_pytest_grades_a_submission_from_any_folder(unreadable_class: Path, tmp_path: Path) -> None:
    assert pytest_on(unreadable_class / "anna", "a", tmp_path / "reports") == 1
    written = read_grade(tmp_path / "reports")
    assert written is not None
    failed = [one.check for one in written.verdicts if one.status == FAILED]
    assert failed == ["submission_readable", "weights_load"]


@pytest.mark.slow
def test_pytest_tells_a_grader_error_by_its_exit_status(
    unreadable_class: Path, tmp_path: Path
) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    assert pytest_on(unreadable_class / "anna", "a", tmp_path / "reports") not in (0, 1)


def verdicts(reports: Path) -> dict[str, str]:
    written = read_grade(reports)
    assert written is not None
    return {one.check: one.status for one in written.verdicts}


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("assignment", ["a", "b"])
def test_both_commands_give_the_verdicts_of_the_table(assignment: str, tmp_path: Path) -> None:
    limits = tmp_path / "limits.json"
    limits.write_text('{"run": {"wall_seconds": 90, "memory_mib": 2048, "file_mib": 64}}')
    chosen = {name: make for name, (which, make) in ALL.items() if which == assignment}
    for name, make in chosen.items():
        make().write(tmp_path / "class" / name)
    out = tmp_path / "out"
    result = grade(
        tmp_path / "class",
        "--assignment",
        assignment,
        "--jobs",
        2,
        "--out",
        out,
        "--dataset",
        "synthetic",
        "--settings",
        limits,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (tmp_path / "single").mkdir()
    with ThreadPoolExecutor(2) as pool:  # as many processes as the class had
        for name in chosen:
            folder, reports = tmp_path / "class" / name, tmp_path / "single" / name
            pool.submit(pytest_on, folder, assignment, reports)
    wrong = {}
    for name in chosen:
        expected = MUTANTS[name].failed if name in MUTANTS else frozenset()
        by_class = verdicts(out / name)
        by_pytest = verdicts(tmp_path / "single" / name)
        failed = {check for check, status in by_class.items() if status == FAILED}
        if by_class != by_pytest or failed != expected:
            wrong[name] = (by_class, by_pytest)
    assert not wrong


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_kill_in_the_middle_loses_no_finished_grade(tmp_path: Path) -> None:
    one = plain_a().write(tmp_path / "one")
    for number in range(6):
        shutil.copytree(one, tmp_path / "class" / f"student{number}")
    arguments = [tmp_path / "class", "--assignment", "a", "--jobs", 2, "--out", tmp_path / "out"]
    arguments += ["--dataset", "synthetic"]
    command = [sys.executable, "-m", "cifar_lab.cli.main", "grade", *map(str, arguments)]
    process = subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True)
    while len(list((tmp_path / "out").glob("*/grade.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.read_bytes() for path in (tmp_path / "out").glob("*/grade.json")}
    assert 2 <= len(finished) < 6
    result = grade(*arguments)
    assert result.returncode == 0
    assert result.stdout.count("unchanged") == len(finished)
    assert all(path.read_bytes() == content for path, content in finished.items())
    assert len(list(csv.DictReader((tmp_path / "out" / "grades.csv").open()))) == 6


SITES: dict[str, tuple[Callable[..., Path], Callable[..., bytes], str]] = {
    "Canvas": (canvas, canvas_gradebook, "canvas"),
    "Moodle": (moodle, moodle_worksheet, "moodle"),
    "Brightspace": (brightspace, brightspace_grades, "brightspace"),
    "Gradescope": (gradescope, canvas_gradebook, "sid"),
}
MUTANT = "softmax before cross-entropy"


def written(make: Callable[[], HandedIn], folder: Path) -> dict[str, bytes]:
    """A submission's files."""
    shutil.rmtree(folder, ignore_errors=True)
    make().write(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def packed_with_harm(files: dict[str, bytes], path: Path) -> bytes:
    """A correct submission in an archive that also leads elsewhere."""
    link = zipfile.ZipInfo("link.ipynb")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in [*files.items(), ("../../../escaped.ipynb", b"")]:
            archive.writestr(name, content)
        archive.writestr(link, "/etc/passwd")
    return path.read_bytes()


def class_of_ten(scratch: Path, first: int) -> list[Someone]:
    """Correct, renamed, packed, wrong, hostile and broken submissions, each with a number."""
    correct, wrong = written(plain_a, scratch / "a"), written(MUTANTS[MUTANT].make, scratch / "b")
    renamed = {f"{Path(one).stem}-1{Path(one).suffix}": data for one, data in correct.items()}
    encrypted = bytearray(zip_bytes(correct, scratch))
    for place in (encrypted.index(b"PK\x03\x04") + 6, encrypted.index(b"PK\x01\x02") + 8):
        encrypted[place] |= 1
    given = {
        "Plain": correct,
        "Renamed": renamed,
        "Packed": {"work.zip": zip_bytes({f"work/{n}": d for n, d in correct.items()}, scratch)},
        "Wrong": wrong,
        "Harm": {"work.zip": packed_with_harm(correct, scratch / "harm.zip")},
        "Bomb": {"work.zip": zip_bytes({"notebook.ipynb": bytes(100 * 2**20)}, scratch)},
        "Encrypted": {"work.zip": bytes(encrypted)},
        "Broken": {"notebook.ipynb": b"not JSON"},
        "Essay": {"essay.pdf": b"%PDF"},
        "=1+1🎉": {"notebook.ipynb": b"{}"},
    }
    return [
        Someone("É.", last, first + place, files, late=last == "Essay")
        for place, (last, files) in enumerate(given.items())
    ]


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
@pytest.mark.parametrize("site", list(SITES))
def test_a_class_goes_from_the_download_to_the_gradebook(site: str, tmp_path: Path) -> None:
    """Ten students on each of four sites, by the commands on the instructor's page."""
    export, gradebook, kind = SITES[site]
    class_ = class_of_ten(tmp_path, 10 * list(SITES).index(site) + 11)
    path, book = packed(export(tmp_path / "download", class_)), tmp_path / "book.csv"
    book.write_bytes(gradebook(class_))
    out = tmp_path / "grades"
    arguments = [path, "--assignment", "a", "--jobs", 2, "--dataset", "synthetic", "--out", out]
    assert "NOT GRADED" in grade(*arguments, "--check").stdout
    result = grade(*arguments, "--gradebook", book)
    assert result.returncode == 3, "two have no grade"
    assert f"{site}: 10 submissions" in result.stdout
    assert not list(tmp_path.parent.rglob("escaped.ipynb"))
    last = {str(one.number): one.last for one in class_}
    rows = {last[row[kind].strip("'").removeprefix("00")]: row for row in table(out).values()}
    assert len(rows) == len(class_)
    for name in ("Plain", "Renamed", "Packed", "Harm"):
        assert rows[name]["points"] == rows[name]["of"] == "100", name
    for name in ("Bomb", "Encrypted"):
        assert rows[name]["status"] == "not graded yet"
    found = verdicts(out / rows["Wrong"]["submission"].removeprefix("'"))
    assert {one for one, status in found.items() if status == FAILED} == MUTANTS[MUTANT].failed
    before, after = (cells_of(one) for one in (book, out / "book-filled.csv"))
    filled = [new for old, new in zip(before, after, strict=True) if old != new]
    assert len(filled) == len(class_) - 2
    assert filled.count("100") == 4
    again = grade(*arguments, "--gradebook", book)
    assert again.stdout.count("unchanged") == len(class_) - 2
    assert (out / "class.html").exists()


def cells_of(path: Path) -> list[str]:
    text = io.StringIO(path.read_text(encoding="utf-8-sig"))
    return [cell for row in csv.reader(text) for cell in row]
