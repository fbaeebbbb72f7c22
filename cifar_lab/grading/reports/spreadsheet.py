"""Cells of a table that spreadsheets open."""

from __future__ import annotations

import re
import unicodedata

from cifar_lab.grading.reports.readable import readable

FORMULA = tuple("=+-@\t\r\n＝＋－＠﹢﹣﹦﹫|%")  # what spreadsheets compute, or hand to programs
# What a spreadsheet would take for a number or a date, and show as another one.
NUMBER_LIKE = re.compile(
    r"0\d[\d.,]*|\d{16,}|\d[\d.,]*[eE]\d+|\d+[.,]\d*|\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?"
    r"|\d{1,2}[-/. ]?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*([-/. ]?\d{1,4})?"
    r"|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*[-/. ]?\d{1,4}|true|false",
    re.IGNORECASE,
)
UNSEEN = ("Cf", "Zs")  # categories of characters that are not seen at a text's beginning


def cell(text: str) -> str:
    """Return a text that a spreadsheet takes for a text, and shows as it is.

    Those that it would compute, or show as another number or a date, get an apostrophe in front.
    """
    text = readable(text)
    start = text.lstrip()
    while start and unicodedata.category(start[0]) in UNSEEN:
        start = start[1:]
    if start.startswith(FORMULA) or text[:1].isspace() or NUMBER_LIKE.fullmatch(start.strip()):
        return f"'{text}"
    return text
