"""What a notebook's text says: its outputs, its sections, the figures in them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any

import numpy as np

from cifar_lab.grading.submissions import Cell

CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
TAG = re.compile(r"<[^<>]{0,500}>")
NO_CHARACTER = re.compile(r"&#\d{8,};?")  # Python turns no number so long into a character
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*)$", re.MULTILINE)
BOLD_HEADING = re.compile(
    r"^[ \t]{0,8}(?:[-*][ \t]{1,8}|\d{1,3}[.)][ \t]{1,8})?\*\*([^*\n]{3,80})\*\*", re.MULTILINE
)
WORD = re.compile(r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*")  # noqa: RUF001 (an apostrophe as it is typed)
PERCENT = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d+)?)\s*(?:%|percent|\\%)")
DECIMAL = re.compile(r"(?<![\d.,])(\d{1,3}\.\d+|100)(?!\d|[.,]\d)")
FIGURE = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d+)?)(?!\d|[.,]\d|\s*/)")
SHARE_OF = re.compile(r"(?<![\d.,])(\d{1,6})\s*/\s*(\d{2,6})(?![\d.,]\d)")
ACCURACY = re.compile(
    r"(?:(?<![a-z])|(?<=test)|(?<=train)|(?<=val))acc(?:uracy)?(?![a-z])", re.IGNORECASE
)
AT_ONCE = re.compile(r"(?<![a-z])test\w{0,3}(?:\W+(?:set|data|images?))?[\W_]*$", re.IGNORECASE)
PROGRESS_BAR = re.compile(r"\d%\|[\s\d#\u2588-\u258f]{0,200}\|")
IMAGES_OF = re.compile(r"(?<![a-z])(test|train|val(?:id|[\W_]|$))", re.IGNORECASE)
ONE_CLASS = re.compile(r"\b(?:of|for|on|per|in|each)[ -]+class\b|\bclass\s+\d", re.IGNORECASE)
MOST_TEXT = 2_000_000  # characters of a notebook's outputs that are looked at
MOST_PROSE, MOST_HEADINGS = 200_000, 1_000  # and of its Markdown
MOST_PASSAGES, LONGEST_PASSAGE = 5_000, 2_000
AFTER_ACCURACY = 120  # characters in which its number stands


def output_text(cell: Cell) -> str:
    """What a cell shows, as plain text."""
    parts: list[str] = []
    for output in cell.outputs:
        if sum(map(len, parts)) > MOST_TEXT:
            break
        data = output.get("data")
        data = data if isinstance(data, dict) else {}
        parts.append(_joined(output.get("text")))
        if "text/markdown" in data:
            parts.append(_joined(data["text/markdown"]))
        elif "text/html" in data:
            parts.append(_text_of_html(_joined(data["text/html"])[:MOST_TEXT]))
        else:
            parts.append(_joined(data.get("text/plain")))
    return CONTROL.sub("", "\n".join(part for part in parts if part)[:MOST_TEXT])


def _text_of_html(text: str) -> str:
    """A line for each row of a table, as pandas shows its own."""
    text = re.sub(r"(</t[dh]>)\s{1,80}(?=<t[dh])", r"\1", text)
    return html.unescape(NO_CHARACTER.sub(" ", TAG.sub(" ", text)))


def _joined(text: Any) -> str:
    if isinstance(text, list):
        return "".join(map(str, text))
    return text if isinstance(text, str) else ""


def all_output(cells: Sequence[Cell]) -> str:
    """What all code cells show."""
    return "\n".join(output_text(cell) for cell in cells if cell.kind == "code")[:MOST_TEXT]


def reported_accuracies(cells: Sequence[Cell]) -> list[float]:
    """All test accuracies in the outputs, in percent, in their order.

    A number with a percent sign comes before `7123/10000`, and that before a plain one; one up to 1
    is a share. Lines about single classes and progress bars don't count.
    """
    found: list[float] = []
    previous = ""
    for line in all_output(cells).splitlines():
        if PROGRESS_BAR.search(line) or ONE_CLASS.search(line):
            continue
        matches = list(ACCURACY.finditer(line))
        ends = [*(match.start() for match in matches), len(line)][1:]
        start = 0
        for match, end in zip(matches, ends, strict=True):
            rest = line[match.end() : min(end, match.end() + AFTER_ACCURACY)]
            if _is_of_test_images(previous[-60:], line[start : match.start()], rest):
                value = _accuracy_in(rest)
                found += [] if value is None else [value]
            start = match.end()
        previous = line
    return found


def _is_of_test_images(previous: str, before: str, after: str) -> bool:
    """By the word just before it, else up to its number, else before it, else a line above."""
    if AT_ONCE.search(before[-60:]):
        return True
    number = re.search(r"[:=%]|\d\.\d", after)
    named = IMAGES_OF.findall(after[: number.start()][-60:] if number else "")
    if not named:
        named = IMAGES_OF.findall(before[-60:])[-1:]
    if not named and not ACCURACY.search(previous):
        named = IMAGES_OF.findall(previous)[-1:]
    return any(name.lower() == "test" for name in named)


def _accuracy_in(text: str) -> float | None:
    """The accuracy in what follows the word: after its colon, where it has one."""
    at_once = re.match(r"[\s'\"\])(%]{0,8}[:=]", text)
    if at_once:
        text = text[at_once.end() :]
    elif re.search(r"\d", text.partition(":")[2]):
        text = text.partition(":")[2]
    signed, shares, plain = PERCENT.findall(text), SHARE_OF.findall(text), FIGURE.findall(text)
    if signed and float(signed[0]) <= 100:
        return float(signed[0])
    if shares and 0 < int(shares[0][1]) >= int(shares[0][0]):
        return 100 * int(shares[0][0]) / int(shares[0][1])
    plain = [number for number in plain if float(number) <= 100]
    if not plain:
        return None
    return _in_percent(float(plain[0])) if "." in plain[0] else float(plain[0])


def _in_percent(number: float) -> float:
    return 100 * number if number <= 1 else number


def figures(text: str) -> np.ndarray:
    """All numbers in a text that may be accuracies, in percent; shares of 1 in both ways."""
    numbers = {float(number) for number in {*DECIMAL.findall(text), *PERCENT.findall(text)}}
    return np.array(sorted({*numbers, *map(_in_percent, numbers)}))


def passages(cells: Sequence[Cell]) -> Iterator[str]:
    """Lines, table rows and paragraphs that may report on a network."""
    texts = (
        text for text in _passages(cells) if len(text) <= LONGEST_PASSAGE and re.search(r"\d", text)
    )
    return islice(texts, MOST_PASSAGES)


def _passages(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        text = cell.source[:MOST_PROSE] if cell.kind == "markdown" else output_text(cell)
        for paragraph in re.split(r"\n\s*\n", text):
            lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
            yield from lines
            if cell.kind == "markdown" and not any(line.startswith("|") for line in lines):
                yield " ".join(lines)


def counts(passage: str, wanted: Iterable[int]) -> list[int]:
    """Which numbers of parameters are in the text: 42362, 42,362, 42 362, 42.362 or 42.4k."""
    joined = re.sub(r"(?<=\d)[,. _'\u202f](?=\d{3}(?!\d))", "", passage)
    grouped = [number.replace(",", "") for number in re.findall(r"\d{1,3}(?:,\d{3})+", passage)]
    written = {*re.findall(r"\d+", passage), *re.findall(r"\d+", joined), *grouped}
    rounded = [
        float(number) * (1e6 if unit == "M" else 1e3)
        for number, unit in re.findall(r"(?<![\d.])(\d{1,9}(?:\.\d{1,9})?)\s?([kKM])\b", passage)
    ]
    return [
        count
        for count in wanted
        if str(count) in written or any(abs(size - count) <= 0.01 * count for size in rounded)
    ]


def percentages(passage: str) -> list[float]:
    """The accuracies in a passage: with a percent sign, or else the largest decimal number.

    In a table the sign is in its head, and the other columns are of losses.
    """
    found = [float(number) for number in PERCENT.findall(passage)]
    return found or decimals(passage)[-1:]


def decimals(passage: str) -> list[float]:
    """Its decimal numbers up to 100, in percent, in ascending order."""
    numbers = [_in_percent(float(number)) for number in DECIMAL.findall(passage)]
    return sorted(number for number in numbers if number <= 100)


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
        elif isinstance(colab, dict) and _is_duration(colab.get("elapsed")):
            total, found = total + colab["elapsed"] / 1000, True
    return total if found else None


def _is_duration(milliseconds: Any) -> bool:
    return isinstance(milliseconds, int | float) and 0 <= milliseconds < 1e12


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
