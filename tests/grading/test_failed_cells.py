"""Where a cell fails, the rest is looked at; where the platform made it fail, nobody is blamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handed_in.correct import plain_a, with_the_library
from handed_in.making import HandedIn, code
from handed_in.mutants import TRAINING
from handed_in.quick import run_forked
from handed_in.replay import LIMITS, forge, real

from cifar_lab.grading import sandboxing
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.isolation.sandbox import Outcome
from cifar_lab.grading.outcomes import EndedError, answer_of
from cifar_lab.grading.sandboxed.seen import CELL_MARK
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, SubmissionError

NAME = "with a cell that fails"


def statuses(grade: Grade) -> dict[str, str]:
    """The checks that did not pass."""
    return {one.check: one.status for one in grade.verdicts if one.status != PASSED}


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, str]:
    """What is found where the first run's answer is another."""

    def other(outcome: Outcome) -> Outcome:
        assert outcome.answer is not None
        change(outcome.answer)
        return outcome

    return statuses(forge(NAME, next(iter(real(NAME)[0])), other, folder))


def test_a_cell_in_the_middle_costs_the_points_for_a_notebook_that_runs() -> None:
    grade = real(NAME)[1]
    assert statuses(grade) == {"notebook_runs": FAILED}
    assert grade.earned == 94


def test_what_is_wrong_behind_a_cell_that_failed_may_follow_from_it(tmp_path: Path) -> None:
    def later(answer: dict[str, Any]) -> None:
        answer["watch"]["losses_of_shares"] = answer["watch"]["losses"]
        answer["watch"]["test_batches"]["train mode"] = 3

    found = changed(tmp_path, later)
    assert found["loss_takes_logits"] == found["evaluates_in_eval_mode"] == BLOCKED

    def before(answer: dict[str, Any]) -> None:
        answer["watch_before"] = answer["watch"]
        later(answer)

    found = changed(tmp_path, before)
    assert found["loss_takes_logits"] == found["evaluates_in_eval_mode"] == FAILED


def test_a_reason_of_the_platform_is_not_made_and_says_what_can_be_done(tmp_path: Path) -> None:
    def ask(answer: dict[str, Any]) -> None:
        answer["error"] |= {"kind": "URLError", "text": "Name or service not known"}
        answer["error"]["network"] = True
        answer["watch"]["losses_of_shares"] = answer["watch"]["losses"]

    assert changed(tmp_path, ask) == {"notebook_runs": NOT_MADE, "loss_takes_logits": NOT_MADE}


def test_time_that_is_used_up_names_the_cell_and_the_size(tmp_path: Path) -> None:
    def used_up(outcome: Outcome) -> Outcome:
        assert outcome.answer is not None
        outcome.answer["error"] |= {"kind": "OutOfTime", "time": True}
        for one in outcome.answer["watch"]["optimizers"]:
            one["parameters"] = 23_520_842
        return outcome

    grade = forge(NAME, next(iter(real(NAME)[0])), used_up, tmp_path)
    told = next(one for one in grade.verdicts if one.check == "notebook_runs")
    assert "in cell 5 of 8 code cells" in told.seen and "23,520,842" in told.seen
    assert statuses(grade)["test_set_unused"] == BLOCKED
    assert statuses(grade).get("parameter_count", PASSED) == PASSED


def test_the_cell_that_ended_the_process_is_known_by_its_mark() -> None:
    stderr = f"{CELL_MARK} 1\nwarning\n{CELL_MARK} 2\nlast words\n"
    with pytest.raises(EndedError, match="warning\nlast words") as ended:
        answer_of(Outcome("killed", "It was killed.", stderr=stderr), "notebook_runs")
    assert ended.value.cell == 2


