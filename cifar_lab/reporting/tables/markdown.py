"""Tables in Markdown whose columns of numbers are aligned at the right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cifar_lab.utils import markdown

# "1,234", "+0.50 ± 0.82", "**765,055**", "86.15 %", "× 0.25", "0-2, 7"
NUMBER = re.compile(r"\*{0,2}(× )?[+\-−]?\d[\d,.]*( ?[±–-] ?[\d.]+)?(, [\d-]+)*( ?%)?\*{0,2}")


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; a column that holds numbers alone is aligned at the right.

    Args:
        header: Titles of the columns.
        rows: Cells of each row, one for each column.
    """
    texts = [[str(cell) for cell in row] for row in rows]
    columns = [[row[place] for row in texts if row[place]] for place in range(len(header))]
    are_numbers = [
        bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells) for cells in columns
    ]
    lines = markdown.markdown_table(header, texts).splitlines()
    lines[1] = "|" + "".join("---:|" if each else "---|" for each in are_numbers)
    return "\n".join(lines)
