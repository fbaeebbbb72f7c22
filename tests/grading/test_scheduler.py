"""A class on a real Dask cluster of processes on loopback: the grades are those of one machine."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dask_processes import Cluster, cluster

from cifar_lab.cli.main import main
from cifar_lab.grading.collecting.collect import collect
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import page, read_grade
from cifar_lab.grading.sessions import keeping, on_worker, packing
from cifar_lab.grading.sessions.fingerprint import Environment, environment, fingerprint
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.sessions.keeping import GRADER_ERROR_FILE, is_current
from cifar_lab.grading.sessions.on_worker import SentSettings, reason_to_refuse
from cifar_lab.grading.settings import Settings

pytest.importorskip("distributed")
NAMES = ("anna", "new\nline", "\u202etxt", "-rf", "grades.csv")
SYNTHETIC = Settings("a", dataset="synthetic")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("two")) as made:
        yield made


@pytest.fixture
def class_(tmp_path: Path) -> Path:
    """Submissions that are graded at once, since nothing in them can be run."""
    for name in NAMES:
        folder = tmp_path / "class" / name / "work"
        folder.mkdir(parents=True)
        (folder / "notebook.ipynb").write_text(name)
        (folder / "weights.pt").symlink_to("/etc/passwd")
    return tmp_path / "class"


def graded(class_: Path, *more: object) -> int:
    arguments = [class_, "--assignment", "a", "--dataset", "synthetic"]
    return main(["grade", *map(str, [*arguments, "--out", class_.parent / "out", *more])])


def statuses(out: Path) -> list[str]:
    rows = csv.DictReader(io.StringIO((out / "grades.csv").read_text(encoding="utf-8-sig")))
    return [row["status"] for row in rows]


def files_of_classes(made: Cluster) -> list[Path]:
    """What lies in the folders of the workers and is not Dask's own."""
    return list(made.folder.glob("scratch/*/worker-*/cifar-lab*"))


