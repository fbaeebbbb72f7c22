"""The student's page."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import open_page
from handed_in.made_up_class import HOSTILE, NO_DATA, NO_PACKAGE, made_up_class

from cifar_lab.grading.reports import page
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict


def verdict(name: str, status: str = PASSED, points: float = 4.0, **fields: object) -> Verdict:
    earned = points if status == PASSED else 0.0
    seen = f"Seen of {name}."
    made = Verdict(name, f"Title of {name}", status, points, earned, "Expected.", seen)
    return replace(made, **fields)  # type: ignore[arg-type]


def grade_of(*verdicts: Verdict, **fields: object) -> Grade:
    made = Grade("anna", "a", "cifar10", verdicts, 1.5, "bubblewrap", {"torch": "2"}, "abc")
    return replace(made, **fields)  # type: ignore[arg-type]


def waits_for(name: str, owner: str, points: float) -> Verdict:
    seen = f"Not looked at, since another check did not pass: Title of {owner}."
    return verdict(name, BLOCKED, points, seen=seen, remedy="Fix that one first.")


class Text(HTMLParser):
    """The text of a page, its elements' names, and its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.hidden = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.hidden += tag in ("style", "script", "title")
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "script", "title")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def test_what_costs_most_comes_first_with_what_waits_for_it() -> None:
    grade = grade_of(
        verdict("own_network", FAILED, 6, remedy="Write one."),
        verdict("notebook_runs", FAILED, 4, remedy="Restart the kernel."),
        waits_for("steps", "notebook_runs", 4),
        waits_for("seeds", "notebook_runs", 8),
        verdict("readable"),
    )
    text = Text(page(grade)).text
    first, rest = text.split("Fix this first")[1].split("Overview")
    assert "Title of notebook_runs" in first
    assert "Costs 16 points." in first
    assert "Waiting for it: 2 checks, 12 points" in first
    assert "Restart the kernel." in first
    assert "Write one." not in first
    assert "Write one." in rest.split("What else to fix")[1]
    assert text.index("Fix this first") < text.index("Overview") < text.index("What else to fix")
    assert text.count("Fix that one first") == 0, "what waits is told with its cause"


def test_one_cause_is_told_once() -> None:
    nan = {"status": FAILED, "seen": "The weights are not finite.", "remedy": "Train again."}
    grade = grade_of(*(replace(verdict(f"check{n}"), earned=0.0, **nan) for n in range(6)))
    text = Text(page(grade)).text
    assert text.count("The weights are not finite.") == text.count("Train again.") == 1
    assert "Costs 24 points." in text


def test_a_passed_check_takes_one_row() -> None:
    text = page(grade_of(verdict("one"), verdict("two")))
    assert text.count("Title of one") == text.count("Seen of one.") == 1
    assert "Expected." not in text
    assert "Nothing to fix" in text
    assert "Every check has passed." in text


def test_what_was_not_made_is_explained_without_an_instruction_for_the_instructor() -> None:
    made = [
        verdict("a", NOT_MADE, seen=NO_PACKAGE[0], remedy=NO_PACKAGE[1]),
        verdict("b", NOT_MADE, seen=f"It failed. {NO_DATA[1]}"),
        verdict("c", NOT_MADE, seen="Busy.", remedy="Grade again when the machine has less to do."),
        verdict("d", NOT_MADE, seen="No.", remedy="Student: seed it. Instructor: look by hand."),
        verdict("e", PASSED),
    ]
    text = Text(page(grade_of(*made))).text
    assert "16 of 20 points are not among the 4" in text
    assert "counts neither for nor against you" in text
    assert "which the grading machine lacks." in text
    assert "seed it." in text
    for instruction in ("pip install", "grade again", "--data", "Grade again", "by hand"):
        assert instruction not in text
    assert "Instructor:" not in text


def test_the_measured_accuracy_is_near_the_top() -> None:
    facts = {"measured_accuracy": 67.24, "reported_accuracy": 67.3, "parameters": 143_466}
    text = Text(page(grade_of(verdict("a", FAILED), facts=facts))).text
    top = text.split("Fix this first")[0]
    assert "67.24 %" in top
    assert "you reported 67.30 %" in top
    assert "143,466" in top


def test_the_network_lies_among_the_courses() -> None:
    """70.39 % with 2,634 is the course's smallest; 41.24 % with 308,310 its first."""
    facts = {"measured_accuracy": 50.0, "parameters": 50_000}
    text = Text(page(grade_of(verdict("a"), facts=facts))).text
    assert "fewer parameters and reaches more than SimpleMLP." in text
    assert "Fewer parameters and a higher accuracy: Frontier, tiny" in text
    best = {"measured_accuracy": 95.0, "parameters": 3_000}
    text = Text(page(grade_of(verdict("a"), facts=best))).text
    assert "None of the course's networks is ahead in both." in text
    assert "among the course's" not in Text(page(grade_of(verdict("a")))).text


