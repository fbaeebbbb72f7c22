"""Texts of unknown origin as they are shown: nothing in them steers a reader's program."""

from __future__ import annotations

import re
from typing import Any

from cifar_lab.grading.verdicts import Verdict

# Controls, line ends that are none, marks that change the direction, and what UTF-8 can't hold.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
BYTE = range(0xDC80, 0xDD00)  # bytes of a name that are not UTF-8, as Python keeps them
LONGEST_TEXT = 4_000
STUDENT, INSTRUCTOR = "Student:", "Instructor:"  # whom a part of a sentence is for
ADDRESSED = re.compile(rf"\b({STUDENT}|{INSTRUCTOR})\s*")


def readable(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return text with visible escapes in place of controls and marks of direction."""
    text = text.replace("\r\n", "\n")
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    return visible(cut)


def visible(text: str) -> str:
    """Return text with escapes in place of what is not seen but changes what is."""
    return UNSEEN.sub(_escape, text)


def shown_name(name: str) -> str:
    r"""Return a name in one line: each has a form of its own, by which its folder is found.

    A byte that is not UTF-8 is `\xff`, a line's end `\n`, a backslash that is followed by what
    could be an escape `\\`.
    """
    name = re.sub(r"\\(?=[xuUnrt\\])", r"\\\\", name)
    return visible(name).replace("\n", r"\n").replace("\t", r"\t")


def people(student: Any) -> str:
    """Return the names of all whose work a submission is."""
    others = [str(one.name) for one in getattr(student, "others", ())]
    return " and ".join([str(student.name), *others])


def one_line(text: str, longest: int = 200) -> str:
    """Return text as one line, shortened."""
    line = " ".join(readable(text, longest=4 * longest).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number in BYTE:
        return f"\\x{number - 0xDC00:02x}"
    known = {"\r": r"\r"}.get(found[0])
    return known or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def said_to(person: str, text: str) -> str:
    """Return the part of a text that is for a person, or for everybody.

    Args:
        person: `STUDENT` or `INSTRUCTOR`.
        text: Text in which "Student:" and "Instructor:" begin what is for one of them.
    """
    parts = ADDRESSED.split(text)
    said = [parts[0]]
    said += [one for whom, one in zip(parts[1::2], parts[2::2], strict=True) if whom == person]
    return " ".join(filter(None, map(str.strip, said)))


def reason_for_student(verdict: Verdict) -> str:
    """Return why a check was not made, and what a student can do; nothing for the instructor."""
    remedy = verdict.remedy if STUDENT in verdict.remedy else ""
    return readable(said_to(STUDENT, f"{verdict.seen} {remedy}"))
