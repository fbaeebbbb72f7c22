from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.results import Result
from cifar_lab.reporting import plots
from cifar_lab.reporting.picture import Picture
from cifar_lab.reporting.plots import style
from cifar_lab.reporting.plots.style import line_of, short_number, style_of

MakeResult = Callable[..., Result]


def image_in(page: str) -> dict[str, str]:
    """The attributes of the one image in a piece of HTML."""
    found: list[dict[str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            assert tag == "img"
            found.append({name: value or "" for name, value in attributes})

    Reader().feed(page)
    (image,) = found
    return image


def file_in(source: str) -> bytes:
    return base64.b64decode(source.partition("base64,")[2])


def test_lines_are_shown_as_svg_with_an_alternative_text(make_result: MakeResult) -> None:
    figure = plots.plot_learning_curves(make_result(title='A "new" <net>'))
    image = image_in(figure._repr_html_())
    assert image["alt"] == figure.alt and '"new" <net>' in figure.alt
    root = ElementTree.fromstring(file_in(image["src"]))
    assert image["src"].startswith("data:image/svg+xml;") and root.tag.endswith("svg")
    assert float(root.attrib["width"].removesuffix("pt")) < 72 * 11, "as wide as a page"


def test_images_are_shown_as_png_of_twice_the_resolution(train: ImageSet) -> None:
    figure = plots.plot_images(train, per_class=2)
    image = image_in(figure._repr_html_())
    with Image.open(io.BytesIO(file_in(image["src"]))) as png:
        assert png.format == "PNG" and png.width == pytest.approx(2 * int(image["width"]), abs=1)
        inches = png.width / 2 / 96
    assert inches == pytest.approx(figure.get_figwidth(), rel=0.15)


def test_the_same_figure_is_the_same_file(make_result: MakeResult) -> None:
    pages = [plots.plot_learning_curves(make_result())._repr_html_() for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_a_picture_is_displayed_once_also_where_matplotlib_displays_figures() -> None:
    """In a shell of its own: IPython's is one per process."""
    code = """
import json
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
shell.run_cell("%matplotlib inline")
with capture_output() as captured:
    shell.run_cell("import cifar_lab.reporting.plots as plots; "
                   "plots.plot_shift([0, 1], {'A': [1.0, 2.0]})")
print(json.dumps([sorted(output.data) for output in captured.outputs]))
"""
    pytest.importorskip("matplotlib_inline")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[["text/html", "text/plain"]]'


def test_a_network_has_one_colour_in_all_plots(make_result: MakeResult) -> None:
    results = [make_result(title=title) for title in ("SimpleMLP", "mine", "ConvNet, plain")]
    curves = plots.plot_learning_curves(results[::-1])
    colors = {line.get_label(): line.get_color() for line in curves.legends[0].get_lines()}
    for result in results:
        points = plots.plot_accuracy_against_parameters([result]).axes[0].collections[0]
        shift = plots.plot_shift([0, 1], {result.title: [1.0, 2.0]}).axes[0].lines[0]
        assert shift.get_color() == colors[result.title]
        assert style_of(result.title).color == colors[result.title]
        assert tuple(points.get_facecolor()[0][:3]) == pytest.approx(
            [int(colors[result.title][place : place + 2], 16) / 255 for place in (1, 3, 5)]
        )


def test_colours_follow_from_the_titles_alone_where_no_two_meet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    titles = [experiment.title for experiment in EXPERIMENTS.values()][:6]
    there = {title: style_of(title) for title in titles}
    monkeypatch.setattr(style, "_given", {})  # another session
    back = {title: style_of(title) for title in reversed(titles)}
    assert back == there and len({each.color for each in there.values()}) == 6


def test_two_networks_of_a_student_leave_those_of_assignment_a_their_colours() -> None:
    mine = [style_of(title).color for title in ("My ConvNet", "My second network")]
    titles = [experiment.title for experiment in EXPERIMENTS.values()][:5]
    assert [style_of(title).color for title in titles] == list(style.COLORS[:5])
    assert sorted(mine) == sorted(style.COLORS[5:])


def test_no_two_networks_have_the_same_look() -> None:
    titles = [f"network {number}" for number in range(30)]
    assert len({(each.color, each.marker) for each in map(style_of, titles)}) == 30
    lines = {
        (look["color"], look["linestyle"])
        for title in titles[:14]
        if (look := line_of(title, titles[:14]))
    }
    assert len(lines) == 14
    assert line_of(titles[0], titles[:1])["linestyle"] == "solid"


def luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_colours_can_be_told_from_the_page_and_texts_can_be_read() -> None:
    for color in style.COLORS:
        assert 1.05 / (luminance(color) + 0.05) > 2
    for color in (style.GOOD, style.BAD, style.NEUTRAL):  # WCAG's least contrast of text
        assert 1.05 / (luminance(color) + 0.05) >= 4.5
    assert all(one != other for one, other in combinations(style.COLORS, 2))


@pytest.mark.parametrize(
    ("value", "text"), [(20_000, "20k"), (500, "500"), (0.5, "0.5"), (1.5e6, "1.5M"), (2e9, "2G")]
)
def test_numbers_on_axes_are_short(value: float, text: str) -> None:
    assert short_number(value) == text


def test_every_plot_returns_a_picture_with_a_text(
    train: ImageSet, make_result: MakeResult, make_trial: Callable[..., object]
) -> None:
    confusion = torch.eye(10)
    result = make_result(training_flops=1e12)
    made = {
        "plot_accuracy_against_cost": lambda plot: plot(result),
        "plot_accuracy_against_parameters": lambda plot: plot([result]),
        "plot_augmented": lambda plot: plot(train.images[:1], {"same": lambda image: image}),
        "plot_class_accuracies": lambda plot: plot(confusion, train.class_names),
        "plot_class_balance": lambda plot: plot({"all": train}),
        "plot_confusion": lambda plot: plot(confusion, train.class_names),
        "plot_frontier": lambda plot: plot(_published(result)),
        "plot_images": lambda plot: plot(train),
        "plot_learning_curves": lambda plot: plot(result),
        "plot_learning_rate": lambda plot: plot(result.recipe, 3),
        "plot_predictions": lambda plot: plot(train, torch.zeros(50, 10), [0]),
        "plot_shift": lambda plot: plot([0, 1], {"A": [1.0, 2.0]}),
        "plot_variants": lambda plot: plot([make_trial("a", 50.0)]),
        "plot_weights": lambda plot: plot(torch.zeros(2, 3, 4, 4)),
    }
    assert {name for name in plots.__all__ if name.startswith("plot_")} == set(made)
    for name, make in made.items():
        picture = make(getattr(plots, name))
        assert isinstance(picture, Picture) and re.fullmatch(r"[^\n]{25,}", picture.alt), name


def _published(result: Result) -> list[object]:
    from cifar_lab.experiments.published import summarize

    return list(summarize({"mine": [result]}))


@pytest.mark.slow
def test_a_page_made_of_a_notebook_has_an_alternative_text_for_each_picture(
    tmp_path: Path,
) -> None:
    nbformat, nbclient, nbconvert = (
        pytest.importorskip(name) for name in ("nbformat", "nbclient", "nbconvert")
    )
    code = "import cifar_lab as lab\n%matplotlib inline\n"
    cells = [
        code + "lab.plots.plot_shift([0, 1], {'A': [1.0, 2.0]})",
        "lab.plots.plot_weights(__import__('torch').rand(2, 3, 4, 4))",
        "lab.plots.draw_network(lab.build_model('mlp'))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute(cwd=str(tmp_path))
    assert [len(cell.outputs) for cell in notebook.cells] == [1, 1, 1]
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    alternatives = re.findall(r'<img alt="([^"]*)"', page)
    assert [text[:9] for text in alternatives] == ["Test accu", "2 sets of", "Block dia"]
    assert "No description" not in page
