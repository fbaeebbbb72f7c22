from __future__ import annotations

import doctest
import inspect
from itertools import combinations
from xml.etree import ElementTree

import pytest
import torch
import torchvision
from torch import Tensor, nn

from cifar_lab.models import MODELS, build_model
from cifar_lab.reporting.plots import draw_network

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


def elements(svg: str, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}{kind}"))


def boxes(svg: str) -> list[Box]:
    """The layers' boxes as left, top, right, bottom: not the page, nor the frames around blocks."""
    rows = [each.attrib for each in elements(svg, "rect") if each.attrib.get("rx") == "5"]
    places = [[float(row[name]) for name in ("x", "y", "width", "height")] for row in rows]
    return [(left, top, left + width, top + height) for left, top, width, height in places]


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in elements(svg, "text")]


class Branches(nn.Module):
    """Four branches side by side, as in GoogLeNet."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(3, 8, 2 * size + 1, padding=size) for size in range(4)
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.head(joined.mean(dim=(2, 3)))


NETWORKS = {name: lambda name=name: build_model(name) for name in MODELS} | {
    "branches": Branches,
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "squeezenet": lambda: torchvision.models.squeezenet1_0(num_classes=10),
    "mobilenet": lambda: torchvision.models.mobilenet_v3_small(num_classes=10),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_overlaps_and_all_can_be_read(name: str) -> None:
    svg = draw_network(NETWORKS[name]()).svg
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert width <= 800
    drawn = boxes(svg)
    for left, top, right, bottom in drawn:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
    for one, other in combinations(drawn, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, f"{one} and {other}"
    for text in elements(svg, "text"):
        assert float(text.attrib["font-size"]) >= 12, "9 points are 12 pixels"
        inside = [box for box in drawn if box[0] < float(text.attrib["x"]) < box[2]
                  and box[1] < float(text.attrib["y"]) < box[3]]  # fmt: skip
        if inside:  # a character of this font is 0.6 of its height wide
            room = inside[0][2] - inside[0][0]
            assert 0.6 * float(text.attrib["font-size"]) * len(text.text or "") < room + 8


def test_a_diagram_has_each_layer_s_shape_and_parameters() -> None:
    diagram = draw_network(build_model("mlp"))
    assert texts(diagram.svg) == [
        "SimpleMLP", "308,310 parameters, 308,200 MACs per image", "3 × 32 × 32 image",
        "Flatten", "3072", "Linear · ReLU", "100 · 307,300 parameters",
        "Linear", "10 · 1,010 parameters",
    ]  # fmt: skip
    for words in ("3 × 32 × 32 image; Flatten, 3072;", "Linear · ReLU, 100, 307,300 parameters"):
        assert words in diagram.alt
    assert repr(diagram) == diagram.alt


def test_a_shortcut_is_a_line_beside_the_column() -> None:
    block = draw_network(build_model("resnet-small"))
    assert "(with a shortcut)" in block.alt
    assert {"Inside BottleneckResBlock (a), the first one",
            "Inside BottleneckResBlock (b), the first one"} <= set(texts(block.svg))  # fmt: skip
    plain = draw_network(build_model("convnet"))
    turning = [path for path in elements(plain.svg, "path") if "H" in path.attrib["d"]]
    assert not turning, "a plain chain has straight connections alone"
    assert any("H" in path.attrib["d"] for path in elements(block.svg, "path"))


def test_branches_stand_side_by_side() -> None:
    drawn = boxes(draw_network(Branches()).svg)
    assert len({left for left, *_ in drawn}) == 4


def test_repeats_are_counted() -> None:
    svg = draw_network(build_model("frontier-tiny")).svg
    assert "3×" in texts(svg) and any("shared weights" in text for text in texts(svg))
    layers = [each for _ in range(5) for each in (nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())]
    assert "5 × Conv2d 3×3 · ReLU" in texts(draw_network(nn.Sequential(*layers)).svg)


def test_a_title_stands_above_and_is_safe() -> None:
    diagram = draw_network(build_model("mlp"), title='my <net> & "co"')
    assert texts(diagram.svg)[0] == 'my <net> & "co"'
    page = diagram._repr_html_()
    assert page.startswith(
        '<img alt="Block diagram of my &lt;net&gt; &amp; &quot;co&quot; (308,310'
    )
    assert "data:image/svg+xml;base64," in page


def test_the_example_in_the_docstring_gives_what_it_says() -> None:
    docstring = inspect.getdoc(draw_network) or ""
    test = doctest.DocTestParser().get_doctest(docstring, {}, "draw_network", None, 0)
    assert test.examples
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0
