"""What a notebook's text says: its outputs, its sections, the figures in them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from cifar_lab.grading.submissions import Cell

CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
TAG = re.compile(r"<[^>]{0,500}>")
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*)$", re.MULTILINE)
BOLD_HEADING = re.compile(
    r"^[ \t]{0,8}(?:[-*][ \t]{1,8}|\d{1,3}[.)][ \t]{1,8})?\*\*([^*\n]{3,80})\*\*", re.MULTILINE
)
WORD = re.compile(r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*")  # noqa: RUF001 (an apostrophe as it is typed)
PERCENT = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d+)?)\s*(?:%|percent|\\%)")
DECIMAL = re.compile(r"(?<![\d.,])(\d{1,3}\.\d+|100)(?![\d.,])")
TEST_ACCURACY = re.compile(
    r"(?:test[\w \t]{0,20}?[ _-]?acc(?:uracy|\.)?\b|\baccuracy[^\n]{0,60}?\btest\b)([^\n]{0,120})",
    re.IGNORECASE,
)
FIGURE = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d+)?)(?![\d,]|\.\d|\s*/)")
MOST_TEXT = 2_000_000  # characters of a notebook's outputs that are looked at
MOST_PROSE, MOST_HEADINGS = 200_000, 1_000  # and of its Markdown


def output_text(cell: Cell) -> str:
    """What a cell shows, as plain text."""
    parts = []
    for output in cell.outputs:
        data = output.get("data")
        data = data if isinstance(data, dict) else {}
        parts.append(_joined(output.get("text")))
        if "text/markdown" in data:
            parts.append(_joined(data["text/markdown"]))
        elif "text/html" in data:
            parts.append(html.unescape(TAG.sub(" ", _joined(data["text/html"])[:MOST_TEXT])))
        else:
            parts.append(_joined(data.get("text/plain")))
    return CONTROL.sub("", "\n".join(part for part in parts if part)[:MOST_TEXT])


def _joined(text: Any) -> str:
    if isinstance(text, list):
        return "".join(map(str, text))
    return text if isinstance(text, str) else ""


def all_output(cells: Sequence[Cell]) -> str:
    """What all code cells show."""
    return "\n".join(output_text(cell) for cell in cells if cell.kind == "code")[:MOST_TEXT]


def reported_accuracy(cells: Sequence[Cell]) -> float | None:
    """The last test accuracy in the outputs, in percent; None where none is printed.

    In its line, a number with a percent sign comes before one without. One up to 1 without the
    sign is a share. Lines about single classes don't count.
    """
    found = None
    for line in all_output(cells).splitlines():
        match = TEST_ACCURACY.search(line)
        if match is None or re.search(r"\bclass(es)?\b", line, re.IGNORECASE):
            continue
        signed = PERCENT.findall(match[1])
        plain = [number for number in FIGURE.findall(match[1]) if float(number) <= 100]
        if signed:
            found = float(signed[0])
        elif plain:
            value = float(plain[0])
            found = 100 * value if value <= 1 and "." in plain[0] else value
    return found


def has_figure(text: str, value: float, tolerance: float) -> bool:
    """Whether a number, or a share of 1, within the tolerance of a percentage is in the text."""
    numbers = [float(number) for number in {*DECIMAL.findall(text), *PERCENT.findall(text)}]
    near = (abs(number - value) for number in numbers)
    shares = (abs(100 * number - value) for number in numbers if number <= 1)
    return any(difference <= tolerance for difference in (*near, *shares))


def passages(cells: Sequence[Cell]) -> Iterator[str]:
    """Lines, table rows and paragraphs that may report on a network."""
    for cell in cells:
        text = cell.source if cell.kind == "markdown" else output_text(cell)
        for paragraph in re.split(r"\n\s*\n", text):
            lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
            yield from lines
            if cell.kind == "markdown" and not any(line.startswith("|") for line in lines):
                yield " ".join(lines)


def mentions_count(passage: str, parameters: int) -> bool:
    """Whether a number of parameters is in the text: 42362, 42,362, 42 362, 42.362 or 42.4k."""
    digits = re.sub(r"(?<=\d)[,. _'\u202f](?=\d{3}(?!\d))", "", passage)
    if re.search(rf"(?<!\d){parameters}(?!\d)", digits):
        return True
    for number, unit in re.findall(r"(?<![\d.])(\d+(?:\.\d+)?)\s?([kKM])\b", passage):
        size = float(number) * (1e6 if unit == "M" else 1e3)
        if abs(size - parameters) <= 0.01 * parameters:
            return True
    return False


def percentages(passage: str) -> list[float]:
    """The accuracies in a passage: with a percent sign, or else the largest decimal number.

    In a table the sign is in its head, and the other columns are of losses.
    """
    found = [float(number) for number in PERCENT.findall(passage)]
    decimals = [float(number) for number in DECIMAL.findall(passage)]
    return found or sorted(number for number in decimals if number <= 100)[-1:]


def sections(cells: Sequence[Cell]) -> Iterator[tuple[str, str]]:
    """Each heading of the Markdown cells, and the text under it up to the next one."""
    text = "\n\n".join(cell.source for cell in cells if cell.kind == "markdown")[:MOST_PROSE]
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    starts = [(m.start(), m.end(), len(m[1]), m[2].strip(" \t#")) for m in HEADING.finditer(text)]
    starts += [(m.start(), m.end(), 7, m[1]) for m in BOLD_HEADING.finditer(text)]
    starts = sorted(starts)[:MOST_HEADINGS]
    for place, (_, end, level, title) in enumerate(starts):
        following = (start for start, _, other, _ in starts[place + 1 :] if other <= level)
        yield title, text[end : next(following, len(text))]


def words(text: str) -> list[str]:
    """Its words, in lower case, without links' addresses, code and HTML."""
    text = re.sub(r"\]\([^)\n]{0,500}\)|https?://\S+|`[^`]*`", " ", TAG.sub(" ", text))
    return [word.lower() for word in WORD.findall(text)]


def own_words(text: str, template: str) -> list[str]:
    """The words of a text that are not part of five in a row that the template has too."""
    given, mine = words(template), words(text)
    known = {tuple(given[place : place + 5]) for place in range(len(given) - 4)}
    copied = [False] * len(mine)
    for place in range(len(mine) - 4):
        if tuple(mine[place : place + 5]) in known:
            copied[place : place + 5] = [True] * 5
    return [word for word, is_copied in zip(mine, copied, strict=True) if not is_copied]


def recorded_seconds(cells: Sequence[Cell]) -> float | None:
    """How long the cells ran, by what Jupyter, nbclient or Colab recorded; None without."""
    total, found = 0.0, False
    for cell in cells:
        execution = cell.metadata.get("execution")
        colab = cell.metadata.get("executionInfo")
        if isinstance(execution, dict):
            start = _time(execution.get("iopub.execute_input"))
            end = _time(execution.get("shell.execute_reply"))
            if start and end:
                total, found = total + (end - start).total_seconds(), True
        elif isinstance(colab, dict) and isinstance(colab.get("elapsed"), int | float):
            total, found = total + colab["elapsed"] / 1000, True
    return total if found else None


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
