"""A notebook's text: its outputs, its sections, the figures in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

from cifar_lab.grading.reading.accuracies import reported_accuracies
from cifar_lab.grading.reading.numerals import in_percent, is_number, with_percent_signs
from cifar_lab.grading.reading.shown import TAG, all_output, output_text
from cifar_lab.grading.submissions.submission import Cell

__all__ = [
    "all_output",
    "counts",
    "decimals",
    "figures",
    "output_text",
    "own_words",
    "passages",
    "percentages",
    "recorded_seconds",
    "reported_accuracies",
    "sections",
    "text_under",
    "texts_below_headings",
    "words",
]

HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*)$", re.MULTILINE)
BOLD_HEADING = re.compile(
    r"^[ \t]{0,8}(?:[-*][ \t]{1,8}|\d{1,3}[.)][ \t]{1,8})?\*\*([^*\n]{3,80})\*\*", re.MULTILINE
)
LEAD = re.compile(  # "- Optimizer: I chose ..."
    r"^[ \t]{0,8}(?:[-*+][ \t]{1,8}|\d{1,3}[.)][ \t]{1,8})?"
    r"([^\W\d_][^:\n*#|`.]{2,60}):(?=[ \t]+\S)",
    re.MULTILINE,
)
UNDERLINED = re.compile(r"^([^\W_][^\n|]{1,79})\n(?:={3,80}|-{3,80})[ \t]{0,80}$", re.MULTILINE)
HTML_HEADING = re.compile(r"<h([1-6])\b[^<>]{0,200}>([^<\n]{1,200})</h\1>", re.IGNORECASE)
BOLD_LEVEL = 7  # below all headings
# Chinese and Japanese have no spaces between words, which have about two characters.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{1,2}|[^\W\d_]{2,}(?:['’-][^\W\d_]+)*")  # noqa: RUF001 (an apostrophe as it is typed)
PERCENT = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d+)?)\s*%")
DECIMAL = re.compile(r"(?<![\d.,])(\d{1,3}\.\d+|100)(?!\d|[.,]\d)")
MOST_PROSE, MOST_HEADINGS = 200_000, 1_000  # and of its Markdown
LONGEST_DURATION = 1e9
MOST_PASSAGES, LONGEST_PASSAGE = 5_000, 2_000


def figures(text: str) -> np.ndarray:
    """Return all numbers in a text that may be accuracies, in percent; shares of 1 in both ways."""
    text = with_percent_signs(text)
    numbers = {float(number) for number in {*DECIMAL.findall(text), *PERCENT.findall(text)}}
    return np.array(sorted({*numbers, *map(in_percent, numbers)}))


def passages(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield lines, table rows and paragraphs that may report on a network."""
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
    """Return which numbers of parameters are in a text: 42362, 42,362, 42 362 or 42.4k."""
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
    """Return the accuracies in a passage: with a percent sign, or else the largest decimal.

    A table has the sign in its head, and losses in its other columns.
    """
    found = [float(number) for number in PERCENT.findall(with_percent_signs(passage))]
    return found or decimals(passage)[-1:]


def decimals(passage: str) -> list[float]:
    """Return the decimal numbers up to 100, in percent, in ascending order."""
    found = DECIMAL.findall(with_percent_signs(passage))
    numbers = [in_percent(float(number)) for number in found]
    return sorted(number for number in numbers if number <= 100)


def sections(cells: Iterable[Cell]) -> Iterator[tuple[str, str]]:
    """Yield each heading of the Markdown cells, and the text under it up to the next one."""
    for _, title, text in _sections(cells):
        yield title, text


def text_under(cells: Iterable[Cell], topics: Mapping[str, str]) -> dict[str, str | None]:
    """Return all text under headings on each topic; None where no heading names it.

    A heading may name several topics. `Optimizer: ...` at a line's start is a heading too.

    Args:
        cells: Cells of the notebook.
        topics: Topics, each with a regular expression of words that name it in a heading.
    """
    found: dict[str, list[str]] = {topic: [] for topic in topics}
    ends = dict.fromkeys(topics, 0)
    patterns = {topic: re.compile(words, re.IGNORECASE) for topic, words in topics.items()}
    for start, title, text in _sections(cells, "|".join(topics.values())):
        for topic, pattern in patterns.items():
            if start >= ends[topic] and pattern.search(title):  # not inside one that counts
                found[topic].append(text)
                ends[topic] = start + len(text)
    return {topic: "\n\n".join(texts) if texts else None for topic, texts in found.items()}


