"""Tables of results, variants, settings and layers in Markdown: figures, no opinions."""

from __future__ import annotations

import inspect
from typing import Any

from cifar_lab.reporting.tables.layers import layer_table
from cifar_lab.reporting.tables.markdown import markdown_table
from cifar_lab.reporting.tables.results import (
    DATASET_TITLES,
    findings,
    history_table,
    iteration_figures,
    results_table,
    uses_of_test_set,
)
from cifar_lab.reporting.tables.settings import changed_settings
from cifar_lab.reporting.tables.variants import variants_table, verdicts

__all__ = [
    "DATASET_TITLES",
    "changed_settings",
    "findings",
    "history_table",
    "iteration_figures",
    "layer_table",
    "markdown_table",
    "results_table",
    "source_code",
    "uses_of_test_set",
    "variants_table",
    "verdicts",
]


def source_code(*objects: Any) -> str:
    """Return the source of functions and classes, so that a page shows the code that runs."""
    return "\n\n".join(inspect.getsource(each) for each in objects)
