"""The test accuracies that a notebook's outputs report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cifar_lab.grading.reading.accuracy_names import (
    ACCURACY,
    Name,
    is_about_one_class,
    named_images,
    names_in,
    place_of_test_accuracy,
)
from cifar_lab.grading.reading.numerals import Number, numbers, with_points
from cifar_lab.grading.reading.shown import joined, texts
from cifar_lab.grading.reading.text_tables import sentences
from cifar_lab.grading.submissions.submission import Cell

PROGRESS_BAR = re.compile(r"\d%\|[\s\d#\u2588-\u258f]{0,200}\|")
BATCH = re.compile(r"(?:^|[a-z:])\s{0,9}\[\s{0,9}\d{1,7}/\d{1,7}\]", re.IGNORECASE)
EPOCH = re.compile(r"\bepoch\b", re.IGNORECASE)
REPORT = re.compile(r"\s*(?:precision\s+recall\b.*|.{1,40}?(?:\s+\d\.\d+){3}\s+\d+\s*)?")
BARE = re.compile(
    r"\s*(?:(?:(?:np|numpy|torch)\.)?(?:float\d*|tensor|array)\(\[?)?\d{1,3}(?:[.,]\d+)?\s*%?"
    r"(?:\]?[),].{0,80})?\s*"
)
IN_BRACKETS = re.compile(r"\((?:[^()]|\([^()]*\))*\)(?=\s*[:=])|\[[^\[\]]*\](?=\s*[:=])")
MOST_LINES = 20_000
LINES_ABOVE = 3  # in which "Results on the test set" may stand
AFTER_NAME = 120  # characters in which the number stands

AT_ONCE = re.compile(
    r"\W*(?:(?:is|was|of|reached|reaches|torch|tensor|np|numpy|float\d*|array|now|then)\b\W*)*",
    re.IGNORECASE,
)
OTHER_BEFORE = re.compile(  # names of other numbers
    r"(?<![a-z])(?:loss|err(?:or)?|lr|learning[ _]rate|rate|dropout|momentum|(?:weight[ _])?decay|"
    r"wd|gamma|alpha|beta|temperature|width|by|from|than|least|above|below|over|"
    r"under|exceeds|beats)[\s:=(\[]{0,6}$|(?:±|\+/?-|(?<![-=<>])[<>]=?)\s*$",
    re.IGNORECASE,
)
COUNT_BEFORE = re.compile(
    r"(?<![a-z])(?:epochs?|steps?|batch(?:[ _]size)?|iter(?:ation)?s?|fold|run|seed|trial|model|"
    r"net(?:work)?|version|variant|experiment|best of|class(?:es)?|n|k|depth)[\s=#(\[]{0,4}$",
    re.IGNORECASE,
)
TIMES_AFTER = re.compile(
    r"[ \t-]{0,3}(?:(?:more|full|training)\s)?(?:epochs?|steps?|(?:mini)?batch(?:es)?|"
    r"iter(?:ation)?s?|runs?|seeds?|folds?|models?|classes|layers?|param\w*|workers?|"
    r"s|sec\w*|ms|min\w*|h|hours?|[kM]B|[KMG]iB|GB)\b",
    re.IGNORECASE,
)
CONFIDENCE = re.compile(r"\s{0,3}(?:confidence|conf|ci)\b", re.IGNORECASE)
IMAGES_AFTER = re.compile(
    r"\s{0,3}(?:(?:test|train|val)\w*\s+)?(?:images?|samples?|examples?|pictures?|points?)\b", re.I
)
BY_IMAGES = re.compile(  # "Accuracy: train 98.1, test 57.3"
    r"(?<![a-z])(test|train|val)[a-z]{0,7}(?:\s+set)?['\"]?[\s:=(]{0,4}(?=\d)", re.IGNORECASE
)
STANDS_BEFORE = re.compile(  # "57.3 % test accuracy"
    r"%\s+(?:of\s+)?(?:the\s+)?(?:top-?1\s+)?(?:test\w{0,3}\s+)?(?:set\s+)?$", re.IGNORECASE
)
IMAGES_NAMED_AFTER = re.compile(r"[\s)]*(?:on|for)\b[^.,;|]{0,30}", re.IGNORECASE)
PART_OF_NAME = re.compile(r"\s{0,3}\)?\s{0,3}[:=]")
BETTER_FOLLOWS = re.compile(r"\s{0,3}(?:[(=≈]|->|→)\s{0,3}")


def reported_accuracies(cells: Iterable[Cell]) -> list[float]:
    """Return all test accuracies in the outputs, in percent, in their order.

    A number with a percent sign comes before `7123/10000` and that before a plain one, where they
    stand together; a decimal number up to 1 is a share. A table's columns and rows name its
    numbers. Lines about single classes and progress bars don't count.
    """
    found: list[list[float]] = []
    left = MOST_LINES
    for cell, text in reversed([*texts(cells)]):  # the last lines are those that count
        lines = text.splitlines()[-left:] if left else []
        left -= len(lines)
        found.append([*_in_lines(lines), *_in_result(cell)])
    return [accuracy for one in reversed(found) for accuracy in one]


def _in_result(cell: Cell) -> list[float]:
    """Return the accuracy that a cell shows as the value of its last line, `test_accuracy`."""
    last = cell.outputs[-1] if cell.outputs else {}
    data = last.get("data")
    if last.get("output_type") != "execute_result" or not isinstance(data, dict):
        return []
    shown = joined(data.get("text/plain"))[:AFTER_NAME]
    code = cell.source.strip().rpartition("\n")[2][:AFTER_NAME]
    return in_sentence(f"{code}: {shown}") if BARE.fullmatch(shown) else []


def _in_lines(lines: Sequence[str]) -> list[float]:
    """Return the accuracies in a cell's output, whose lines may say of which images others are."""
    found: list[float] = []
    above = _Above()
    for sentence in sentences(lines):
        text = sentence.text
        if PROGRESS_BAR.search(text[:1000]):
            continue
        batch = BATCH.search(text[:200])
        if batch and not EPOCH.search(text[: batch.start() + 1]):  # "Test: [70/79] acc 51"
            above.hears(text[: batch.start() + 1], [])
            continue
        if above.unfinished and BARE.fullmatch(text[:AFTER_NAME]):
            text = f"{above.unfinished} {text}"
        new = in_sentence(text, "" if EPOCH.search(text) else above.images)
        found += new
        if not sentence.in_table and not REPORT.fullmatch(text[:200]):
            above.hears(text, new)
    return found


