"""What course sites export: whose files are which, and what is said of the rest."""

from __future__ import annotations

import csv
import io
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from site_exports import (
    Someone,
    brightspace,
    canvas,
    gradescope,
    moodle,
    moodle_flat,
    packed,
    write,
    zip_bytes,
    zip_of,
    zips,
)

from cifar_lab.grading.collecting.collect import collect
from cifar_lab.grading.collecting.gradescope import read_metadata
from cifar_lab.grading.collecting.layouts import date_numbers, read_name, without_number
from cifar_lab.grading.collecting.names import UniqueNames, safe_name
from cifar_lab.grading.collecting.students import Collected, Student
from cifar_lab.grading.collecting.table import collected_csv, told
from cifar_lab.grading.submissions.submission import Submission

NOTEBOOK, WEIGHTS = b'{"cells": []}', b"weights"
FILES = {"notebook.ipynb": NOTEBOOK, "weights.pt": WEIGHTS, "nets.py": b"width = 8"}
CLASS = [
    Someone("Anna", "Muster", 11, FILES),
    Someone("Bert", "O'Hara-Núñez", 12, FILES, late=True),
    Someone("李", "小龍", 13, FILES),
]


def content(student: Student) -> dict[str, bytes]:
    return {
        str(path.relative_to(student.path)): path.read_bytes()
        for path in student.path.rglob("*")
        if path.is_file()
    }


def reasons(collected: Collected) -> dict[str, str]:
    return dict(collected.ignored)


def by_folder(collected: Collected) -> dict[str, Student]:
    return {student.folder: student for student in collected.students}


LAYOUTS: dict[str, tuple[Callable[..., Path], str, str]] = {
    "canvas": (canvas, "canvas", "Canvas"),
    "moodle": (moodle, "moodle", "Moodle"),
    "moodle flat": (moodle_flat, "moodle", "Moodle"),
    "brightspace": (brightspace, "brightspace", "Brightspace"),
    "gradescope": (gradescope, "sid", "Gradescope"),
}


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_sites_download_is_read_as_it_is(layout: str, is_packed: bool, tmp_path: Path) -> None:
    make, kind, site = LAYOUTS[layout]
    path = make(tmp_path / "download", CLASS)
    path = packed(path) if is_packed else path
    collected = collect(path, tmp_path / "out" / "collected")
    assert collected.sites == (site,)
    numbers = {one.ids[kind].removeprefix("00") for one in collected.students}
    assert numbers == {"11", "12", "13"}
    assert len({one.folder for one in collected.students}) == 3
    for student in collected.students:
        assert content(student) == FILES
        assert student.path.parent == tmp_path / "out" / "collected"
        assert not student.problem
    if layout == "canvas":
        assert [one.late for one in collected.students] == [False, True, False]
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["collected"], (
        "nothing else is left"
    )


def test_a_download_inside_of_a_folder_is_found(tmp_path: Path) -> None:
    """As macOS unpacks it, and as Gradescope packs it."""
    gradescope(tmp_path / "download" / "assignment_1_export", CLASS)
    assert len(collect(tmp_path / "download", tmp_path / "out").students) == 3
    path = packed(tmp_path / "download")
    assert len(collect(path, tmp_path / "out").students) == 3


def test_a_download_in_several_parts_is_one_class(tmp_path: Path) -> None:
    for number, part in enumerate((CLASS[:2], [CLASS[2], Someone("Dora", "Ode", 14, FILES)])):
        packed(moodle(tmp_path / "download" / f"part{number}", part))
    (tmp_path / "download" / "gradebook.csv").touch()
    collected = collect(tmp_path / "download", tmp_path / "out")
    assert {one.ids["moodle"] for one in collected.students} == {"11", "12", "13", "14"}
    assert list(reasons(collected)) == ["gradebook.csv"]


def test_an_archive_for_each_student_is_unpacked(tmp_path: Path) -> None:
    path = zips(tmp_path / "download", CLASS, tmp_path)
    collected = collect(path, tmp_path / "out")
    assert [one.ids["folder"] for one in collected.students] == [one.login for one in CLASS]
    assert all(
        content(one).keys() == {f"work/{name}" for name in FILES} for one in collected.students
    )
    assert Submission(collected.students[0].path).notebook_path.read_bytes() == NOTEBOOK
    whole = packed(path)
    assert len(collect(whole, tmp_path / "out2").students) == 3


