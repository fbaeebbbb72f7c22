"""The archive for Gradescope: what is in it, and what it does on a machine like that.

What Gradescope does with it is as its documentation says: the archive is unpacked to
/autograder/source, setup.sh runs once, run_autograder is copied to /autograder and runs for each
submission, and results/results.json is read.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import site
import stat
import subprocess
import sys
import venv
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from handed_in.correct import plain_a
from handed_in.mutants import MUTANTS

from cifar_lab.cli.main import main
from cifar_lab.grading.autograder import archive as archive
from cifar_lab.grading.autograder import on_gradescope
from cifar_lab.grading.autograder import run_autograder as run_autograder
from cifar_lab.grading.autograder.archive import Course, contents_of, write_archive
from cifar_lab.grading.autograder.wheel import package_files, requirements, wheel
from cifar_lab.grading.checks.table import checks_of
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import PASSED, Grade, Verdict

SETTINGS = "max_minutes = 50\n[points]\ncells_in_order = 0\n[run]\nmemory_mib = 3000\n"
OVERRIDES = 'late_penalty = 5\n[students."anna@uni.edu"]\nlate_days = 2\ncomment = "By e-mail."\n'
METADATA = {"id": 1, "users": [{"email": "anna@uni.edu", "id": 2, "name": "Anna Muster"}]}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def pack(folder: Path, *options: str) -> Path:
    out = folder / "autograder.zip"
    assert main(["autograder", "gradescope", "--out", str(out), *options]) == 0
    return out


def unpacked(out: Path, root: Path) -> Path:
    """Unpack an archive as Gradescope does: with the permissions that stand in it."""
    source = root / "source"
    with zipfile.ZipFile(out) as content:
        content.extractall(source)
        for entry in content.infolist():
            (source / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
    shutil.copy(source / "run_autograder", root / "run_autograder")
    (root / "results").mkdir()
    return source


class TestArchive:
    def test_both_scripts_lie_at_the_top_and_can_be_executed(self, tmp_path: Path) -> None:
        out = pack(tmp_path, "--assignment", "a")
        with zipfile.ZipFile(out) as content:
            modes = {one.filename: one.external_attr >> 16 for one in content.infolist()}
            for name in ("setup.sh", "run_autograder"):
                assert stat.S_ISREG(modes[name])
                assert modes[name] & 0o777 == 0o755
                assert content.read(name).startswith(b"#!/usr/bin/env ")
                assert b"\r" not in content.read(name)
        assert not any(name.startswith("/") or ".." in name for name in modes)

    def test_nothing_is_installed_by_this_packages_name(self, tmp_path: Path) -> None:
        source = unpacked(pack(tmp_path, "--assignment", "a"), tmp_path / "machine")
        for name in ("requirements.txt", "packages.txt"):
            assert "cifar" not in (source / name).read_text()
        commands = (source / "setup.sh").read_text()
        (own,) = (line for line in commands.splitlines() if "pip" in line and "cifar_lab" in line)
        assert "--no-index" in own
        assert "--no-deps" in own

    def test_settings_and_overrides_become_what_any_python_reads(self, tmp_path: Path) -> None:
        template = written(tmp_path, "words.md", "given")
        settings = written(tmp_path, "course.toml", f'template = "{template}"\n{SETTINGS}')
        overrides = written(tmp_path, "overrides.toml", OVERRIDES)
        out = tmp_path / "autograder.zip"
        write_archive(Course("a", settings=settings, overrides=overrides, minutes=20), out)
        source = unpacked(out, tmp_path / "machine")
        found = on_gradescope.settings_in(source)
        assert found.points == {"cells_in_order": 0}
        assert found.run.memory_mib == 3000
        assert found.run.wall_seconds == 200, "six runs within the time that Gradescope gives"
        assert found.template is not None
        assert found.template.read_text() == "given"
        assert json.loads((source / "overrides.json").read_text())["late_penalty"] == 5

    def test_a_limit_that_the_course_sets_holds(self, tmp_path: Path) -> None:
        settings = written(tmp_path, "course.toml", "[look]\nwall_seconds = 1000\n")
        write_archive(Course("a", settings=settings), tmp_path / "autograder.zip")
        with zipfile.ZipFile(tmp_path / "autograder.zip") as files:
            content = json.loads(files.read("settings.json"))
        assert content["look"]["wall_seconds"] == 1000
        assert (content["run"]["wall_seconds"], content["run"]["memory_mib"]) == (400, 4096)

    @pytest.mark.parametrize(
        ("name", "text", "part"),
        [
            ("--packages", "numpy\nCifar_Lab[grading]\n", "Cifar_Lab"),
            ("--packages", "--index-url https://elsewhere\n", "expected the names of packages"),
            ("--overrides", "students.anna.late_day = 1", "Did you mean 'late_days'"),
            ("--settings", "max_minuts = 1", "Did you mean 'max_minutes'"),
        ],
    )
    def test_a_mistake_is_told_before_anything_is_uploaded(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, part: str
    ) -> None:
        path, out = written(tmp_path, "file.toml", text), tmp_path / "autograder.zip"
        command = ["autograder", "gradescope", "--assignment", "a", "--out", str(out)]
        assert main([*command, name, str(path)]) == 1
        assert part in capsys.readouterr().err
        assert not out.exists()

    def test_cifar_is_taken_along_or_what_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="lacks .*test_batch"):
            contents_of(Course("a", data_folder=tmp_path))
        with pytest.raises(ValueError, match="minutes is 50"):
            contents_of(Course("a", minutes=50))

    def test_an_archive_is_replaced_only_when_asked(self, tmp_path: Path) -> None:
        out = written(tmp_path, "autograder.zip", "mine")
        command = ["autograder", "gradescope", "--assignment", "b", "--out", str(out)]
        assert main(command) == 1
        assert out.read_text() == "mine"
        assert main([*command, "--overwrite"]) == 0
        assert zipfile.is_zipfile(out)


class TestWheel:
    def test_it_holds_the_package_and_true_digests(self, tmp_path: Path) -> None:
        name, content = wheel()
        path = tmp_path / name
        path.write_bytes(content)
        with zipfile.ZipFile(path) as files:
            assert files.testzip() is None
            rows = csv.reader(files.read(f"{name[:15]}.dist-info/RECORD").decode().splitlines())
            for file, digest, size in rows:
                if digest:
                    data = files.read(file)
                    sha = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
                    assert (digest, int(size)) == (f"sha256={sha.rstrip('=')}", len(data))
            assert {one for one, _ in package_files()} < set(files.namelist())
        assert not [one for one, _ in package_files() if "__pycache__" in one]

    def test_pip_installs_it(self, tmp_path: Path) -> None:
        name, content = wheel()
        (tmp_path / name).write_bytes(content)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        target = tmp_path / "site"
        subprocess.run([*pip, "--target", str(target), str(tmp_path / name)], check=True)
        code = "import cifar_lab, importlib.metadata as m; m.version('cifar-lab')"
        done = subprocess.run(
            [sys.executable, "-c", f"{code}; print(cifar_lab.__file__)"],
            env={**os.environ, "PYTHONPATH": str(target)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == f"{target}/cifar_lab/__init__.py"

    def test_an_extras_own_extras_are_followed(self) -> None:
        found = requirements("test")
        assert any(one.startswith("torch>=") for one in found)
        assert any(one.startswith("pytest-timeout") for one in found)
        assert any(one.startswith("nbclient") for one in found), "of the extra `notebook`"
        assert any(one.startswith("pytest-xdist") for one in found), "of the extra `grading`"
        assert not any(one.startswith(("cifar", "ruff")) for one in found)


GRADED = 'case "$3" in grade) echo "{}" > "$5";; report) echo \'{"score": 7}\' > "$5";; esac'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /autograder after setup.sh, with a Python that does `GRADED`."""
    root = tmp_path / "autograder"
    for folder in ("submission/inner", "results", "source", "cifar-lab/venv/bin"):
        (root / folder).mkdir(parents=True)
    (root / "submission" / "inner" / "work.ipynb").write_text("{}")
    (root / "submission" / "link").symlink_to("/etc/passwd")
    (root / "submission_metadata.json").write_text(json.dumps(METADATA))
    (root / "cifar-lab" / "course.json").write_text(json.dumps({"minutes": 2}))
    monkeypatch.setattr(run_autograder, "ROOT", root)
    monkeypatch.setattr(run_autograder, "PLACE", root / "cifar-lab")
    monkeypatch.setattr(run_autograder, "USER", "")
    with_python(root, GRADED)
    return root