@dataclass
class _Above:
    """The content of the lines above a line.

    Attributes:
        images: Images that the numbers below are of.
        distance: Number of lines since that was said.
        unfinished: Line such as "Test accuracy:", whose number stands in the next one.
    """

    images: str = ""
    distance: int = 0
    unfinished: str = ""

    def hears(self, text: str, accuracies: Sequence[float]) -> None:
        """Take in one more line, and the test accuracies that were read in it."""
        has_number = re.search(r"\d", text) is not None
        self.unfinished = text if len(text) < AFTER_NAME and not has_number else ""
        self.distance += 1
        images = _images_of(text)
        if accuracies or (has_number and ACCURACY.search(text)):
            self.images = ""
        elif images:
            self.images, self.distance = images, 0
        elif EPOCH.search(text) or self.distance >= LINES_ABOVE:
            self.images = ""


def _images_of(text: str) -> str:
    return (named_images(text[-1000:]) or [""])[-1]


def in_sentence(text: str, above: str = "") -> list[float]:
    """Return the test accuracies in one line; `above` names the images if the line does not."""
    if not ACCURACY.search(text) or is_about_one_class(text):
        return []
    text = with_points(text)
    found: list[float] = []
    names = list(names_in(text))
    for name, end in zip(names, [*(one.start for one in names[1:]), len(text)], strict=True):
        rest = text[name.end : min(end, name.end + AFTER_NAME)]
        value = _value(name, rest, above)
        found += [] if value is None else [value]
    return found


def _value(name: Name, rest: str, above: str) -> float | None:
    """Return the test accuracy after a name, if there is one."""
    place = place_of_test_accuracy(name.label + rest[: _first_number(rest)], above)
    if place is not None:
        listed = list(numbers(rest))
        if len(listed) < place.length:  # 98/57 are two numbers
            listed = list(numbers(rest, fractions=False))
        if place.length <= len(listed):
            return listed[place.position].value if place.position >= 0 else None
    by_images = {match[1].lower(): match.end() for match in BY_IMAGES.finditer(rest)}
    if len(by_images) > 1 and "test" in by_images:
        rest = f"test: {rest[by_images['test'] :]}"
    number = _number(rest)
    if number is None:
        return _value_before(name, rest, above)
    named = IMAGES_NAMED_AFTER.match(rest, number.end)
    if named:
        above = (named_images(named[0]) or [above])[-1]
    return number.value if name.is_of_test_images(rest[: number.start], above) else None


def _first_number(rest: str) -> int:
    first = next(numbers(rest, fractions=False), None)
    return first.start if first else len(rest)


def _value_before(name: Name, rest: str, above: str) -> float | None:
    """Return the percentage just before the first name in a line, which has none after it."""
    before = name.befores[0]
    stands = STANDS_BEFORE.search(before) if name.is_first else None
    found = list(numbers(before[: stands.start() + 1])) if stands else []
    if not found or not name.is_of_test_images(rest, above):
        return None
    return found[-1].value


def _number(rest: str) -> Number | None:
    """Return the number that is the accuracy: after the colon, unless it stands before that."""
    rest = IN_BRACKETS.sub(lambda match: re.sub(r"[\d:=]", " ", match[0]), rest)
    found = [one for one in numbers(rest) if one.value is not None and not _is_other(one, rest)]
    named = [one for one in found if not (one.whole and PART_OF_NAME.match(rest, one.end))]
    found = named or found
    if not found:
        return None
    colon = re.search(r"[:=]", rest)
    if colon and not _is_before_colon(found[0], rest, colon.start()):
        found = [one for one in found if one.start > colon.start()] or found
    return _better(found, rest)


def _is_before_colon(number: Number, rest: str, colon: int) -> bool:
    if number.start > colon:
        return False
    return (
        AT_ONCE.fullmatch(rest[: number.start]) is not None
        or re.search(r"[,;|(]", rest[number.end : colon]) is not None
    )


def _better(found: Sequence[Number], rest: str) -> Number:
    """Return the first number, or what it is in percent: `7123/10000 (71.23%)`."""
    first = found[0]
    for other in found[1:2]:
        between = BETTER_FOLLOWS.fullmatch(rest[first.end : other.start])
        if between and other.signed and not first.signed:
            return other
    return first


def _is_other(number: Number, rest: str) -> bool:
    """Return whether it is a loss, a number of epochs, a learning rate or the like."""
    before = rest[max(0, number.start - 40) : number.start]
    if OTHER_BEFORE.search(before) or CONFIDENCE.match(rest, number.end):
        return True
    if number.signed:
        return False
    if TIMES_AFTER.match(rest, number.end):
        return True
    if (number.whole or number.share) and COUNT_BEFORE.search(before):
        return True
    return not number.share and IMAGES_AFTER.match(rest, number.end) is not None
