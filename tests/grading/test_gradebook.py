"""A site's gradebook: one column is filled, and not a byte of the rest is another."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from site_exports import (
    Someone,
    brightspace,
    brightspace_grades,
    canvas,
    canvas_gradebook,
    gradescope,
    moodle,
    moodle_worksheet,
    write,
)

from cifar_lab.grading.collecting.collect import collect
from cifar_lab.grading.collecting.students import Student
from cifar_lab.grading.gradebook.book import Gradebook
from cifar_lab.grading.gradebook.csv_text import CsvText
from cifar_lab.grading.gradebook.filling import Filled, fill
from cifar_lab.grading.verdicts import FAILED, NOT_MADE, PASSED, Grade, Verdict

FILES = {"notebook.ipynb": b"{}"}
CLASS = [
    Someone("Anna", "Muster", 11, FILES),
    Someone("Bert", "O'Hara-Núñez", 12, FILES),
    Someone("李", "小龍", 13, FILES),
]


def grade(name: str, *parts: tuple[str, float, float]) -> Grade:
    verdicts = tuple(
        Verdict(f"check{number}", "Title", status, points, earned, "", "")
        for number, (status, points, earned) in enumerate(parts)
    )
    return Grade(name, "a", "cifar10", verdicts, 1.0, "process", {}, "")


def of_points(name: str, earned: float) -> Grade:
    return grade(name, (PASSED, 60, 60), (FAILED, 40, earned - 60))


def grades_of(students: Sequence[Student]) -> dict[str, Grade]:
    """90.5 points for the first in the alphabet, 91.5 for the next, ..."""
    return {one.folder: of_points(one.folder, 90.5 + number) for number, one in enumerate(students)}


def filled(
    data: bytes, students: Sequence[Student], folder: Path, column: str | None = None
) -> Filled:
    path = folder / "gradebook.csv"
    path.write_bytes(data)
    result = fill(Gradebook.read(path, column), grades_of(students), students)
    assert path.read_bytes() == data, "the file itself is not touched"
    return result


def without(content: bytes, *values: str) -> bytes:
    """The content without what was filled in."""
    for value in values:
        assert content.count(value.encode()) == 1
        content = content.replace(value.encode(), b"")
    return content


SITES: dict[str, tuple[Callable[..., Path], Callable[..., bytes]]] = {
    "canvas": (canvas, canvas_gradebook),
    "moodle": (moodle, moodle_worksheet),
    "brightspace": (brightspace, brightspace_grades),
}


@pytest.mark.parametrize("site", list(SITES))
def test_a_sites_own_file_is_filled_and_else_the_same(site: str, tmp_path: Path) -> None:
    make, gradebook = SITES[site]
    students = collect(make(tmp_path / "download", CLASS), tmp_path / "out").students
    data = gradebook(CLASS)
    result = filled(data, students, tmp_path)
    assert without(result.content, "90.5", "91.5", "92.5") == data
    assert len(result.cells) == 3
    assert not result.without_row
    assert result.without_submission == (["Student, Test"] if site == "canvas" else [])
    assert result.scale is None
    assert result.by_name == (site == "brightspace"), "its download has other numbers"
    rows = list(csv.reader(io.StringIO(result.content.decode("utf-8-sig"))))
    points = {name for row in rows for name in row if name in ("90.5", "91.5", "92.5")}
    assert len(points) == 3


def test_each_gets_their_own_points(tmp_path: Path) -> None:
    students = collect(canvas(tmp_path / "download", CLASS), tmp_path / "out").students
    result = filled(canvas_gradebook(CLASS), students, tmp_path)
    rows = csv.DictReader(io.StringIO(result.content.decode("utf-8-sig")))
    found = {row["ID"]: row["Assignment A (4711)"] for row in rows if row["ID"]}
    expected = {one.ids["canvas"]: f"{90.5 + n:g}" for n, one in enumerate(students)}
    assert {key: value for key, value in found.items() if value} == expected


@pytest.mark.parametrize("gradebook", [canvas_gradebook, moodle_worksheet])
def test_student_numbers_and_addresses_of_gradescope_find_rows(
    gradebook: Callable[..., bytes], tmp_path: Path
) -> None:
    """In Canvas's file these are the SIS ids, and in both never the site's own numbers."""
    students = collect(gradescope(tmp_path / "download", CLASS), tmp_path / "out").students
    result = filled(gradebook(CLASS), students, tmp_path)
    assert len(result.cells) == 3
    assert not result.by_name
    numbers = [replace(one, last=f"x{one.last}", number=one.number + 1) for one in CLASS]
    assert not filled(moodle_worksheet(numbers), students, tmp_path).cells


def folders(tmp_path: Path, *names: str) -> Sequence[Student]:
    for name in names:
        write(tmp_path / "class" / name, FILES)
    return collect(tmp_path / "class", tmp_path / "out").students


def test_folders_that_are_called_by_an_id_find_rows(tmp_path: Path) -> None:
    students = folders(tmp_path, CLASS[0].login, "0012", "13", "Muster")
    result = filled(canvas_gradebook(CLASS), students, tmp_path)
    assert {name for name, _ in result.cells} == {CLASS[0].login, "0012", "13"}
    assert result.without_row == [("Muster", "nobody in the file has this number")]


def test_names_decide_only_where_there_are_no_numbers_and_that_is_said(tmp_path: Path) -> None:
    students = folders(tmp_path, "Anna Muster", "bert o'hara-núñez", "Anna")
    result = filled(canvas_gradebook(CLASS), students, tmp_path)
    assert result.by_name
    assert {name for name, _ in result.cells} == {"Anna Muster", "bert o'hara-núñez"}
    assert "by NAMES" in "\n".join(result.told(tmp_path))


def test_two_of_one_name_are_left_to_a_person(tmp_path: Path) -> None:
    students = folders(tmp_path, "Anna Muster", "Bert O'Hara-Núñez")
    data = canvas_gradebook([*CLASS, Someone("Anna", "Muster", 14)])
    result = filled(data, students, tmp_path)
    assert [name for name, _ in result.cells] == ["Bert O'Hara-Núñez"]
    assert "several rows" in result.without_row[0][1]


def test_names_never_help_where_numbers_are(tmp_path: Path) -> None:
    students = collect(canvas(tmp_path / "download", CLASS), tmp_path / "out").students
    others = [replace(one, number=one.number + 500) for one in CLASS]
    result = filled(canvas_gradebook(others), students, tmp_path)
    assert not result.cells
    assert len(result.without_row) == len(CLASS)
    assert len(result.without_submission) == len(CLASS) + 1


def test_a_number_of_somebody_else_is_not_taken_for_the_students(tmp_path: Path) -> None:
    """A team's number in Moodle may be the number of a student who is in another one."""
    team = replace(CLASS[0], first="Team", last="7", number=12)
    students = collect(moodle(tmp_path / "download", [team, CLASS[2]]), tmp_path / "out").students
    result = filled(moodle_worksheet(CLASS), students, tmp_path)
    assert [name for name, _ in result.cells] == ["李 小龍_13"]