def with_python(root: Path, commands: str) -> None:
    python = root / "cifar-lab" / "venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{commands}\n")
    python.chmod(0o755)


def results_of(root: Path) -> dict[str, Any]:
    assert run_autograder.main() == 0
    return json.loads((root / "results" / "results.json").read_text())


class TestRunAutograder:
    def test_the_graders_results_are_left(self, machine: Path) -> None:
        assert results_of(machine) == {"score": 7}

    @pytest.mark.parametrize(
        ("commands", "text"),
        [
            ("exit 3", "The grader itself failed (exit status 3)."),
            ('case "$3" in grade) kill -9 $$;; esac', "(exit status -9)"),
            ('case "$3" in grade) : > "$5";; report) echo "{" > "$5";; esac', "itself failed."),
            ("true", "itself failed."),
        ],
    )
    def test_a_failure_of_the_grader_is_a_text_and_no_grade(
        self, machine: Path, capsys: pytest.CaptureFixture[str], commands: str, text: str
    ) -> None:
        with_python(machine, commands)
        results = results_of(machine)
        assert text in results["output"]
        assert "This is no grade" in results["output"]
        assert results["visibility"] == "after_published", "nobody is shown a zero"
        first, second = results["tests"]
        assert first["visibility"] == "visible"
        assert text in first["output"]
        assert "score" not in first
        assert (results["score"], second["score"]) == (0, 0), "which Gradescope asks for"
        assert results["extra_data"] == {"grader_error": True}
        assert "Traceback" in capsys.readouterr().out, "for the instructor"

    def test_a_machine_that_was_not_set_up(self, machine: Path) -> None:
        shutil.rmtree(machine / "cifar-lab")
        assert "The grader itself failed." in results_of(machine)["output"]

    def test_the_grader_ends_before_gradescope_ends_it(
        self, machine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run_autograder, "MARGIN", 118)
        with_python(machine, "sleep 100")
        assert "took longer than it may" in results_of(machine)["output"]

    def test_something_is_left_even_if_it_is_killed(self, machine: Path) -> None:
        left = machine / "results" / "results.json"
        with_python(machine, f'case "$3" in grade) cp {left} {machine}/seen;; esac; {GRADED}')
        assert results_of(machine) == {"score": 7}
        assert "was stopped before its end" in (machine / "seen").read_text()

    def test_links_stay_links_and_times_are_kept(self, machine: Path) -> None:
        os.utime(machine / "submission" / "inner" / "work.ipynb", (1e9, 1e9))
        with_python(machine, f'case "$3" in grade) cp -a "$4" {machine}/seen;; esac; {GRADED}')
        results_of(machine)
        assert (machine / "seen" / "link").is_symlink()
        assert (machine / "seen" / "inner" / "work.ipynb").stat().st_mtime == 1e9

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can run something as another user")
    def test_students_code_runs_as_a_user_who_can_read_neither_results_nor_overrides(
        self, machine: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for folder in (machine, *machine.parents):
            if folder.stat().st_mode & 0o055 != 0o055:  # pytest made it for root alone
                folder.chmod(0o755)
        (machine / "source" / "overrides.json").write_text("secret")
        (machine / "source").chmod(0o700)
        monkeypatch.setattr(run_autograder, "USER", "nobody")
        seen, secrets = machine / "seen", f"{machine}/source/* {machine}/results/* {machine}/*.json"
        looks = f"id -u; cat {secrets}; touch $4/x && echo own"
        report = f"cp $4 {seen}; id -u >> {seen}; echo '{{}}' > $5"
        with_python(
            machine, f'case "$3" in grade) ({looks}) > "$5" 2>/dev/null;; report) {report};; esac'
        )
        assert results_of(machine) == {}
        nobody = run_autograder.pwd.getpwnam("nobody").pw_uid
        assert seen.read_text().split() == [str(nobody), "own", "0"]


def graded(settings: Settings) -> Grade:
    verdicts = [
        Verdict(check.name, check.title, PASSED, points, points, "expected", "seen")
        for check, points in checks_of(settings).items()
    ]
    return Grade("submission", "a", "cifar10", tuple(verdicts), 1.0, "process", {}, "abc")


class TestReport:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        overrides = written(tmp_path, "overrides.toml", OVERRIDES)
        write_archive(Course("a", overrides=overrides), tmp_path / "autograder.zip")
        return unpacked(tmp_path / "autograder.zip", tmp_path / "machine")

    def report(self, place: Path, grade: Grade, metadata: object) -> dict[str, Any]:
        given = written(place.parent, "grade.json", json.dumps(asdict(grade)))
        about = written(place.parent, "submission_metadata.json", json.dumps(metadata))
        results = place.parent / "results.json"
        assert on_gradescope.main(["report", *map(str, (given, results, place, place, about))]) == 0
        return json.loads(results.read_text())

    def test_the_instructors_word_is_found_by_address_or_name(self, place: Path) -> None:
        grade = graded(Settings("a"))
        shown = self.report(place, grade, METADATA)
        assert shown["score"] == 90
        assert "By e-mail." in shown["output"]
        for other in ({"users": [{"email": "bert@uni.edu", "name": "Bert"}]}, {}, [], {"users": 3}):
            assert self.report(place, grade, other)["score"] == 100

    def test_a_grade_that_no_check_gave_is_refused(self, place: Path) -> None:
        grade = graded(Settings("a"))
        first = grade.verdicts[0]
        for forged in (
            replace(first, earned=1000.0),
            replace(first, earned=-1.0),
            replace(first, earned="2"),
            replace(first, earned=float("nan")),
            replace(first, points=1000.0, earned=1000.0),
            replace(first, check="other"),
        ):
            with pytest.raises(ValueError, match="The grade is"):
                self.report(place, replace(grade, verdicts=(forged, *grade.verdicts[1:])), {})


def bare_path(folder: Path) -> str:
    """Return a PATH with what Ubuntu's image has, and an apt-get that notes what it is told."""
    folder.mkdir()
    for name in ("bash", "sh", "env", "cp", "mkdir", "chmod", "rm", "ls", "cat", "uname", "id"):
        (folder / name).symlink_to(shutil.which(name) or name)
    (folder / "python3").symlink_to(Path(sys.base_prefix, "bin", "python3"))
    apt = written(folder, "apt-get", f'#!/bin/sh\necho "$@" >> {folder}/apt.log\n')
    apt.chmod(0o755)
    return str(folder)


def python_with_packages(folder: Path) -> None:
    """Make a virtual environment that finds this one's packages but cifar-lab, as if installed."""
    venv.create(folder, with_pip=True)
    packages = folder / "packages"
    packages.mkdir()
    for place in site.getsitepackages():
        for path in Path(place).iterdir():
            if "cifar_lab" not in path.name and not (packages / path.name).exists():
                (packages / path.name).symlink_to(path)
    (own,) = folder.glob("lib/python*/site-packages")
    for path in own.glob("setuptools*"):  # an old one, which would hide the other
        shutil.rmtree(path)
    (own / "all.pth").write_text(f"{packages}\n")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_submissions_are_graded_in_a_bare_environment(tmp_path: Path) -> None:
    """No package index, no bubblewrap, no cifar_lab: as on Gradescope, but as this test's user."""
    none = written(tmp_path, "packages.txt", "")
    overrides = written(tmp_path, "overrides.toml", OVERRIDES)
    options = ["--assignment", "a", "--dataset", "synthetic", "--packages", str(none)]
    out = pack(tmp_path, *options, "--overrides", str(overrides))
    root = tmp_path / "autograder"
    unpacked(out, root)
    environment = {
        "PATH": bare_path(tmp_path / "bin"),
        "AUTOGRADER": str(root),
        "AUTOGRADER_USER": "",
        "HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "TMPDIR": str(tmp_path),
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)

    python_with_packages(root / "cifar-lab" / "venv")
    setup = run("sh", str(root / "source" / "setup.sh"))
    assert setup.returncode == 0, setup.stdout + setup.stderr
    assert "bubblewrap" in (tmp_path / "bin" / "apt.log").read_text()
    assert "? Isolation: process" in setup.stdout
    assert stat.S_IMODE((root / "source").stat().st_mode) == 0o700

    (root / "submission_metadata.json").write_text(json.dumps(METADATA))
    wrong = MUTANTS["no zero_grad"]
    works = {"right": plain_a(), "wrong": wrong.make(), "nothing": None}
    scores = {}
    for name, work in works.items():
        shutil.rmtree(root / "submission", ignore_errors=True)
        if work is None:
            (root / "submission").mkdir()
        else:
            work.write(root / "submission")
        done = run(str(root / "run_autograder"))
        assert done.returncode == 0
        results = json.loads((root / "results" / "results.json").read_text())
        assert "grader_error" not in results["extra_data"], done.stdout + done.stderr
        assert "By e-mail." in results["output"]
        scores[name] = results["score"]
    assert scores == {"right": 90, "wrong": 86, "nothing": 0}
