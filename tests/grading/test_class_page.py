"""The class on one page."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from browser import look, new_page, open_page
from handed_in.made_up_class import made_up_class

from cifar_lab.grading.reports import class_page, write_class
from cifar_lab.grading.reports.figures import Network, front, network_of, references
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.verdicts import FAILED, NOT_MADE, PASSED

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Rows(HTMLParser):
    """The rows of all tables on a page: texts of their cells, by the first of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.is_in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.is_in_cell = True
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        if self.is_in_cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.is_in_cell &= tag not in ("td", "th")

    def row(self, first: str) -> list[str]:
        return next(row for row in self.rows if row[0] == first)


GRADES = made_up_class(300)


def test_the_front_is_what_nobody_beats() -> None:
    """Compared with every pair, without sorting."""
    networks = [one for one in map(network_of, GRADES) if one]
    slow = [one for one in networks if not any(other.beats(one) for other in networks)]
    assert front(networks) == sorted(slow, key=lambda one: one.parameters)
    assert front([]) == []
    same = [Network("a", 5, 50.0), Network("b", 5, 50.0)]
    assert front(same) == same[:1]


def test_the_courses_networks_are_of_the_dataset() -> None:
    assert [one.letter for one in references("cifar10")] == list("ABCDEFGH")
    assert {one.name for one in references("cifar100")} == {"TinyNet", "SmallCIFARNet"}
    assert references("synthetic") == []


def test_what_was_not_made_and_grader_errors_are_apart_from_what_failed() -> None:
    grades = made_up_class(40, hostile=False)
    check = grades[0].verdicts[5]
    statuses = [PASSED] * 20 + [FAILED] * 12 + [NOT_MADE] * 8
    made = [
        replace(
            one,
            verdicts=(replace(check, status=status, earned=check.points * (status == PASSED)),),
        )
        for one, status in zip(grades, statuses, strict=True)
    ]
    text = class_page(made, ["Carl Crash"], ["Dora Late"])
    row = Rows(text).row(check.title)
    assert row[1] == "62 %", "20 of 32"
    assert row[4:] == ["20", "0", "12", "0", "8"], "passed, in part, failed, blocked, not made"
    assert "Grader errors: 1" in text
    assert Rows(text).row("Carl Crash")[1:3] == ["", ""], "no zero"
    assert "./Carl%20Crash/grader-error.txt" in text
    assert "8 students, 8 points" in text


def test_the_instructors_instruction_stands_on_the_instructors_page() -> None:
    text = class_page(GRADES)
    assert "pip install timm" in text
    assert text.count("pip install timm") == 1, "a cause is told once"


def test_each_name_leads_to_the_students_own_page() -> None:
    rows = Rows(class_page(GRADES))
    pages = {unquote(link, errors="surrogateescape") for link in rows.links if "report" in link}
    assert pages == {f"./{grade.submission}/report.html" for grade in GRADES}
    assert all(link.startswith(("./", "#")) for link in rows.links), "no script in an address"


def test_nothing_of_a_students_is_more_than_text() -> None:
    bad = "</script></style><script>alert(1)</script>\x1b\u202e\ud800"
    hint = {"hints": [{"kind": bad, "text": bad}]}
    grades = [
        replace(
            one,
            facts=one.facts | hint,
            comment=bad,
            verdicts=tuple(replace(v, seen=bad, remedy=bad) for v in one.verdicts),
        )
        for one in made_up_class(30)
    ]
    text = class_page(grades, [bad], [bad + "2"], [], [(bad, bad)])
    assert text.count("<script>") == text.count("</script>") == 1
    assert text.count("</style>") == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", text)
    assert " onerror=" not in re.sub(r"&lt;.*?&gt;", "", text)


def test_pictures_have_texts_and_points_are_told_in_words() -> None:
    text = class_page(GRADES)
    pictures = re.findall(r"<svg [^>]*>", text)
    assert all('aria-hidden="true"' in one or 'aria-label="' in one for one in pictures)
    told = re.search(r'aria-label="Students by percent of the possible points\. ([^"]*)"', text)
    assert told
    counts = [int(number) for number in re.findall(r"%: (\d+)", told[1])]
    assert sum(counts) == len(GRADES)


