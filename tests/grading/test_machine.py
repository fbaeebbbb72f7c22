"""What a class needs of a machine: each thing that is missing is named, with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cifar_lab.grading import machine
from cifar_lab.grading.isolation.sandbox import Outcome
from cifar_lab.grading.machine import FINE, LACKING, LOOK, Finding, machine_report
from cifar_lab.grading.settings import Settings

SYNTHETIC = Settings("a", dataset="synthetic")


@pytest.fixture(autouse=True)
def nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "run_isolated", lambda *_, **__: Outcome("ok", ""))
    monkeypatch.setattr(machine, "isolation_reason", lambda: "")


def finding(subject: str, **options: object) -> Finding:
    settings = options.pop("settings", SYNTHETIC)
    report = machine_report(settings, **options)  # type: ignore[arg-type]
    (found,) = (one for one in report if one.subject == subject)
    return found


def handed_in(folder: Path, *sources: str, **modules: str) -> Path:
    folder.mkdir()
    cells = [{"cell_type": "code", "source": source} for source in sources]
    cells.append({"cell_type": "markdown", "source": "from here on\nimport nothing_at_all"})
    (folder / "work.ipynb").write_text(json.dumps({"cells": cells}))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_this_machine_is_told_in_one_line_for_each_thing_that_is_fine() -> None:
    report = machine_report(SYNTHETIC)
    subjects = [one.subject for one in report]
    assert len(set(subjects)) == len(subjects) >= 7
    for one in report:
        assert str(one).startswith(machine.SIGNS[one.state])
        assert ("\n" in str(one)) == bool(one.remedy)
        assert bool(one.remedy) == (one.state != FINE), one


def test_a_package_that_grading_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    there = machine.find_spec
    monkeypatch.setattr(machine, "find_spec", lambda name: None if name == "xdist" else there(name))
    found = finding("Grading's own packages")
    assert (found.state, found.remedy) == (LACKING, "pip install pytest-xdist")


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        ("bubblewrap is not installed", "apt install bubblewrap"),
        ("bubblewrap could not start: setting up uid map: Permission denied", "--security-opt"),
    ],
)
def test_bubblewrap_that_is_missing_or_not_permitted(
    monkeypatch: pytest.MonkeyPatch, reason: str, part: str
) -> None:
    monkeypatch.setattr(machine, "isolation_reason", lambda: reason)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    found = finding("Isolation")
    assert found.state == LOOK
    assert reason in found.seen
    assert part in found.remedy


def test_a_machine_on_which_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "run_isolated", lambda *_, **__: Outcome("memory", "It took all."))
    found = finding("Isolation")
    assert found.state == LACKING
    assert "It took all." in found.seen


def test_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    found = finding("Dataset", settings=Settings("b", data_folder=tmp_path))
    assert found.state == LACKING
    assert 'cifar_lab.load("cifar100")' in found.remedy
    assert finding("Dataset").state == FINE


def test_packages_that_such_notebooks_use(monkeypatch: pytest.MonkeyPatch) -> None:
    names = machine.LIST.read_text().splitlines()
    here = [name for name in names if name not in ("pandas", "timm", "zstandard")]
    monkeypatch.setattr(machine, "installed_packages", lambda: here)
    found = finding("Packages of notebooks")
    assert found.state == LOOK
    assert found.remedy.endswith("pip install pandas timm")
    monkeypatch.setattr(machine, "installed_packages", lambda: [*here, "pandas", "timm"])
    assert finding("Packages of notebooks").state == FINE


def test_every_usual_package_is_one_that_colab_has() -> None:
    assert set(machine.USUAL) <= set(machine.LIST.read_text().splitlines())


def test_what_the_submissions_import_and_is_not_here(tmp_path: Path) -> None:
    lines = ["import torch, cv9.a as c, helpers  # all", "from nets.small import Net\nimport json"]
    first = handed_in(tmp_path / "a", *lines, helpers="from deepest9 import all", nets="")
    second = handed_in(
        tmp_path / "b", "%pip install cv9\nimport cv9; cv9.go()\nfrom google.colab import drive"
    )
    (tmp_path / "b" / "broken.ipynb").write_text("{")
    found = finding("Imports of the submissions", submissions=[first, second])
    assert found.state == LOOK
    assert found.seen.endswith("out of 2: cv9 (2), deepest9 (1)")
    fine = handed_in(tmp_path / "c", "import torch\n'''\nfrom time to time\n'''")
    assert finding("Imports of the submissions", submissions=[fine]).state == FINE


def test_memory_and_cores_against_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_mib", lambda: 16_000)
    monkeypatch.setattr(machine, "available_cores", lambda: 3.0)
    assert finding("Memory", jobs=2).state == finding("Cores", jobs=3).state == FINE
    memory, cores = finding("Memory", jobs=4), finding("Cores", jobs=4)
    assert memory.remedy.startswith("--jobs 2, or a smaller memory_mib")
    assert "4,000 fit" in memory.remedy
    assert cores.remedy.startswith("--jobs 3:")
    monkeypatch.setattr(machine, "memory_mib", lambda: 4_000)
    assert finding("Memory").remedy.startswith("A smaller memory_mib")
    monkeypatch.setattr(machine, "memory_mib", lambda: None)
    assert finding("Memory").state == LOOK


def test_no_jobs_are_refused() -> None:
    with pytest.raises(ValueError, match="jobs is 0"):
        machine_report(SYNTHETIC, jobs=0)