def test_grades_are_those_of_one_machine_and_stay_where_nothing_changed(
    two: Cluster, class_: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course = tmp_path / "course.json"
    (tmp_path / "template.md").write_text("our words")
    course.write_text(
        json.dumps({"template": str(tmp_path / "template.md"), "points": {"notebook_runs": 9}})
    )
    more = ["--settings", course]
    assert graded(class_, "--scheduler", two.address, *more) == 0
    said = capsys.readouterr()
    assert "2 workers, 2 submissions at a time." in said.out
    assert "[5/5]" in said.out and "5 of 5 have a grade" in said.out
    assert all(line.isprintable() for line in said.out.splitlines()) and said.err == ""
    out = tmp_path / "out"
    settings = replace(SYNTHETIC, template=tmp_path / "template.md", points={"notebook_runs": 9.0})
    for student in collect(class_, tmp_path / "collected").students:
        name = student.folder
        here = replace(grade_submission(student.path, settings), submission=name)
        there = read_grade(out / name)
        assert there is not None
        assert json.dumps(replace(there, seconds=0).to_dict()) == json.dumps(
            replace(here, seconds=0).to_dict()
        )
        assert "a link to another file" in json.dumps(there.to_dict())
        shown = replace(here, seconds=there.seconds)
        assert (out / name / "report.html").read_text(encoding="utf-8") == page(shown)
    assert statuses(out) == ["graded"] * 5
    assert not files_of_classes(two)
    # Nothing is left to grade, so that nobody is asked, and one machine keeps the grades as well.
    assert graded(class_, "--scheduler", "tcp://127.0.0.1:9", *more) == 0
    assert capsys.readouterr().out.count("unchanged") == 5


def test_one_that_is_too_large_is_named_and_the_others_are_graded(
    two: Cluster,
    class_: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(packing, "MOST_MIB", 1)
    (class_ / "anna" / "work" / "data.bin").write_bytes(bytes(2**20 + 1))
    assert graded(class_, "--scheduler", two.address) == 3
    said = capsys.readouterr().out
    assert "anna: NOT SENT, since it holds more than the 1 MiB" in said
    assert "without --scheduler" in said
    assert sorted(statuses(tmp_path / "out")) == ["graded"] * 4 + ["grader error"]
    assert "NOT SENT" in (tmp_path / "out" / "anna" / GRADER_ERROR_FILE).read_text()


def test_what_the_grader_itself_fails_at_is_reported_and_not_tried_again(
    two: Cluster, class_: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results can't be written where a file is in the folder's place."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "anna").write_text("a file where a folder should be")
    assert graded(class_, "--scheduler", two.address) == 3
    assert "anna: GRADER ERROR, no grade" in capsys.readouterr().out
    assert sorted(statuses(tmp_path / "out")) == ["graded"] * 4 + ["grader error"]


def test_without_a_scheduler_the_error_says_what_to_start(
    class_: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert graded(class_, "--scheduler", "127.0.0.1:9") == 1
    assert "tcp://HOST:8786" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        graded(class_, "--scheduler", "tcp://127.0.0.1:9", "--jobs", 2)


@pytest.mark.slow
@pytest.mark.skipif(isolation_level() != "bubblewrap", reason="no bubblewrap here")
def test_workers_that_lack_something_are_named_by_check_and_not_used(
    two: Cluster, class_: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = Cluster(tmp_path / "lacking")
    lacking.address = two.address
    try:
        lacking.start_worker("no-bubblewrap", environment={"PATH": str(tmp_path)})
        two.wait_for(3)
        assert graded(class_, "--scheduler", two.address, "--check") == 1
        said = capsys.readouterr().out
        assert said.count("✓ Worker tcp://127.0.0.1:") == 2
        assert said.count("✗ Worker tcp://127.0.0.1:") == 1
        assert "by 'process' alone, since bubblewrap is not installed" in said
        assert graded(class_, "--scheduler", two.address) == 0
        said = capsys.readouterr().out
        assert said.count("is not used: it isolates") == 1
        assert "2 workers, 2 submissions at a time." in said
        assert "grade_packed" not in lacking.log("no-bubblewrap")
    finally:
        lacking.close()


def changed(**fields: object) -> Environment:
    return replace(environment(SYNTHETIC), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({}, None),
        ({"checks": "0" * 64}, "files of the checks are others: install the same commit"),
        ({"torch": "1.0+cu92"}, "not 1.0+cu92"),
        ({"packages": (*environment(SYNTHETIC).packages, "timm-9")}, "pip install timm-9 there"),
        ({"packages": environment(SYNTHETIC).packages[1:]}, "the class's machine lacks"),
        ({"has_test_images": False}, "which the class's machine lacks"),
    ],
)
def test_a_worker_is_refused_with_what_is_other_than_on_the_class_machine(
    wanted: dict[str, object], reason: str | None
) -> None:
    found = reason_to_refuse(changed(**wanted), SentSettings.of(SYNTHETIC))
    assert (found is None) if reason is None else (reason in str(found))


def test_a_worker_without_the_test_images_is_refused(tmp_path: Path) -> None:
    settings = Settings("a", dataset="cifar10", data_folder=tmp_path)
    reason = reason_to_refuse(changed(has_test_images=True), SentSettings.of(settings))
    assert f"no test images of cifar10: put its files into {tmp_path}" in str(reason)


@pytest.mark.parametrize(
    ("there", "wanted", "refused"),
    [
        ("process", "bubblewrap", True),
        ("process", "process", False),
        ("bubblewrap", "process", False),
    ],
)
def test_isolation_is_at_least_that_of_the_class_machine(
    there: str, wanted: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = changed(isolation=there)
    monkeypatch.setattr(on_worker, "environment", lambda settings: worker)
    reason = reason_to_refuse(changed(isolation=wanted), SentSettings.of(SYNTHETIC))
    assert (reason is not None) == refused


def test_a_grade_made_with_better_isolation_is_kept_and_one_with_less_is_not(
    class_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = class_ / "anna"
    levels = ("bubblewrap", "process")
    made = {level: fingerprint(folder, SYNTHETIC, isolation=level) for level in levels}
    grade = grade_submission(folder, SYNTHETIC)
    for here, there, kept in (
        ("process", "bubblewrap", True),
        ("bubblewrap", "process", False),
        ("process", "process", True),
    ):
        monkeypatch.setattr(keeping, "isolation_level", lambda here=here: here)
        one = replace(grade, isolation=there, fingerprint=made[there])
        assert is_current(one, folder, SYNTHETIC) == kept
