"""HTML and SVG in which every text is escaped, and nothing unseen is left."""

from __future__ import annotations

import base64
import hashlib
import html
import os
from collections.abc import Iterable
from urllib.parse import quote

from cifar_lab.grading.reports.readable import visible

EMPTY = ("meta", "br", "rect", "circle", "line", "path", "polyline", "polygon", "use", "input")


class Markup(str):
    """Text that is HTML already; every other text is made harmless where it is put into a page."""

    __slots__ = ()


def tag(name: str, /, *content: str | None, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: Name of the element.
        *content: Texts, which are escaped, and `Markup`; None is left out.
        **attributes: Attributes; `class_` is `class`, an underscore inside of a name is a hyphen,
            None leaves an attribute out, True gives one without a value.
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{html.escape(visible(str(value)))}"')
    start = f"<{' '.join(words)}>"
    if name in EMPTY and not content:
        closing = "" if name in ("meta", "br", "input") else f"</{name}>"
        return Markup(start + closing)
    return Markup(f"{start}{joined(content)}</{name}>")


def joined(content: Iterable[str | None]) -> Markup:
    """Return several pieces as one."""
    return Markup("".join(map(_escaped, content)))


def _escaped(content: str | None) -> str:
    if content is None:
        return ""
    return content if isinstance(content, Markup) else html.escape(visible(content))


def address(folder: str, file: str) -> str:
    """Return the relative address of a file in a folder of any name, `javascript:` among them."""
    try:
        name = os.fsencode(folder)
    except UnicodeEncodeError:  # no folder can be called that
        name = folder.encode(errors="replace")
    return f"./{quote(name, safe='')}/{quote(file)}"


def document(title: str, body: str, *, style: str, script: str = "") -> str:
    """Return a page that needs no other file and may ask for none.

    Only this style and this script are allowed to work in it, by their digests.
    """
    scripts = _source(script) if script else "'none'"
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {_source(style)}; script-src {scripts}"
    )
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(style)),
    ]
    end = tag("script", Markup(script)) if script else None
    page = tag("html", tag("head", *head), tag("body", body, end), lang="en")
    return f"<!doctype html>\n{page}\n"


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