def test_one_archive_of_plain_folders_is_a_class(tmp_path: Path) -> None:
    for someone in CLASS:
        write(tmp_path / "class" / "submissions" / someone.login, someone.files)
    (tmp_path / "class" / "submissions" / "empty").mkdir()
    collected = collect(packed(tmp_path / "class"), tmp_path / "out")
    assert set(by_folder(collected)) == {one.login for one in CLASS} | {"empty"}
    assert by_folder(collected)["empty"].problem == "no file was handed in"


def test_a_plain_class_is_graded_where_it_is(tmp_path: Path) -> None:
    for someone in CLASS:
        write(tmp_path / "class" / someone.login, someone.files)
    collected = collect(tmp_path / "class", tmp_path / "out")
    assert collected.is_in_place
    assert not collected.ignored
    assert [one.path for one in collected.students] == [
        tmp_path / "class" / one.folder for one in collected.students
    ]
    assert not (tmp_path / "out").exists()
    assert not list(told(collected))


def test_who_handed_in_an_archive_is_unpacked_and_the_others_stay(tmp_path: Path) -> None:
    write(tmp_path / "class" / "anna", FILES)
    write(tmp_path / "class" / "bert", {"work.zip": zip_bytes(FILES, tmp_path)})
    write(tmp_path / "class", {"carl.zip": zip_bytes(FILES, tmp_path)})
    students = by_folder(collect(tmp_path / "class", tmp_path / "out"))
    assert students["anna"].path == tmp_path / "class" / "anna"
    assert content(students["bert"]) == content(students["carl"]) == FILES
    assert (tmp_path / "class" / "bert" / "work.zip").exists(), "the class is as it was"


def test_an_archive_whose_content_lies_beside_it_is_not_two_students(tmp_path: Path) -> None:
    write(tmp_path / "class" / "anna", FILES)
    write(tmp_path / "class", {"anna.zip": zip_bytes(FILES, tmp_path)})
    collected = collect(tmp_path / "class", tmp_path / "out")
    assert list(by_folder(collected)) == ["anna"]
    assert "beside it" in reasons(collected)["anna.zip"]


def test_what_is_no_submission_is_named_with_the_reason(tmp_path: Path) -> None:
    class_ = write(
        tmp_path / "class",
        {
            "anna/notebook.ipynb": NOTEBOOK,
            "readme.txt": b"",
            "template.ipynb": NOTEBOOK,
            ".DS_Store": b"",
            ".git/config": b"",
            "__MACOSX/._anna": b"",
            "venv/pyvenv.cfg": b"",
            "venv/lib/site-packages/demo.ipynb": NOTEBOOK,
            "grades-b/.cifar-lab-grades.lock": b"",
            "grades-b/anna/report.html": b"",
        },
    )
    (class_ / "away").symlink_to(tmp_path / "nowhere")
    collected = collect(class_, class_ / "grades-a" / "collected", results=class_ / "grades-a")
    assert list(by_folder(collected)) == ["anna"]
    assert reasons(collected).keys() == {
        "readme.txt",
        "template.ipynb",
        ".DS_Store",
        ".git",
        "__MACOSX",
        "venv",
        "grades-b",
        "away",
    }


@pytest.mark.parametrize(
    "name", [".name", "__name", "grades.csv", "class.html", "collected", "-rf"]
)
def test_nobody_vanishes_by_a_name(name: str, tmp_path: Path) -> None:
    class_ = write(
        tmp_path / "class", {f"{name}/notebook.ipynb": NOTEBOOK, "anna/a.ipynb": NOTEBOOK}
    )
    collected = collect(class_, tmp_path / "out")
    assert not collected.ignored
    assert len(collected.students) == 2
    (student,) = (one for one in collected.students if one.path.name == name)
    assert not student.folder.startswith((".", "-"))
    assert student.folder.lower() not in ("grades.csv", "class.html", "collected")


def test_nobody_vanishes_by_a_lock_file(tmp_path: Path) -> None:
    lock = ".cifar-lab-grades.lock"
    class_ = write(
        tmp_path / "class",
        {
            f"anna/{lock}": b"",
            "anna/notebook.ipynb": NOTEBOOK,
            f"bert/{lock}": b"",
            "bert/code/notebook.ipynb": NOTEBOOK,
            f"carl/{lock}": b"",
            "carl/report.html": b"",
        },
    )
    collected = collect(class_, tmp_path / "out")
    assert list(by_folder(collected)) == ["anna", "bert"]
    assert "results" in reasons(collected)["carl"]


