"""A network's layers as a Markdown table."""

from __future__ import annotations

from torch import nn

from cifar_lab.models.inspection import IMAGE_SHAPE
from cifar_lab.reporting.network.rows import layer_rows
from cifar_lab.reporting.network.trace import trace
from cifar_lab.reporting.tables.markdown import markdown_table


def layer_table(model: nn.Module, images: tuple[int, ...] = IMAGE_SHAPE) -> str:
    """Return a Markdown table of each layer's output shape, parameters and MACs, and their sums.

    Norms, activations and dropout stand in the row of the layer before them. A layer that is used
    again has no further parameters.

    Args:
        model: Any network; it is run once, in eval mode, and stays as it is.
        images: The shape of an image.

    Raises:
        TypeError: The model is not a network.
        ValueError: It can't take an image of that shape.
    """
    traced = trace(model, images)
    rows = []
    for row in layer_rows(traced):
        name = f"`{row.name}` " if row.name else ""
        again = " (again)" if row.shares else ""
        shape = " × ".join(map(str, row.shape))
        rows.append([f"{name}{row.label}{again}", shape, f"{row.parameters:,}", f"{row.macs:,}"])
    unused = traced.parameters - sum(row.parameters for row in layer_rows(traced))
    if unused:
        rows.append(["not used for these images", "", f"{unused:,}", "0"])
    total = ["**all**", "", f"**{traced.parameters:,}**", f"**{traced.macs:,}**"]
    return markdown_table(["layer", "output shape", "parameters", "MACs"], [*rows, total])