def test_which_file_became_whose_and_what_was_left_out() -> None:
    student = SimpleNamespace(
        folder=GRADES[20].submission,
        path=Path("nowhere"),
        name="Anna <Öz>",
        ids={"canvas": "42"},
        files={"anna_42_work-1.ipynb": "work.ipynb"},
        late=True,
        problem="",
        others=[SimpleNamespace(name="Bert B")],
    )
    text = class_page(GRADES, students=[student], ignored=[("notes.txt", "no notebook")])
    row = Rows(text).row("notes.txt")
    assert row[1] == "no notebook"
    assert "Anna &lt;Öz&gt; and Bert B" in text
    assert "anna_42_work-1.ipynb → work.ipynb" in text
    assert "By the site" in text


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_class_may_be_small(count: int) -> None:
    grades = made_up_class(20, hostile=False)[:count]
    assert class_page(grades, ["x"] if not count else []).endswith("</html>\n")
    bare = [replace(one, facts={}, seconds=0.0) for one in grades]
    assert "Accuracy against parameters" not in class_page(bare)


def test_a_class_of_mixed_isolation_says_whose_was_less() -> None:
    mixed = [replace(GRADES[20], isolation="process"), *GRADES[21:40]]
    assert [row[-1] for row in Rows(class_page(mixed)).rows if row[-1] == "process"] == ["process"]


def test_three_hundred_students_take_a_moment() -> None:
    start = time.process_time()
    text = class_page(GRADES)
    assert time.process_time() - start < 5
    assert len(text) < 1_000_000


@pytest.fixture
def written(tmp_path: Path) -> Path:
    grades = [*GRADES, replace(GRADES[50], submission="w" * 255)]
    write_class(tmp_path, grades, ["Carl"], ["Dora"], [], [("notes.txt", "no notebook")])
    return tmp_path / "class.html"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_has_no_fault_in_a_browser(written: Path, width: int) -> None:
    seen = open_page(written, width)
    assert seen.faults == []
    assert seen.console_warnings == []


@pytest.mark.slow
def test_tables_are_sorted_and_searched(written: Path) -> None:
    def column(page: Page, number: int) -> list[str]:
        cells = page.locator(f".students tbody tr:not([hidden]) > :nth-child({number})")
        return cells.evaluate_all("cells => cells.map(cell => cell.dataset.v)")

    def percents(page: Page) -> list[float]:
        return [float(text) for text in column(page, 3) if text]

    with new_page(1280) as (page, seen):
        page.goto(written.as_uri())
        button = page.locator(".students th button", has_text="%").first
        button.click()
        assert percents(page) == sorted(percents(page), reverse=True)
        assert column(page, 3)[-2:] == ["", ""], "those without a grade come last"
        button.click()
        assert percents(page) == sorted(percents(page))
        page.locator(".students th button", has_text="Student").click()
        names = column(page, 1)
        assert len(names) == len(GRADES) + 3
        page.locator("input[type=search]").fill(shown_name(GRADES[30].submission))
        assert column(page, 1) == [shown_name(GRADES[30].submission)]
        look(page, seen)
        assert seen.faults == []


@pytest.mark.slow
def test_without_scripts_everything_is_there(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert "<button" not in text, "what needs the script is made by it"
    assert Rows(text).row(shown_name(GRADES[30].submission))


def test_what_could_not_be_collected_says_why_and_waits_for_no_second_run() -> None:
    student = SimpleNamespace(
        folder="dora", path=Path("x"), name="D", ids={}, files={}, late=False, others=()
    )
    student.problem = "the archive is encrypted"
    text = class_page(GRADES[:3], waiting=["dora", "emil"], students=[student])
    assert "dora</bdi>: the archive is encrypted" in text
    assert "Not collected: 1" in text
    assert "Not graded yet: 1" in text