HARMFUL = (
    "line\nbreak",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "tab\there",
    "\x7f\x85\u2028",
    "half \udcff of a byte",
)


@pytest.mark.parametrize("name", [*HARMFUL, "n" * 255, "🎉" * 60, "=1+1", "  spaces  ", "Ä. Ö"])
def test_names_of_students_do_no_harm_in_any_output(name: str, tmp_path: Path) -> None:
    class_ = tmp_path / "class"
    write(class_ / "anna", FILES)
    try:
        write(class_ / name, FILES)
    except (OSError, UnicodeError) as error:
        pytest.skip(f"this file system has no such names: {error}")
    write(class_, {f"{name[:200]}.txt": b""})
    collected = collect(class_, tmp_path / "out")
    (student,) = (one for one in collected.students if one.folder != "anna")
    assert content(student) == FILES
    assert student.folder.isprintable()
    assert student.folder == safe_name(student.folder)
    assert len(student.folder.encode()) <= 255
    assert (tmp_path / "results" / student.folder).parent == tmp_path / "results"
    for line in [*told(collected), *collected_csv(collected).splitlines()]:
        assert line.removeprefix("\ufeff").isprintable()
    cells = [cell for row in rows_of(collected) for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def rows_of(collected: Collected) -> list[dict[str, str]]:
    text = collected_csv(collected)
    assert text.startswith("\ufeff"), "Excel reads it as UTF-8"
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_two_who_differ_in_case_alone_have_two_folders(tmp_path: Path) -> None:
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("Anna", "anna", "ANNA"):
            archive.writestr(f"{name}/notebook.ipynb", name)
    collected = collect(path, tmp_path / "out")
    assert len({one.folder.casefold() for one in collected.students}) == 3
    assert {content(one)["notebook.ipynb"] for one in collected.students} == {
        b"Anna",
        b"anna",
        b"ANNA",
    }
    assert {one.name for one in collected.students} >= {"Anna"}


def canvas_files(tmp_path: Path, files: Mapping[str, bytes]) -> Collected:
    path = canvas(tmp_path / "download", [replace(CLASS[0], files=files)])
    return collect(path, tmp_path / "out")


def test_canvas_numbers_of_another_upload_do_not_break_imports(tmp_path: Path) -> None:
    given = {
        "notebook-2.ipynb": NOTEBOOK,
        "weights-1.pt": WEIGHTS,
        "nets-1.py": b"width = 8",
        "words-3.txt": b"words",
    }
    (student,) = canvas_files(tmp_path, given).students
    found = content(student)
    assert found["nets.py"] == b"width = 8"
    assert "nets-1.py" not in found
    assert found["words.txt"] == found["words-3.txt"] == b"words"
    assert found["notebook-2.ipynb"] == NOTEBOOK, "the grader knows the newest of several"
    assert (
        student.files["mustera" and "musteranna_11_71103_words-3.txt"] == "words-3.txt; words.txt"
    )


def test_a_number_that_the_student_wrote_stays(tmp_path: Path) -> None:
    given = {"notebook.ipynb": NOTEBOOK, "nets.py": b"new", "nets-1.py": b"old", "part-1.csv": b"1"}
    given |= {"part-2.csv": b"2"}
    (student,) = canvas_files(tmp_path, given).students
    found = content(student)
    assert (found["nets.py"], found["nets-1.py"]) == (b"new", b"old")
    assert (found["part-1.csv"], found["part-2.csv"]) == (b"1", b"2")


def test_text_that_was_typed_into_the_site_is_named(tmp_path: Path) -> None:
    path = canvas(tmp_path / "download", CLASS[:1])
    write(path, {"odedora_14_text.html": b"<p>My work", "odedora_LATE_15_link.html": b""})
    write(path, {"Eva Ode_16_assignsubmission_onlinetext_/onlinetext.html": b"<p>My work"})
    collected = collect(path, tmp_path / "out")
    students = by_folder(collected)
    assert len(students) == 4, "each has a row"
    assert students["odedora_14"].problem == "no file was handed in"
    assert all("typed" in reason for reason in reasons(collected).values())


def test_an_anonymous_class_is_told_apart(tmp_path: Path) -> None:
    names = ("anon_aB3_70001_notebook.ipynb", "LATE_anon_cD4_70002_123_notebook.ipynb")
    collected = collect(write(tmp_path / "c", dict.fromkeys(names, NOTEBOOK)), tmp_path / "out")
    assert [one.folder for one in collected.students] == ["anon_aB3", "anon_cD4"]
    assert list(content(collected.students[1])) == ["123_notebook.ipynb"]


def test_a_name_that_looks_like_another_students_number_is_not_theirs(tmp_path: Path) -> None:
    """Canvas's names have a gap there: a student may be called `mallory_11`."""
    path = canvas(tmp_path / "download", CLASS[:1])
    write(path, {"mallory_11_70_80_notebook.ipynb": b"not Anna's"})
    students = collect(path, tmp_path / "out").students
    assert len(students) == 2
    assert content(by_folder(collect(path, tmp_path / "out"))["musteranna_11"]) == FILES


def test_brightspace_counts_what_was_submitted_last(tmp_path: Path) -> None:
    dates = ("Sep 24, 2026 112 PM", "Sep 24, 2026 1105 AM", "Oct 1, 2025 900 AM")
    for date in dates:
        write(
            tmp_path / "download" / f"11-4711 - Anna Muster - {date}",
            {"notebook.ipynb": date.encode()},
        )
    collected = collect(tmp_path / "download", tmp_path / "out")
    (student,) = collected.students
    assert content(student) == {"notebook.ipynb": dates[0].encode()}
    assert len(collected.ignored) == 2
    assert all("submitted before" in reason for _, reason in collected.ignored)


def test_dates_are_in_the_order_of_time() -> None:
    dates = ("Jan 5, 2026 1205 AM", "Jan 5, 2026 112 AM", "January 5, 2026 1:12 PM")
    dates += ("Feb 1, 2026 930 AM",)
    numbers = [date_numbers(date) for date in dates]
    assert numbers == sorted(numbers)
    assert numbers[2] == (2026, 1, 5, 13, 12)
    assert date_numbers("5. Jänner 2026") == ()


def test_a_group_is_one_submission_of_several_people(tmp_path: Path) -> None:
    path = gradescope(tmp_path / "download", CLASS[:1])
    metadata = path / "submission_metadata.yml"
    text = metadata.read_text().replace(
        "  :created_at:", "  - :name: \"Zo\\u00EB \\U0001F389\"\n    :sid: '77'\n  :created_at:", 1
    )
    metadata.write_text(text)
    (student,) = collect(path, tmp_path / "out").students
    assert [(one.name, one.ids["sid"]) for one in student.people] == [
        ("Anna Muster", "0011"),
        ("Zoë 🎉", "77"),
    ]


def test_metadata_takes_nothing_from_what_students_print(tmp_path: Path) -> None:
    path = tmp_path / "submission_metadata.yml"
    path.write_text(
        "---\n"
        "submission_1:\n"
        "  :submitters:\n"
        "  - :name: 'It''s a long name that Ruby\n"
        "      :sid: ''99'' folds'\n"
        "    :sid: '11'\n"
        "  :results:\n"
        "    output: |\n"
        "      :submitters:\n"
        "      - :name: Mallory\n"
        "        :sid: '12'\n"
        "  :history:\n"
        "  - :id: 5\n"
        "    :sid: '13'\n"
        "submission_2:\n"
        "  :submitters:\n"
        "  - :name:\n"
        "    :sid: null\n"
        "    :email: b@example.edu\n"
    )
    assert read_metadata(path) == {
        "submission_1": [{"name": "It's a long name that Ruby :sid: '99' folds", "sid": "11"}],
        "submission_2": [{"name": "", "sid": "", "email": "b@example.edu"}],
    }


def test_folders_and_metadata_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = gradescope(tmp_path / "download", CLASS[:2])
    shutil.rmtree(path / "submission_900011")
    write(path / "submission_7", FILES)
    collected = collect(path, tmp_path / "out")
    assert reasons(collected) == {
        "submission_900011": "named in submission_metadata.yml, and not there"
    }
    assert "submission_7" in by_folder(collected)


@pytest.mark.parametrize(
    ("bad", "word"), [(b"", "damaged"), (b"PK\x03\x04 and no more", "damaged"), (None, "encrypted")]
)
def test_an_archive_that_can_not_be_read_is_no_zero(
    bad: bytes | None, word: str, tmp_path: Path
) -> None:
    if bad is None:
        content_ = bytearray(zip_bytes(FILES, tmp_path))
        content_[content_.index(b"PK\x03\x04") + 6] |= 1
        content_[content_.index(b"PK\x01\x02") + 8] |= 1
        bad = bytes(content_)
    collected = canvas_files(tmp_path, {"work.zip": bad})
    (student,) = collected.students
    assert word in student.problem
    assert word in " ".join(reasons(collected).values())
    assert f"NOT GRADED: {student.problem}" in "\n".join(told(collected))
    assert any(row["note"].startswith("not graded") for row in rows_of(collected))


def test_an_archive_that_can_not_be_read_here_is_named(tmp_path: Path) -> None:
    (student,) = canvas_files(tmp_path, {"work.7z": b"7z"}).students
    assert "zip it" in student.problem


def test_archives_in_archives_are_not_unpacked(tmp_path: Path) -> None:
    inner = zip_bytes({"notebook.ipynb": NOTEBOOK}, tmp_path)
    outer = zip_bytes({"notebook.ipynb": NOTEBOOK, "inner.zip": inner}, tmp_path)
    collected = canvas_files(tmp_path, {"work.zip": outer})
    (student,) = collected.students
    assert content(student) == {"notebook.ipynb": NOTEBOOK, "inner.zip": inner}
    assert list(reasons(collected).values()) == ["an archive in an archive, which is not unpacked"]


def test_what_an_archive_brings_does_not_replace_what_lies_beside_it(tmp_path: Path) -> None:
    work = zip_bytes({"notebook.ipynb": b"older", "nets.py": b"x"}, tmp_path)
    (student,) = canvas_files(tmp_path, {"notebook.ipynb": NOTEBOOK, "work.zip": work}).students
    assert content(student) == {
        "notebook.ipynb": NOTEBOOK,
        "work.zip": work,
        "work/notebook.ipynb": b"older",
        "work/nets.py": b"x",
    }


def test_of_archives_that_came_again_the_newest_counts(tmp_path: Path) -> None:
    files = {
        name: zip_bytes({"notebook.ipynb": name.encode()}, tmp_path)
        for name in ("work.zip", "work-1.zip", "work-2.zip")
    }
    collected = canvas_files(tmp_path, files)
    assert content(collected.students[0]) == {"notebook.ipynb": b"work-2.zip"}
    assert len(collected.ignored) == 2


def test_links_and_what_tools_made_stay_behind(tmp_path: Path) -> None:
    path = moodle(tmp_path / "download", CLASS[:1])
    (folder,) = path.iterdir()
    write(folder, {".git/HEAD": b"", "venv/pyvenv.cfg": b"", "__pycache__/a.pyc": b""})
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    collected = collect(path, tmp_path / "out")
    assert content(collected.students[0]) == FILES
    assert len(collected.ignored) == 5


def test_a_part_that_stays_packed_marks_its_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cifar_lab.grading.collecting import sorting
    from cifar_lab.grading.collecting.unpack_limits import UnpackLimits

    limits = UnpackLimits(files=1_000, mib=100, file_mib=1)
    monkeypatch.setattr(sorting, "OF_CLASS", limits)
    for name, make in (("canvas", canvas), ("moodle", moodle)):
        large = replace(CLASS[0], files={"weights.pt": os.urandom(2**20 + 1)})
        path = packed(make(tmp_path / name, [large, CLASS[1]]))
        collected = collect(path, tmp_path / "out")
        problems = {one.name: one.problem for one in collected.students}
        assert len(problems) == 2
        assert sum("larger than 1 MiB" in problem for problem in problems.values()) == 1


def test_a_student_can_not_hand_in_for_others(tmp_path: Path) -> None:
    """An archive of one among many is that one's, whatever names are in it."""
    forged = {f"{one.last}{one.first}_{one.number}_1_x.ipynb".lower(): b"forged" for one in CLASS}
    write(tmp_path / "class", {"mallory.zip": zip_bytes(forged, tmp_path)})
    write(tmp_path / "class", {"anna.zip": zip_bytes(FILES, tmp_path)})
    assert list(by_folder(collect(tmp_path / "class", tmp_path / "out"))) == ["anna", "mallory"]


def test_collecting_again_leaves_nothing_of_before(tmp_path: Path) -> None:
    path = canvas(tmp_path / "download", CLASS)
    collect(path, tmp_path / "out")
    for one in path.glob("musteranna*"):
        one.unlink()
    again = collect(path, tmp_path / "out")
    assert len(again.students) == len(list((tmp_path / "out").iterdir())) == 2
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": b""}, "one folder or one archive for each student"),
        ({".git/config": b""}, "made by tools"),
    ],
)
def test_a_folder_without_submissions_says_what_was_expected(
    files: Mapping[str, bytes], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        collect(write(tmp_path / "class", files), tmp_path / "out")


def test_one_submission_alone_is_no_class(tmp_path: Path) -> None:
    write(tmp_path / "anna", FILES)
    with pytest.raises(ValueError, match="one submission"):
        collect(packed(tmp_path / "anna"), tmp_path / "out")


def test_a_notebook_beside_the_students_does_not_make_them_one(tmp_path: Path) -> None:
    write(tmp_path / "class", {"template.ipynb": NOTEBOOK})
    for name in ("anna", "bert"):
        write(tmp_path / "class" / name, FILES)
    collected = collect(packed(tmp_path / "class"), tmp_path / "out")
    assert list(by_folder(collected)) == ["anna", "bert"]
    assert list(reasons(collected)) == ["template.ipynb"]


def test_what_is_neither_folder_nor_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "class.7z").touch()
    with pytest.raises(ValueError, match="zip, tar"):
        collect(tmp_path / "class.7z", tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        collect(tmp_path / "nothing", tmp_path / "out")


def test_the_table_has_a_row_for_every_file(tmp_path: Path) -> None:
    path = canvas(tmp_path / "download", CLASS)
    write(path, {"notes.txt": b""})
    rows = rows_of(collect(path, tmp_path / "out"))
    assert len(rows) == len(list(path.iterdir()))
    assert {row["file"] for row in rows} == {one.name for one in path.iterdir()}
    (ignored,) = (row for row in rows if row["note"].startswith("ignored"))
    assert ignored["file"] == "notes.txt"
    assert {row["folder"] for row in rows} - {""} == {
        "musteranna_11",
        "oharanúñezbert_12",
        "小龍李_13",
    }


def test_a_long_list_of_ignored_files_is_summed_up(tmp_path: Path) -> None:
    write(tmp_path / "class", {f"{number}.txt": b"" for number in range(30)})
    write(tmp_path / "class" / "anna", FILES)
    (line,) = told(collect(tmp_path / "class", tmp_path / "out"))
    assert ": 30, such as" in line


def test_students_are_found_by_all_their_names(tmp_path: Path) -> None:
    collected = collect(moodle(tmp_path / "download", CLASS), tmp_path / "out")
    for name in ("Anna Muster_11", "anna muster", "11"):
        assert collected.find(name).ids["moodle"] == "11"
    with pytest.raises(ValueError, match="Did you mean 'Anna Muster_11'"):
        collected.find("Anna Muster_1")


@pytest.mark.parametrize("name", ["\x1b[2J", "\u202egnp", "new\nline", "\udcff"])
def test_an_unknown_name_is_said_with_names_that_do_no_harm(name: str) -> None:
    class_ = Collected((Student(name, Path(), name), Student("anna", Path(), "anna")))
    with pytest.raises(ValueError, match="anna") as error:
        class_.find("berta")
    assert str(error.value).isprintable()


def test_numbers_keep_names_apart() -> None:
    unique = UniqueNames(("collected",), (".csv",))
    given = [unique.give(name) for name in ("Anna", "anna", "ANNA", "a.py", "A.py", "grades.csv")]
    assert given == ["Anna", "anna_2", "ANNA_3", "a.py", "A_2.py", "grades.csv_2"]
    long = [unique.give("ü" * 127) for _ in range(3)]
    assert len(set(long)) == 3
    assert max(len(name.encode()) for name in long) <= 255


def test_names_that_no_site_writes_are_nobodys() -> None:
    for name in ("notebook.ipynb", "anna", "week_3_report.ipynb", "2026-09-24 - notes.txt"):
        assert read_name(name, is_folder=False) is None
    assert without_number("work-12.tar.gz") == "work.tar.gz"
    assert without_number("2026-09-24.csv") == "2026-09.csv"
    assert without_number("notebook.ipynb") is None


def test_an_archive_of_zips_is_what_mail_brings(tmp_path: Path) -> None:
    zips(tmp_path / "all" / "inbox", CLASS, tmp_path)
    path = zip_of(tmp_path / "all", tmp_path / "all.zip")
    assert len(collect(path, tmp_path / "out").students) == 3