def runs(folder: Path, answers: dict[int, dict[str, Any] | SubmissionError]) -> Evidence:
    """Evidence whose runs' answers are given by the number of cells that are run."""
    cells = {f"cell {number}": code(f"x = {number}") for number in range(4)}
    evidence = Evidence(HandedIn(cells, None).write(folder / "a"), Settings("a"))

    def run(*arguments: Any, **options: Any) -> dict[str, Any]:
        count = 4 if evidence._ended is None else evidence._ended["cell"] - 1
        answer = answers[count]
        if isinstance(answer, SubmissionError):
            raise answer
        answer["error"] = answer["error"] or evidence._ended
        return {"answer": answer, "arrays": {}}

    evidence._run = run  # type: ignore[method-assign]
    return evidence


WATCHED = {"optimizers": [{"parameters": 3}], "shortened": False}


def test_a_cell_that_ends_the_process_is_left_out_of_another_run(tmp_path: Path) -> None:
    ended = EndedError(3, "notebook_runs", "It was killed.", "Don't.")
    evidence = runs(tmp_path, {4: ended, 2: {"error": None, "watch": WATCHED}})
    assert evidence.run()["watch"] == WATCHED
    with pytest.raises(
        SubmissionError, match=r"(?s)in cell 3 of 4 code cells: It was killed.*x = 2"
    ):
        evidence.ran_to_the_end()


@pytest.mark.parametrize("cell", [None, 1, 5])
def test_without_a_cell_before_it_there_is_nothing_to_run(cell: int | None, tmp_path: Path) -> None:
    evidence = runs(tmp_path, {4: EndedError(cell, "notebook_runs", "It was killed.", "Don't.")})
    with pytest.raises(EndedError):
        evidence.run()


def test_where_the_process_ends_in_any_case_its_first_end_counts(tmp_path: Path) -> None:
    both = {count: EndedError(3, "notebook_runs", f"End of {count}.", "") for count in (4, 2)}
    with pytest.raises(EndedError, match="End of 4"):
        runs(tmp_path, both).run()  # type: ignore[arg-type]


NEEDS_THE_RUN = dict.fromkeys((*TRAINING, "notebook_runs"), NOT_MADE)
PACKAGE = "from a_package_of_nobody import Thing\n"
REAL: dict[str, tuple[Callable[[], HandedIn], dict[str, str]]] = {
    "a package that a plot needs": (
        lambda: plain_a().after(
            "model", code(f"!pip install a-package-of-nobody\n{PACKAGE}Thing()")
        ),
        {"notebook_runs": NOT_MADE},
    ),
    "the network": (
        lambda: plain_a().after(
            "model", code("import urllib.request\nurllib.request.urlopen('http://192.0.2.1/')")
        ),
        {"notebook_runs": NOT_MADE},
    ),
    "an answer": (
        lambda: plain_a().after("model", code("rate = {'a': 1, 'b': 2}[input('a or b?')]")),
        {"notebook_runs": NOT_MADE},
    ),
    "a package that the network needs, with a program": (
        lambda: (
            with_the_library()
            .with_cell("imports", source=f"!pip install a-package-of-nobody\n{PACKAGE}")
            .with_cell("model", source="class Net(Thing):\n    pass")
        ),
        NEEDS_THE_RUN,
    ),
    "a plot in the last cell": (
        lambda: plain_a().after("store", code("import matplotlib.pyplot as plt\nplt.plot(losses)")),
        {"notebook_runs": FAILED},
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", REAL)
def test_real_submissions_keep_what_can_be_looked_at(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, expected = REAL[name]
    monkeypatch.setattr(sandboxing, "run_isolated", run_forked)
    folder = make().write(tmp_path / "handed-in")
    grade = grade_submission(folder, Settings("a", dataset="synthetic", run=LIMITS))
    assert statuses(grade) == expected
    for verdict in grade.not_made:
        assert "Student: " in verdict.remedy and "Instructor: " in verdict.remedy


def test_the_notebook_runs_beside_its_own_files(tmp_path: Path) -> None:
    folder = plain_a().write(tmp_path / "a")
    (folder / "work").mkdir()
    (folder / "notebook.ipynb").rename(folder / "work" / "notebook.ipynb")
    assert Evidence(folder, Settings("a"))._place() == "work"
    copied = replace(with_the_library(), change=None).write(tmp_path / "b")
    assert Evidence(copied, Settings("a"))._place() == "."