def test_two_submissions_for_one_row_are_left_to_a_person(tmp_path: Path) -> None:
    path = canvas(tmp_path / "download", CLASS[:1])
    write(path, {"mallory_11_70_80_notebook.ipynb": b"{}"})
    result = filled(canvas_gradebook(CLASS), collect(path, tmp_path / "out").students, tmp_path)
    assert not result.cells
    assert all("several submissions" in reason for _, reason in result.without_row)


def test_all_of_a_group_get_the_points(tmp_path: Path) -> None:
    path = gradescope(tmp_path / "download", CLASS[:1])
    metadata = path / "submission_metadata.yml"
    more = "  - :name: Bert\n    :sid: '0012'\n  :created_at:"
    metadata.write_text(metadata.read_text().replace("  :created_at:", more, 1))
    result = filled(canvas_gradebook(CLASS), collect(path, tmp_path / "out").students, tmp_path)
    assert [points for _, points in result.cells] == [90.5, 90.5]


def test_who_has_no_grade_keeps_the_cell(tmp_path: Path) -> None:
    students = collect(canvas(tmp_path / "download", CLASS), tmp_path / "out").students
    path = tmp_path / "gradebook.csv"
    path.write_bytes(canvas_gradebook(CLASS).replace(b'Monday",,12.50', b'Monday",77,12.50', 1))
    first, second, third = students
    students = [first, replace(second, problem="work.zip is encrypted"), third]
    mostly_unknown = grade(third.folder, (PASSED, 8, 8), (NOT_MADE, 92, 0))
    result = fill(Gradebook.read(path), {third.folder: mostly_unknown}, students)
    assert result.content == path.read_bytes()
    assert [reason for _, reason in result.kept] == [
        "no grade",
        "work.zip is encrypted",
        "checks for only 8 of 100 points could be made: it needs your word",
    ]


