"""The part of the class page on work that is alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cifar_lab.grading.reports.class_parts import names_list, student_link
from cifar_lab.grading.reports.markup import Markup, joined, tag
from cifar_lab.grading.reports.readable import readable, shown_name
from cifar_lab.grading.reports.similar import MOST_GROUPS, Likeness, Shared, texts_of
from cifar_lab.utils.wording import counted

CELLS_SHOWN = 3  # of a group


def alike(found: Likeness, folders: Mapping[str, Path]) -> Markup | None:
    """Return who has the same weights, and whose code cells are the same but for names.

    Args:
        found: What is alike.
        folders: Folders of submissions by their names, from which the cells are shown.
    """
    if not found.compared and not found.weights:
        return None
    parts = [
        tag(
            "p",
            "A hint, and no proof: ",
            tag("b", "look at the work, and ask"),
            ". Two students who follow the same tutorial may write the same cell.",
        )
    ]
    if found.weights:
        parts.append(tag("h3", f"The same weights, to the last digit: {len(found.weights)}"))
        parts += [names_list(names) for names in found.weights]
    if found.cells:
        parts.append(tag("h3", "The same code"))
        parts.append(
            tag(
                "p",
                tag(
                    "small",
                    "Compared without white space, comments and names of variables, in cells of at "
                    "least three lines that were not handed out. What more than "
                    f"{found.few} students have is most likely what was taught, and is left out "
                    f"({counted(found.common, 'cell')}), unless the same few have several.",
                ),
            )
        )
        parts += [_shared(one, folders) for one in found.cells[:MOST_GROUPS]]
        if len(found.cells) > MOST_GROUPS:
            rest = len(found.cells) - MOST_GROUPS
            parts.append(tag("p", f"And {counted(rest, 'group')} with fewer cells in common."))
    if not found.weights and not found.cells:
        parts = [tag("p", f"Nothing among {counted(found.compared, 'submission')}.")]
    return joined(parts)


def _shared(shared: Shared, folders: Mapping[str, Path]) -> Markup:
    names: list[str | Markup] = []
    for name in shared.students:
        names += [", ", student_link(name)]
    head = tag("p", tag("b", counted(len(shared.digests), "cell")), ": ", *names[1:])
    two = [name for name in shared.students if name in folders][:2]
    texts = [texts_of(folders[name], shared.digests) for name in two]
    if len(two) < 2:
        return head
    cells = [one for one in shared.digests if all(one in text for text in texts)][:CELLS_SHOWN]
    columns = [
        part
        for digest in cells
        for name, text in zip(two, texts, strict=True)
        for part in [
            tag(
                "div",
                tag("small", tag("bdi", shown_name(name))),
                tag("pre", readable(text[digest])),
            )
        ]
    ]
    if not columns:
        return head
    label = (
        "Side by side"
        if len(cells) == len(shared.digests)
        else f"Side by side, {len(cells)} of them"
    )
    return joined(
        [head, tag("details", tag("summary", label), tag("div", *columns, class_="code"))]
    )
