"""What several parts of the class page are made of: tables, and students' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cifar_lab.grading.reports.markup import Markup, address, tag
from cifar_lab.grading.reports.readable import shown_name

PAGE, ERROR = "report.html", "grader-error.txt"  # in a student's results
MOST_NAMED = 30


def table_of(
    heads: Mapping[str, str | None], rows: Sequence[Markup], label: str, class_: str = ""
) -> Markup:
    """Return a table that can be sorted, in a box that scrolls where it is too wide.

    Args:
        heads: Columns' headings with their classes: "n" for numbers, "picture" for what can't be
            sorted.
        rows: Rows.
        label: Name for a screen reader.
        class_: Further class of the box.
    """
    cells = [tag("th", name, scope="col", class_=kind) for name, kind in heads.items()]
    table = tag("table", tag("thead", tag("tr", *cells)), tag("tbody", *rows), class_="sortable")
    classes = f"wide {class_}".strip()
    return tag("div", table, class_=classes, tabindex="0", role="region", aria_label=label)


def student_link(name: str, file: str = PAGE) -> Markup:
    """Return a student's name that leads to the student's page."""
    return tag("a", tag("bdi", shown_name(name)), href=address(name, file))


def names_list(names: Sequence[str], file: str | None = PAGE) -> Markup:
    """Return students' names; each leads to a file of the student's, if one is named."""
    shown = [
        tag("li", tag("bdi", shown_name(name)) if file is None else student_link(name, file))
        for name in names[:MOST_NAMED]
    ]
    if len(names) > MOST_NAMED:
        shown.append(tag("li", f"and {len(names) - MOST_NAMED} more, in the table of all"))
    return tag("ul", *shown, class_="key")
