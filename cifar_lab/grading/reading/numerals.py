"""Numbers as people and programs write them, among them those that may be accuracies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

PERCENT_WORD = re.compile(r"(?<=\d)\s*(?:\\%|per ?cent\b|pct\b|prozent\b)", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}),(\d{1,20})(?=\s*%)")
OF_HUNDRED = re.compile(r"(?<![\d.,])(\d{1,3}\.\d{1,20})\s*/\s*100(?:\.0*)?(?![\d%])")
SHARE_WITH_COMMA = re.compile(r"(?<![\d.,])0,(\d{2,20})(?![\d,]|\.\d)")
THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)")
PERCENTAGE_WITH_COMMA = re.compile(r"(?<![\d.,\[(])(\d{2}),(\d{1,2})(?![\d,]|\.\d)")
NUMBER = re.compile(
    r"(?<![\w.@#-])(?<![^\W\d_]-)(?<!\d:)(?<!cuda:)"  # no digits of a name, a date or a time
    r"(\d{1,7}(?:\.\d{1,30})?(?:e[+-]?0?[0-2])?)"
    r"(?!\w|\.?\d|-[^\W\d_]|:\d\d)(\s*%)?",
    re.IGNORECASE,
)
DENOMINATOR = re.compile(r"\s*/\s*(\d{2,7})(?:\.0*)?(?!\.?\d)")


@dataclass(frozen=True)
class Number:
    """A number in a text that may be an accuracy.

    Attributes:
        start, end: Place of the number in the text.
        value: Value in percent; None where it can be no percentage, such as 10000.
        signed: Whether a percent sign follows.
        share: Whether it is a share of something, as 7123/10000.
        whole: Whether it has neither sign, decimals nor something that it is a share of.
    """

    start: int
    end: int
    value: float | None
    signed: bool = False
    share: bool = False
    whole: bool = False


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether something from a JSON file is a number; `true` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def with_percent_signs(text: str) -> str:
    """Return the text with `71.3 %` in place of `71,3 %`, `71.3 percent` and `71.3/100`."""
    text = DECIMAL_COMMA.sub(r"\1.\2", PERCENT_WORD.sub(" %", text))
    return OF_HUNDRED.sub(r"\1 %", text)


def with_points(text: str) -> str:
    """Return the text with decimal points in place of commas, and no commas at thousands."""
    text = SHARE_WITH_COMMA.sub(r"0.\1", with_percent_signs(text))
    text = THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    return PERCENTAGE_WITH_COMMA.sub(r"\1.\2", text)


def in_percent(number: float) -> float:
    """Return a number up to 1, which is a share, in percent; others as they are."""
    return 100 * number if number <= 1 else number


def numbers(text: str, fractions: bool = True) -> Iterator[Number]:
    """Yield the numbers in a text; `7123/10000` is one of them, or else (no fractions) two."""
    end = 0
    for match in NUMBER.finditer(text):
        if match.start() < end:  # what the one before is a share of
            continue
        end = match.end()
        whole = match[1].isdigit()
        of = DENOMINATOR.match(text, end) if fractions and not match[2] else None
        if of and float(match[1]) == int(float(match[1])) <= int(of[1]) > 0:
            end = of.end()
            value = 100 * float(match[1]) / int(of[1])
            yield Number(match.start(), end, value, share=True)
            continue
        value = float(match[1])
        if not match[2] and not whole:
            value = in_percent(value)
        yield Number(
            match.start(),
            end,
            value if value <= 100 else None,
            signed=match[2] is not None,
            whole=whole and not match[2],
        )