def test_the_reported_history_is_drawn_and_told() -> None:
    history = [
        {"epoch": 1, "train_accuracy": 40.0, "test_accuracy": 38.0},
        {"epoch": 2, "train_accuracy": 52.5, "test_accuracy": 49.25},
    ]
    text = page(grade_of(verdict("a"), facts={"history": history}))
    assert text.count("<polyline") == 4, "two curves, and their keys"
    assert "on test images 38.0 % after epoch 1, 49.2 % after epoch 2" in html.unescape(text)


@pytest.mark.parametrize(
    "facts",
    [
        {"history": [{"epoch": 1, "train_accuracy": 40.0}]},
        {"history": [{}, None, 3, {"epoch": "x", "test_accuracy": float("nan")}]},
        {"history": [{"epoch": -5, "test_accuracy": 1e300}] * 3},
        {"history": [{"epoch": 10**5, "test_accuracy": 1.0}, {"epoch": 1, "test_accuracy": 0.0}]},
        {"history": "text", "parameters": "many", "measured_accuracy": True, "hints": 3},
        {"parameters": 0, "measured_accuracy": 10.0},
        {"parameters": 10**14, "measured_accuracy": 100.0},
        {"parameters": 1, "measured_accuracy": 0.0},
        {"versions": ["<b>"], "training_minutes": -1},
    ],
)
def test_no_figure_breaks_the_page(facts: dict[str, object]) -> None:
    text = page(grade_of(verdict("a", FAILED), facts=facts))
    assert not re.search(r"\b(?:nan|inf)\b", Text(text).text)
    assert text.endswith("</html>\n")


def test_the_instructors_word_is_marked_as_theirs() -> None:
    decided = verdict("words", FAILED, 10, earned=8.0, overridden="Five good points, as a list.")
    grade = grade_of(
        decided, verdict("b"), comment="Handed in by e-mail.", late_days=1, deduction=2.0
    )
    text = Text(page(grade)).text
    word = text.split("Your instructor's word")[1].split("Nothing to fix")[0]
    assert "Five good points, as a list." in word
    assert "8 of 10" in word
    assert "Handed in by e-mail." in word
    assert "2 deducted for 1 late day." in word
    assert "The grader had seen: Seen of words." in word
    assert "but for what your instructor decided" in text
    assert "10 of 14 points" in text
    assert "instructor" not in Text(page(grade_of(verdict("b")))).text


def test_hints_are_not_for_the_student() -> None:
    hint = {"kind": "memorised", "text": "98 % on test images, 10 % on training images."}
    assert "memorised" not in page(grade_of(verdict("a"), facts={"hints": [hint]}))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_submissions_text_is_shown_as_text(name: str) -> None:
    bad = f"{name} <img src=x onerror=alert(1)> \x1b[2J \ud800 \u202e </pre></section>"
    made = verdict("a", FAILED, seen=bad, remedy=bad, expected=bad, overridden="")
    text = page(grade_of(made, verdict("b", NOT_MADE, seen=bad), submission=name, comment=bad))
    parsed, plain = Text(text), Text(page(grade_of(made, verdict("b", NOT_MADE), comment="x")))
    assert set(parsed.tags) <= set(plain.tags) | {"pre", "p"}
    assert "img" not in parsed.tags
    assert "<img src=x onerror=alert(1)>" in parsed.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", text)
    assert all(link.startswith("#") for link in parsed.links)


def test_every_link_leads_somewhere_on_the_page() -> None:
    for grade in made_up_class(60):
        text = page(grade)
        ids = re.findall(r' id="([^"]*)"', text)
        assert len(ids) == len(set(ids))
        assert {link.removeprefix("#") for link in Text(text).links} <= set(ids)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_has_no_fault_in_a_browser(tmp_path: Path, width: int) -> None:
    grades = made_up_class(60)
    chosen = max(grades, key=lambda one: sum(v.status == BLOCKED for v in one.verdicts))
    long = replace(chosen.verdicts[0], status=FAILED, seen="x" * 3_000, remedy="y" * 500)
    for number, grade in enumerate(
        (
            grades[-1],
            next(one for one in grades if one.not_made),
            replace(chosen, verdicts=(long, *chosen.verdicts[1:]), submission="w" * 255),
        )
    ):
        path = tmp_path / f"{number}.html"
        path.write_bytes(page(grade).encode(errors="replace"))
        seen = open_page(path, width)
        assert seen.faults == []
        assert seen.console_warnings == []
