"""The HTML page of a notebook: texts for images, and nothing that an absent network spoils."""

from __future__ import annotations

import base64
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from cifar_lab.cli.notebook_page import heading_of, html_page

PNG = base64.b64encode(b"\x89PNG one").decode() + "\n"
OTHER_PNG = base64.b64encode(b"\x89PNG two").decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>Curves &amp; points</title></svg>'
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://c.x)"


def markdown(text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text)


def shown(data: dict[str, str], **metadata: Any) -> NotebookNode:
    cell = nbformat.v4.new_code_cell("plot()")
    cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata=metadata)]
    return cell


def page_of(*cells: NotebookNode) -> BeautifulSoup:
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    return BeautifulSoup(html_page(notebook, "lesson"), features="html.parser")


def texts(page: BeautifulSoup) -> list[str]:
    return [str(image["alt"]) for image in page.select("img")]


def test_an_image_has_the_text_that_its_output_carries() -> None:
    page = page_of(
        shown({"image/png": PNG}, **{"image/png": {"alt": "a cat"}}),
        shown({"image/png": OTHER_PNG}, alt="a dog"),
        shown({"image/svg+xml": SVG}),
    )
    assert texts(page) == ["a cat", "a dog", "Curves & points"]


def test_an_image_without_a_text_is_named_by_its_section(caplog: pytest.LogCaptureFixture) -> None:
    page = page_of(
        shown({"image/png": PNG}),
        markdown("# Lesson"),
        markdown("## The data\n\ntext"),
        shown({"image/png": OTHER_PNG}),
        shown({"image/svg+xml": "<svg><dc:title>Matplotlib v3</dc:title></svg>"}),  # its maker
    )
    section = "of the section “The data”"
    assert texts(page) == ["Figure 1", f"Figure 1 {section}", f"Figure 2 {section}"]
    assert not caplog.records, "nbconvert's warning of images without a text"


def test_an_html_output_s_own_text_stays() -> None:
    svg = base64.b64encode(SVG.encode()).decode()
    page = page_of(
        shown({"text/html": f'<img alt="mine" src="data:image/png;base64,{PNG}">'}),
        shown({"text/html": f'<img alt="mine too" src="data:image/svg+xml;base64,{svg}">'}),
    )
    assert texts(page) == ["mine", "mine too"]


def test_nothing_is_loaded_from_the_network_where_nothing_needs_it() -> None:
    page = page_of(
        markdown(f"# Lesson\n\n{BADGE}"),
        markdown("It costs $5."),
        markdown("`$CIFAR_LAB_DATA` and `$HOME` are variables."),
        shown({"image/png": PNG}),
    )
    loaded = [str(tag["src"]) for tag in page.select("[src]")]
    assert all(source.startswith("data:") for source in loaded), loaded
    assert not page.select("script")
    (link,) = page.select('a[href="https://c.x"]')
    assert link.get_text() == "Open in Colab"


def test_an_image_on_a_server_is_a_link_to_it() -> None:
    page = page_of(
        markdown("![A cat](https://a.x/cat.png) ![](//a.x/dog.png)"),
        markdown("[![Open in Kaggle](https://k.x/open.svg)](https://k.x/kernels)"),
        shown({"text/html": '<img src="https://a.x/bird.png">'}),
    )
    assert not page.select("img")
    links = {
        str(link["href"]): link.get_text() for link in page.select(".badge[href], a:has(span)")
    }
    assert links == {
        "https://a.x/cat.png": "A cat",
        "//a.x/dog.png": "Image",
        "https://k.x/kernels": "Open in Kaggle",
        "https://a.x/bird.png": "Image",
    }


def test_scripts_stay_where_something_needs_them() -> None:
    formula = page_of(markdown("The loss is $-\\log p$."))
    assert any("mathjax" in str(script.get("src")) for script in formula.select("script"))
    scripted = page_of(shown({"text/html": "<script>require(['x'])</script>"}))
    assert any("require" in str(script.get("src")) for script in scripted.select("head script"))


def test_the_title_is_the_first_heading_else_the_name() -> None:
    assert page_of(markdown("text"), markdown("# A lesson #")).title.get_text() == "A lesson"  # type: ignore[union-attr]
    assert page_of(markdown("text")).title.get_text() == "lesson"  # type: ignore[union-attr]


def test_code_in_outputs_is_monospaced() -> None:
    page = page_of(shown({"text/markdown": "```python\nx = 1\n```"}))
    rule = ".jp-OutputArea .highlight pre"
    assert page.select(f"{rule} span")
    assert any(rule in style.get_text() for style in page.select("style"))


@pytest.mark.parametrize(
    ("source", "heading"),
    [
        ("# One", "One"),
        ("text\n\n## Two ##\n", "Two"),
        ("#no heading", None),
        ("#### Too deep", None),
        ("", None),
    ],
)
def test_a_cell_s_heading_is_its_first(source: str, heading: str | None) -> None:
    assert heading_of(markdown(source)) == heading
    assert heading_of(nbformat.v4.new_code_cell(source)) is None


def test_code_that_is_folded_in_jupyter_is_folded_on_the_page() -> None:
    hidden, open_cell = nbformat.v4.new_code_cell("# @title Set-up\nhidden = 1"), shown({})
    hidden.metadata["jupyter"] = {"source_hidden": True}
    page = page_of(hidden, open_cell)
    (folded,) = page.select("details")
    assert folded.summary is not None and folded.summary.text == "Set-up"
    assert "hidden" in folded.text and "plot" not in folded.text
