"""Cells that are the same but for white space, comments and names of variables."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from handed_in import given_cells
from handed_in.made_up_class import NETWORK, made_up_class
from handed_in.making import Cell, notebook

from cifar_lab.grading import likeness
from cifar_lab.grading.likeness import code_cell_digest, own_cell_digests
from cifar_lab.grading.reports import class_page
from cifar_lab.grading.reports.similar import likeness as likeness_of

TRAINING = """
import torch
optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
for epoch in range(3):
    for images, labels in loader:   # one pass
        loss = loss_function(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: {loss.item():.3f}")
"""
RENAMED = """
%matplotlib inline
opt=torch.optim.Adam( model.parameters(),
                      lr = 0.001, )
for e in range(3) :
    for x , y in train_loader:
        l = criterion(model(x), y)
        # as we were taught
        opt.zero_grad(); l.backward()
        opt.step()
    print( f'epoch {e}: {l.item():.3f}' )
"""
CLASS = NETWORK.format(width=16)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TRAINING, RENAMED),
        (CLASS, CLASS.replace("Net", "MyNet").replace("self.conv", "self.first")),
        (CLASS, CLASS.replace("    ", "\t").replace("\n", "\r\n")),
        (TRAINING, TRAINING.replace("lr=0.001)", "lr=0.001)  # tried 0.01")),
    ],
)
def test_names_of_variables_white_space_and_comments_make_no_difference(
    one: str, other: str
) -> None:
    assert one != other
    assert code_cell_digest(one) == code_cell_digest(other) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.001", "0.002"),
        ("Adam", "SGD"),
        ("optimizer.step()", "scheduler.step()"),
        ("lr=", "weight_decay="),
        ("epoch {epoch}", "Epoch {epoch}"),
        ("in loader", "in enumerate(loader)"),
    ],
)
def test_what_the_code_does_makes_a_difference(old: str, new: str) -> None:
    assert old in TRAINING
    assert code_cell_digest(TRAINING) != code_cell_digest(TRAINING.replace(old, new))


@pytest.mark.parametrize(
    "source",
    ["", "a = 1\nb = 2", "# one\n# two\n# three\n# four", "import a\nimport b\nfrom c import d"],
)
def test_a_cell_of_fewer_than_three_lines_has_no_digest(source: str) -> None:
    assert code_cell_digest(source) is None
    assert code_cell_digest(source + "\nx = 1\ny = 2\nz = 3") is not None


def test_the_length_does_not_depend_on_how_a_call_is_wrapped() -> None:
    layers = ", ".join(f"nn.Conv2d({8 * n}, {8 * n + 8}, 3)" for n in range(1, 9))
    wrapped = layers.replace(", nn", ",\n    nn")
    one = code_cell_digest(f"net = nn.Sequential({layers})")
    assert one == code_cell_digest(f"model = nn.Sequential(\n    {wrapped},\n)") is not None


@pytest.mark.parametrize(
    "source",
    [
        '"""\\"""' * 20_000,
        "(" * 100_000,
        "f'" + "{" * 50_000,
        "\\" * 100_000,
        "%\n" * 50_000,
        "\ud800\0\n" * 10_000,
        "x." * 50_000,
        "'" * 99_999,
    ],
)
def test_no_text_keeps_the_grader_busy(source: str) -> None:
    start = time.process_time()
    code_cell_digest(source)
    own_cell_digests([source] * 1_000)
    assert time.process_time() - start < 30, (
        "no more than some hundred thousand characters are looked at"
    )


def test_the_cells_that_were_handed_out_are_known() -> None:
    """`python -m handed_in.given_cells` in `tests/` writes them again."""
    assert likeness.GIVEN.read_text(encoding="utf-8") == given_cells.text()


def test_the_given_cells_and_the_templates_are_nobodys_own(tmp_path: Path) -> None:
    given = next(filter(code_cell_digest, given_cells.given_code()))
    assert own_cell_digests([given, TRAINING, RENAMED]) == [code_cell_digest(TRAINING)]
    template = tmp_path / "template.ipynb"
    template.write_text(json.dumps(notebook([Cell("code", TRAINING)])))
    assert own_cell_digests([given, RENAMED], template) == []


def test_a_class_is_compared_without_what_many_have() -> None:
    grades = made_up_class(40, hostile=False)
    found = likeness_of(grades)
    assert found.weights == (tuple(sorted(one.submission for one in grades[-4:-2])),)
    assert [(len(one.students), len(one.digests)) for one in found.cells] == [(2, 9)]
    assert found.common == 1, "the cell that all were taught"


def test_a_ring_of_copies_is_found_and_what_everybody_has_is_not() -> None:
    grades = made_up_class(60, hostile=False)
    ring = {"code_cells": ["a", "b", "c", "d"]}
    everybody = [f"taught {n}" for n in range(5)]
    shared = [
        replace(one, facts=one.facts | (ring if number < 8 else {"code_cells": everybody}))
        for number, one in enumerate(grades)
    ]
    (found,) = likeness_of(shared).cells
    assert found.digests == ("a", "b", "c", "d")
    assert len(found.students) == 8
    assert likeness_of(shared).common == 5


def test_cells_are_shown_side_by_side_from_the_notebooks(tmp_path: Path) -> None:
    first, second, third = made_up_class(20, hostile=False)[:3]
    alike = {"code_cells": [code_cell_digest(TRAINING), code_cell_digest(CLASS)]}
    for grade, cells in ((first, (TRAINING, CLASS)), (second, (CLASS.upper(), RENAMED))):
        folder = tmp_path / grade.submission
        folder.mkdir()
        content = notebook([Cell("code", f"{source}# <b>") for source in cells])
        (folder / "n.ipynb").write_text(json.dumps(content))
    grades = [replace(one, facts=one.facts | alike) for one in (first, second)]
    page = class_page([*grades, third], submissions=tmp_path)
    assert "Side by side, 1 of them" in page, "the other can't be read from both"
    assert "as we were taught" in page
    assert "one pass" in page
    assert "no proof" in page
    assert "# &lt;b&gt;" in page
    assert "Side by side" not in class_page([*grades, third])