def test_checks_that_could_not_be_made_count_neither_way_and_are_told(tmp_path: Path) -> None:
    students = collect(canvas(tmp_path / "download", CLASS[:1]), tmp_path / "out").students
    path = tmp_path / "gradebook.csv"
    path.write_bytes(canvas_gradebook(CLASS))
    some = {students[0].folder: grade("", (PASSED, 98, 98), (NOT_MADE, 2, 0))}
    result = fill(Gradebook.read(path), some, students)
    assert result.cells == [("musteranna_11", 100)]
    assert "musteranna_11 100 for 98 of 98" in "\n".join(result.told(path))


@pytest.mark.parametrize("cell", ["EX", "N/A"])
def test_what_the_site_says_of_a_student_stays(cell: str, tmp_path: Path) -> None:
    data = canvas_gradebook(CLASS[:1]).replace(b'Monday",,12.50', f'Monday",{cell},12.50'.encode())
    students = collect(canvas(tmp_path / "download", CLASS[:1]), tmp_path / "out").students
    result = filled(data, students, tmp_path)
    assert result.content == data
    assert result.kept == [("musteranna_11", f"it says {cell}")]


def test_other_points_than_before_are_told(tmp_path: Path) -> None:
    data = canvas_gradebook(CLASS[:2])
    data = data.replace(b'Monday",,12.50', b'Monday",77,12.50', 1)
    data = data.replace(b'Monday",,12.50', b'Monday",91.50,12.50', 1)
    students = collect(canvas(tmp_path / "download", CLASS[:2]), tmp_path / "out").students
    result = filled(data, students, tmp_path)
    assert result.changed == ["musteranna_11 77 now 90.5"]


def test_a_column_that_counts_to_other_points_is_told(tmp_path: Path) -> None:
    students = collect(canvas(tmp_path / "download", CLASS), tmp_path / "out").students
    data = canvas_gradebook(CLASS).replace(b"100.00", b"20.00")
    result = filled(data, students, tmp_path)
    assert result.scale == (20, 100)
    assert "NOT scaled" in "\n".join(result.told(tmp_path))


FORMS = {
    "semicolons and commas": lambda text: (
        text.replace(",", ";").replace("0.", "0,").replace("2.", "2,")
    ),
    "tabs": lambda text: text.replace(",", "\t"),
    "no mark": lambda text: text.removeprefix("\ufeff"),
    "a line for Excel": lambda text: "\ufeffsep=,\r\n" + text.removeprefix("\ufeff"),
    "no line end": lambda text: text.rstrip(),
    "old line ends": lambda text: text.replace("\r\n", "\r"),
    "empty lines": lambda text: text + "\r\n\r\n",
    "a quote": lambda text: text.replace("CV, Monday", 'CV ""1"",\r\nMonday'),
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "latin-1"])
def test_every_form_of_csv_stays_what_it_is(form: str, encoding: str, tmp_path: Path) -> None:
    class_ = CLASS[:2] if encoding == "latin-1" else CLASS
    text = FORMS[form](canvas_gradebook(class_).decode())
    text = text.removeprefix("\ufeff") if encoding == "latin-1" else text
    if encoding == "utf-16-le" and not text.startswith("\ufeff"):
        pytest.skip("nothing tells that encoding without a mark")
    students = collect(canvas(tmp_path / "download", class_), tmp_path / "out").students
    result = filled(text.encode(encoding), students, tmp_path)
    assert len(result.cells) == len(class_)
    now = result.content.decode(encoding)
    for number in range(len(class_)):
        value = f"{90 + number},5" if form.startswith("semicolons") else f"{90 + number}.5"
        assert now.count(value) == 1
        now = now.replace(value, "")
    assert now == text


