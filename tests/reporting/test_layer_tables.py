from __future__ import annotations

from torch import nn

from cifar_lab.data.augment import RandomCrop, RandomHorizontalFlip
from cifar_lab.models import build_model
from cifar_lab.models.counting import count_macs, count_parameters
from cifar_lab.reporting.tables import changed_settings, layer_table
from cifar_lab.training.recipe import Recipe


def cells(table: str) -> list[dict[str, str]]:
    """A Markdown table's rows, each cell by its column."""
    header, _, *rows = (
        [cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_settings_that_differ_from_the_default_are_shown_beside_it() -> None:
    recipe = Recipe(
        epochs=4, batch_size=64, optimizer="adam", learning_rate=0.01, weight_decay=0.5,
        augment=(RandomCrop(padding=2), RandomHorizontalFlip()),
    )  # fmt: skip
    rows = {row["setting"]: row for row in cells(changed_settings(recipe))}
    assert list(rows) == [
        "`epochs`", "`batch_size`", "`optimizer`", "`learning_rate`", "`weight_decay`", "`augment`",
    ]  # fmt: skip
    assert rows["`optimizer`"] == {
        "setting": "`optimizer`", "value": "`'adam'`", "default": "(required)",
    }  # fmt: skip
    assert (rows["`weight_decay`"]["value"], rows["`weight_decay`"]["default"]) == (
        "`0.5`",
        "`0.0`",
    )
    crop, flip = rows["`augment`"]["value"].split("<br>")
    assert "RandomCrop(padding=2" in crop and "RandomHorizontalFlip" in flip


def test_the_layers_of_a_network_add_up() -> None:
    model = build_model("resnet-small")
    rows = cells(layer_table(model))
    for column, whole in (("parameters", count_parameters(model)), ("MACs", count_macs(model))):
        numbers = [int(row[column].strip("*").replace(",", "")) for row in rows]
        assert sum(numbers[:-1]) == numbers[-1] == whole
    # By hand: 8 x 3 weights of the convolution, 8 scales and 8 shifts; 8 x 3 products a place.
    assert rows[0] == {
        "layer": "`features.0.residual.0` Conv2d 1×1 · BatchNorm2d · ReLU",
        "output shape": "8 × 32 × 32",
        "parameters": "40",
        "MACs": f"{24 * 32 * 32:,}",
    }
    assert layer_table(model).splitlines()[1] == "|---|---|---:|---:|"


def test_layers_that_are_used_again_have_no_further_parameters() -> None:
    layer = nn.Linear(8, 8)
    rows = cells(layer_table(nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer), (2, 2, 2)))
    assert [row["parameters"] for row in rows] == ["0", "72", "0", "**72**"]
    assert [row["MACs"] for row in rows] == ["0", "64", "64", "**128**"]
    assert rows[2]["layer"].endswith("(again)")
