"""The HTML page of an executed notebook, to be read without a network and by a screen reader."""

from __future__ import annotations

import base64
import html
import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag
    from nbformat import NotebookNode

# nbconvert's page lets lines of code end at the window's edge, breaks words of outputs anywhere,
# shows code in outputs in a proportional font, and text in lines as long as the window is wide.
PAGE_STYLE = """
main { max-width: 1100px; margin: auto; overflow-wrap: break-word; }
.jp-Cell .highlight pre { overflow-x: auto; white-space: pre; margin-bottom: 0.5em; }
.jp-OutputArea .highlight pre, .jp-OutputArea .highlight pre * { font-family: monospace; }
.jp-OutputArea-output pre { word-break: normal; overflow-wrap: anywhere; }
.jp-Cell img, .jp-Cell svg { max-width: 100%; }
.jp-Cell img, .jp-Cell svg[viewBox] { height: auto; }
main { --jp-cell-prompt-not-active-opacity: 1; --jp-cell-prompt-not-active-font-color: #595959; }
.ansi-red-fg { color: #b22b31; }
.wide { overflow-x: auto; }
.badge { border: 1px solid; border-radius: 4px; padding: 2px 8px; }
summary { cursor: pointer; }
.folded > summary { margin-left: 10px; padding: 4px; }
@media print { .jp-Cell .highlight pre { white-space: pre-wrap; } }
"""
FORMULA = re.compile(r"\$[^$]+\$|\\\(|\\\[|\\begin\{")
SVG_TITLE = re.compile(r"<title[^>]*>([^<]+)<|aria-label=\"([^\"]+)\"")
REMOTE = re.compile(r"^(https?:)?//")
SVG_SOURCE = "data:image/svg+xml;base64,"
HEADINGS = ["h1", "h2", "h3", "h4"]


def html_page(notebook: NotebookNode, name: str) -> str:
    """Return the notebook as one HTML page, with a text for every image.

    The page takes scripts from the network only where it has something for them to do, and no
    images.

    Args:
        notebook: The executed notebook.
        name: The page's title where the notebook has no heading.
    """
    from bs4 import BeautifulSoup
    from nbconvert import HTMLExporter

    logger = logging.getLogger(__name__)
    logger.setLevel(logging.ERROR)  # it warns of images without texts, which get theirs here
    text, _ = HTMLExporter(log=logger).from_notebook_node(
        notebook, {"metadata": {"name": _first_heading(notebook) or name}}
    )
    page = BeautifulSoup(text, features="html.parser")
    _fold_hidden_code(page, notebook)
    _write_badges_as_text(page)
    _let_tables_scroll(page)
    _describe_images(page, _descriptions(notebook))
    _leave_out_idle_scripts(page, has_widgets="widgets" in notebook.metadata)
    style = page.new_tag("style")
    style.string = PAGE_STYLE
    (page.head or page).append(style)
    return str(page)


def heading_of(cell: NotebookNode) -> str | None:
    """Return the text of a Markdown cell's first heading; None without one."""
    if cell.cell_type != "markdown":
        return None
    found = re.search(r"^#{1,3} +(.+?)[ #]*$", cell.source, re.MULTILINE)
    return found[1] if found else None


def _first_heading(notebook: NotebookNode) -> str | None:
    return next(filter(None, map(heading_of, notebook.cells)), None)


def _fold_hidden_code(page: BeautifulSoup, notebook: NotebookNode) -> None:
    """Fold the code of cells that JupyterLab shows folded."""
    for cell in notebook.cells:
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            code = page.select_one(f'[id="cell-id={cell.get("id")}"] .jp-Cell-inputWrapper')
            if code is not None:
                folded = code.wrap(page.new_tag("details", attrs={"class": "folded"}))
                title = page.new_tag("summary")
                title.string = re.sub(r"^#\s*(@title)?\s*", "", cell.source.split("\n")[0])
                folded.insert(0, title)


def _write_badges_as_text(page: BeautifulSoup) -> None:
    """Put a text in place of each image that is on a server: a badge's, or a link to the image."""
    for image in page.find_all("img", src=REMOTE):
        is_link = image.find_parent("a") is not None
        badge = page.new_tag("span" if is_link else "a", attrs={"class": "badge"})
        text = image["alt"] if _has_own_text(image) else "Link" if is_link else "Image"
        badge.string = str(text)
        if not is_link:
            badge["href"] = image["src"]
        image.replace_with(badge)


def _let_tables_scroll(page: BeautifulSoup) -> None:
    """Put each table into a box of its own, which scrolls where the window is narrower."""
    for table in page.select(".jp-Cell table"):
        table.wrap(page.new_tag("div", attrs={"class": "wide"}))


def _descriptions(notebook: NotebookNode) -> dict[str, str]:
    """Return the texts that outputs carry for their images, by the image's content."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            metadata = output.get("metadata", {})
            for kind, content in output.get("data", {}).items():
                own = metadata.get(kind)
                text = (own.get("alt") if isinstance(own, dict) else None) or metadata.get("alt")
                if kind.startswith("image/") and text:
                    found[_key(content)] = str(text)
    return found


def _key(content: str) -> str:
    return re.sub(r"\s", "", content)


def _describe_images(page: BeautifulSoup, descriptions: dict[str, str]) -> None:
    """Give each image of an output a text; one without any of its own is named by its section."""
    numbers: dict[str, int] = {}
    for image in page.select(".jp-OutputArea-output img"):
        if _has_own_text(image):
            continue
        source = str(image.get("src", ""))
        content, title = source.partition("base64,")[2], None
        if source.startswith(SVG_SOURCE):
            content = base64.b64decode(content).decode("utf-8", errors="replace")
            title = SVG_TITLE.search(content)
        text = descriptions.get(_key(content))
        if text is None and title is not None:
            text = html.unescape(title[1] or title[2])
        if text is None:
            section = _section(image)
            numbers[section] = numbers.get(section, 0) + 1
            text = f"Figure {numbers[section]}{section}"
        image["alt"] = text


def _has_own_text(image: Tag) -> bool:
    text = str(image.get("alt") or "")
    return bool(text) and not text.startswith("No description has been provided")


def _section(image: Tag) -> str:
    """Return the place of an image in words, after "Figure 1"."""
    heading = image.find_previous(HEADINGS)
    if heading is None:
        return ""
    return f" of the section “{heading.get_text().rstrip('¶').strip()}”"


def _leave_out_idle_scripts(page: BeautifulSoup, *, has_widgets: bool) -> None:
    """Remove the scripts that nothing on the page needs: offline each is an error."""
    prose = page.select(".jp-RenderedMarkdown, .jp-RenderedLatex, .jp-RenderedHTML")
    has_formulas = any(FORMULA.search(_text_outside_code(part)) for part in prose)
    idle = []
    if not has_formulas:
        idle.append("mathjax")
    if not page.select(".mermaid, .language-mermaid"):
        idle.append("mermaid")
    if not has_widgets and not page.select("body script"):
        idle.append("require.js")
    for script in page.select("head script"):
        if any(name in f"{script.get('src', '')}{script.string or ''}".lower() for name in idle):
            script.decompose()


def _text_outside_code(part: Tag) -> str:
    return " ".join(
        str(text) for text in part.find_all(string=True) if not text.find_parent(["code", "pre"])
    )