def test_cells_in_quotes_stay_in_quotes(tmp_path: Path) -> None:
    text = CsvText('"a","b"\n"x","1 ""one"""\ny,2\n')
    assert text.rows[1][1].value == '1 "one"'
    changed = text.replaced({(1, 1): "3", (2, 1): "4,5"})
    assert changed == '"a","b"\n"x","3"\ny,"4,5"\n'
    assert text.replaced({}) == text.text


def test_rows_that_are_too_short_are_told(tmp_path: Path) -> None:
    students = collect(canvas(tmp_path / "download", CLASS[:1]), tmp_path / "out").students
    lines = canvas_gradebook(CLASS[:1]).decode().split("\r\n")
    lines[3] = '"Muster, Anna",11'
    result = filled("\r\n".join(lines).encode(), students, tmp_path)
    assert result.kept == [("musteranna_11", "the row has fewer cells than the heading")]


def test_a_quote_that_is_not_closed_is_said(tmp_path: Path) -> None:
    path = tmp_path / "gradebook.csv"
    path.write_bytes(canvas_gradebook(CLASS).replace(b'Monday",,12', b"Monday,,12", 1) + b'"')
    with pytest.raises(ValueError, match=r"gradebook\.csv.*quotation mark in line"):
        Gradebook.read(path)


def test_the_column_has_to_be_clear(tmp_path: Path) -> None:
    path = tmp_path / "gradebook.csv"
    path.write_bytes(canvas_gradebook(CLASS, "Assignment B (4712)"))
    with pytest.raises(ValueError, match=r"--column.*'Assignment A \(4711\)', 'Assignment B"):
        Gradebook.read(path)
    for name in ("Assignment A (4711)", "assignment a"):
        assert Gradebook.read(path, name).column == 5
    for name in ("Assignment", "Assignment C", "ID", "Final Score"):
        with pytest.raises(ValueError, match="not the beginning of exactly one"):
            Gradebook.read(path, name)


def test_a_worksheet_in_another_language_needs_the_column_alone(tmp_path: Path) -> None:
    text = moodle_worksheet(CLASS).decode()
    for ours, theirs in (
        ("Identifier", "ID-Nummer"),
        ("Full name", "Vollständiger Name"),
        ("Participant ", "Teilnehmer/in"),
        ("Grade", "Bewertung"),
        ("Maximum grade", "Bestwertung"),
    ):
        text = text.replace(ours, theirs, 1) if ours == "Grade" else text.replace(ours, theirs)
    students = collect(moodle(tmp_path / "download", CLASS), tmp_path / "out").students
    result = filled(text.encode(), students, tmp_path, "Bewertung")
    assert len(result.cells) == 3
    assert without(result.content, "90.5", "91.5", "92.5") == text.encode()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    students = collect(canvas(tmp_path / "download", CLASS), tmp_path / "out").students
    result = filled(canvas_gradebook(CLASS), students, tmp_path)
    results = tmp_path / "results"
    assert result.write(results) == results / "gradebook-filled.csv"
    assert result.write(results) == results / "gradebook-filled.csv", "the same content"
    other = replace(result, content=b"other")
    assert other.write(results) == results / "gradebook-filled-2.csv"
    assert (results / "gradebook-filled.csv").read_bytes() == result.content


def test_what_is_no_gradebook_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no gradebook"):
        Gradebook.read(tmp_path / "nothing.csv")
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match="no rows"):
        Gradebook.read(tmp_path / "a.csv")
