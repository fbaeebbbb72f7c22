"""How course sites name what they export: which file or folder is whose.

Canvas writes all files into one folder, `lastnamefirstname_[LATE_]12345_67890_notebook.ipynb`: the
student's number, the file's, and the name that the student gave. Moodle makes a folder for each
student, `Name_123_assignsubmission_file_`, or begins each file's name with that. Brightspace makes
one for each time that a student submits, `12345-67890 - Name - Sep 24, 2024 926 PM`. Gradescope's
folders are known by its `submission_metadata.yml` (`gradescope`).

Canvas: lib/content_zipper.rb of instructure/canvas-lms. Moodle: mod/assign/classes/downloader.php.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cifar_lab.grading.collecting.names import safe_name, shortened

CANVAS, MOODLE, BRIGHTSPACE, GRADESCOPE = "Canvas", "Moodle", "Brightspace", "Gradescope"
LONGEST_NAME = 150  # bytes of a person's name in a folder's
TYPED = "text or a link that was typed into the site; only files are graded"
COMMENT = "a comment, or something else that is no file"

WHO_CANVAS = r"(?:(?P<name>.*?)_)?(?P<late>(?i:late)_)?(?P<id>\d+)"
ANONYMOUS_CANVAS = r"(?P<late>(?i:late)_)?anon_(?P<id>[^_]+)"
FILE_CANVAS = r"_(?P<file>\d+)_(?P<rest>.+)"
CANVAS_FILES = tuple(
    re.compile(who + FILE_CANVAS, re.DOTALL) for who in (ANONYMOUS_CANVAS, WHO_CANVAS)
)
CANVAS_TYPED = tuple(
    re.compile(who + r"_(?:text|link)\.html", re.DOTALL) for who in (ANONYMOUS_CANVAS, WHO_CANVAS)
)
MOODLE_NAME = re.compile(
    r"(?P<name>[^_]*)(?:_(?P<id>\d+))?_assignsubmission_(?P<type>[a-z]+)(?:_(?P<rest>.*))?",
    re.DOTALL,
)
WHO_BRIGHTSPACE = r"(?P<id>\d+)-(?P<second>\d+) - (?P<name>.+?) - (?P<date>[^/]*?\b\d{4}\b.*?)"
BRIGHTSPACE_FOLDER = re.compile(WHO_BRIGHTSPACE, re.DOTALL)
BRIGHTSPACE_FILE = re.compile(WHO_BRIGHTSPACE + r" - (?P<rest>.+)", re.DOTALL)

DATE = re.compile(
    r"(?P<month>[A-Za-z]{3})[a-z]*\.? (?P<day>\d{1,2}), (?P<year>\d{4})"
    r" (?P<hour>\d{1,2}):?(?P<minute>\d\d)(?: (?P<half>[AP])M)?",
    re.IGNORECASE,
)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Canvas's mark of a file that was handed in again, which the student did not write.
AGAIN = re.compile(r"(?P<stem>.+)-(?P<number>\d{1,2})(?P<suffix>(?:\.[A-Za-z][A-Za-z0-9]*)+)")


@dataclass(frozen=True)
class Entry:
    """What the name of an exported file or folder says.

    Attributes:
        site: Site that writes such names.
        key: Value that is the same in all of a student's names, and in nobody else's.
        folder: Name for the student's folder.
        name: Student's name, as the site writes it; "" where it does not.
        ids: Student's numbers on the site, by the kind of number.
        file: Name that the student gave the file; None for a folder.
        late: Whether the site says so.
        date: When it was submitted, as numbers to sort by; empty where that is not known.
        reason: Reason why it is no part of what is graded; "" where it is.
    """

    site: str
    key: tuple[str, ...]
    folder: str
    name: str
    ids: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None
    late: bool = False
    date: tuple[int, ...] = ()
    reason: str = ""


def read_name(name: str, *, is_folder: bool) -> Entry | None:
    """Return what a name says; None for one that no site writes."""
    return (
        _of_moodle(name, is_folder)
        or _of_brightspace(name, is_folder)
        or (None if is_folder else _of_canvas(name))
    )


def _of_canvas(name: str) -> Entry | None:
    typed = next(filter(None, (one.fullmatch(name) for one in CANVAS_TYPED)), None)
    found = typed or next(filter(None, (one.fullmatch(name) for one in CANVAS_FILES)), None)
    if found is None:
        return None
    parts = found.groupdict()
    number, person = parts["id"], parts.get("name") or ""
    return Entry(
        CANVAS,
        (CANVAS, person, number),
        named_folder(person or "anon", number),
        person,
        {"canvas": number} if number.isdigit() else {},
        parts.get("rest") or name,
        late=bool(parts["late"]),
        reason=TYPED if typed else "",
    )


def _of_moodle(name: str, is_folder: bool) -> Entry | None:
    found = MOODLE_NAME.fullmatch(name)
    if found is None or (not is_folder and not found["rest"]):
        return None
    number = found["id"] or ""
    reasons = {"file": "", "onlinetext": TYPED}
    return Entry(
        MOODLE,
        (MOODLE, found["name"], number),
        named_folder(found["name"], number),
        found["name"],
        {"moodle": number} if number else {},
        None if is_folder else found["rest"],
        reason=reasons.get(found["type"], COMMENT),
    )


def _of_brightspace(name: str, is_folder: bool) -> Entry | None:
    found = (BRIGHTSPACE_FOLDER if is_folder else BRIGHTSPACE_FILE).fullmatch(name)
    if found is None:
        return None
    return Entry(
        BRIGHTSPACE,
        (BRIGHTSPACE, found["id"], found["second"], found["name"]),
        named_folder(found["name"], found["id"]),
        found["name"],
        {"brightspace": found["id"]},
        None if is_folder else found["rest"],
        date=date_numbers(found["date"]),
    )


def named_folder(name: str, number: str) -> str:
    """Return a name for a student's folder that tells the name and the number."""
    return safe_name("_".join(filter(None, (shortened(name.strip(), LONGEST_NAME), number))))


def date_numbers(text: str) -> tuple[int, ...]:
    """Return Brightspace's date as numbers; empty where it is written in another language."""
    found = DATE.search(text)
    if found is None or found["month"].lower() not in MONTHS:
        return ()
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + 12 * (found["half"].upper() == "P")
    month = MONTHS.index(found["month"].lower()) + 1
    return int(found["year"]), month, int(found["day"]), hour, int(found["minute"])


def without_number(name: str) -> str | None:
    """Return a file's name without Canvas's mark of another upload; None where it has none."""
    found = AGAIN.fullmatch(name)
    return None if found is None else found["stem"] + found["suffix"]
