"""Gradescope's `submission_metadata.yml`: which folder of its export is whose.

It is read line by line, since only a few of its lines count and a reader of YAML is no part of this
package. Everything else in it, such as what an autograder printed, is indented further.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

METADATA = "submission_metadata.yml"
MOST_METADATA_MIB = 256
TOP = re.compile(r"(?P<key>[^\s#:'\"-][^:]*|'[^']*'|\"[^\"]*\"):\s*")
SUBMITTERS = re.compile(r"  :submitters:\s*")
FIELD = re.compile(r" +(?P<new>- +)?:(?P<name>\w+):(?: +(?P<value>.*))?", re.DOTALL)
QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|U([0-9A-Fa-f]{8})|(e)|.)", re.DOTALL)
MOST_LINES = 20  # of one text in quotes
Submitter = dict[str, str]


def read_metadata(path: Path) -> dict[str, list[Submitter]]:
    """Return the submitters by the folder's name: for each "name", "sid" and "email".

    Raises:
        ValueError: It is not what Gradescope writes.
    """
    if path.stat().st_size > MOST_METADATA_MIB * 2**20:
        raise ValueError(f"{path.name} has more than {MOST_METADATA_MIB} MiB.")
    found: dict[str, list[Submitter]] = {}
    among: list[Submitter] | None = None  # where the lines tell of submitters
    for line in _lines(path):
        if top := TOP.fullmatch(line):
            among = None
            found[_text(top["key"])] = []
        elif SUBMITTERS.fullmatch(line) and found:
            last = found[next(reversed(found))]
            among = None if last else last
        elif among is not None and (field := FIELD.fullmatch(line)):
            if field["new"]:
                among.append({})
            elif not line.startswith("   "):
                among = None  # the next of what the submission has
            if among:
                among[-1][field["name"]] = _text(field["value"] or "")
    if not any(found.values()):
        raise ValueError(
            f"{path.name} names no submission; expected the file that Gradescope writes."
        )
    return found


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines; a text in quotes that goes on in the next line is one with it."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for line in file:
            line, joined = line.rstrip("\r\n"), 0
            while _is_open(line) and joined < MOST_LINES:
                line, joined = f"{line} {next(file, '').strip()}", joined + 1
            yield line


def _is_open(line: str) -> bool:
    field = FIELD.fullmatch(line)
    value = (field["value"] or "").strip() if field else ""
    return value[:1] in ("'", '"') and not QUOTED.fullmatch(value)


def _text(value: str) -> str:
    """Return a scalar of YAML as text, however it is quoted."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(ESCAPE.sub(_as_json, value)))
        except ValueError:
            return value[1:-1]
    return "" if value in ("null", "~") else value


def _as_json(escape: re.Match[str]) -> str:
    """Return an escape of YAML that JSON lacks as one that it has."""
    if not any(escape.groups()):
        return escape[0]
    number = int(escape[1] or escape[2] or "1b", 16)
    return json.dumps(chr(number) if number <= sys.maxunicode else "?")[1:-1]