def _sections(cells: Iterable[Cell], leads: str = "") -> Iterator[tuple[int, str, str]]:
    """Yield where each section's text starts, its heading, and the text."""
    text, starts = _headings(cells, leads)
    for place, (_, end, level, title) in enumerate(starts):
        following = (start for start, _, other, _ in starts[place + 1 :] if other <= level)
        yield end, title, text[end : next(following, len(text))]


def texts_below_headings(
    cells: Iterable[Cell], leads: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield all text, each part once, with the headings that it stands under, outermost first.

    A part begins with its own heading.

    Args:
        cells: Cells of the notebook.
        leads: Regular expression of words that make `Iteration 1: ...` at a line's start a heading.
    """
    text, starts = _headings(cells, leads)
    yield (), text[: starts[0][0] if starts else len(text)]
    path: list[tuple[int, str]] = []
    for place, (start, _, level, title) in enumerate(starts):
        path = [*(one for one in path if one[0] < level), (level, title)]
        following = starts[place + 1][0] if place + 1 < len(starts) else len(text)
        yield tuple(title for _, title in path), text[start:following]


def _headings(cells: Iterable[Cell], leads: str) -> tuple[str, list[tuple[int, int, int, str]]]:
    """Return the prose, and the start, end, level and title of each heading in it."""
    text = _prose(cells)
    starts = [(m.start(), m.end(), len(m[1]), m[2].strip(" \t#")) for m in HEADING.finditer(text)]
    starts += [(m.start(), m.end(), BOLD_LEVEL, m[1]) for m in BOLD_HEADING.finditer(text)]
    if leads:
        named = re.compile(leads, re.IGNORECASE)
        leading = (m for m in LEAD.finditer(text) if named.search(m[1]))
        starts += [(m.start(), m.end(), BOLD_LEVEL + 1, m[1]) for m in leading]
    return text, sorted(starts)[:MOST_HEADINGS]


def _prose(cells: Iterable[Cell]) -> str:
    """Return the text of the Markdown cells, without code, all headings written with `#`."""
    text = "\n\n".join(cell.source for cell in cells if cell.kind == "markdown")[:MOST_PROSE]
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = UNDERLINED.sub(r"## \1", text)
    return HTML_HEADING.sub(lambda match: f"\n{'#' * int(match[1])} {match[2]}\n", text)


def words(text: str) -> list[str]:
    """Return the words in lower case, without links' addresses, code and HTML."""
    text = re.sub(r"\]\([^)\n]{0,500}\)|https?://\S+|`[^`]*`", " ", TAG.sub(" ", text))
    return [word.lower() for word in WORD.findall(text)]


def own_words(text: str, template: str) -> list[str]:
    """Return the words that are not part of a line, or of five in a row, that the template has."""
    lines, fives = _given(template)
    mine: list[str] = []
    copied: list[bool] = []
    for line in map(words, text.splitlines()):
        mine += line
        copied += [tuple(line) in lines] * len(line)
    for place in range(len(mine) - 4):
        if tuple(mine[place : place + 5]) in fives:
            copied[place : place + 5] = [True] * 5
    return [word for word, is_copied in zip(mine, copied, strict=True) if not is_copied]


@lru_cache(maxsize=4)
def _given(template: str) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """Return the words of all lines, and all groups of five words in a row."""
    given = words(template)
    fives = frozenset(tuple(given[place : place + 5]) for place in range(len(given) - 4))
    return frozenset(tuple(words(line)) for line in template.splitlines()), fives


def recorded_seconds(cells: Iterable[Cell]) -> float | None:
    """Return how long the cells ran, as Jupyter, nbclient or Colab recorded; None without."""
    durations = [_duration(cell.metadata) for cell in cells]
    recorded = [seconds for seconds in durations if seconds is not None]
    return sum(recorded) if recorded else None


def _duration(metadata: Mapping[str, Any]) -> float | None:
    """Return how long a cell ran; None without a record, or with one that can't be true."""
    execution, colab = metadata.get("execution"), metadata.get("executionInfo")
    seconds: float | None = None
    if isinstance(execution, dict):
        start = _time(execution.get("iopub.execute_input"))
        end = _time(execution.get("shell.execute_reply"))
        seconds = (end - start).total_seconds() if start and end else None
    elif isinstance(colab, dict) and is_duration(colab.get("elapsed")):
        seconds = colab["elapsed"] / 1000
    return seconds if is_duration(seconds) else None


def is_duration(seconds: Any) -> bool:
    """Return whether something is a number of seconds (or milliseconds) that may have passed."""
    return is_number(seconds) and 0 <= seconds < LONGEST_DURATION


def _time(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
