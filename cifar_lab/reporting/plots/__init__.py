"""Plots of images, classes, learning curves and comparisons.

Each function returns a matplotlib figure and shows nothing; a notebook shows what a cell returns.
"""

from cifar_lab.reporting.plots.classes import (
    plot_class_accuracies,
    plot_class_balance,
    plot_confusion,
)
from cifar_lab.reporting.plots.comparisons import (
    plot_accuracy_against_parameters,
    plot_frontier,
    plot_variants,
)
from cifar_lab.reporting.plots.curves import (
    plot_accuracy_against_cost,
    plot_learning_curves,
    plot_learning_rate,
    plot_shift,
)
from cifar_lab.reporting.plots.images import (
    plot_augmented,
    plot_images,
    plot_predictions,
    plot_weights,
)

__all__ = [
    "plot_accuracy_against_cost",
    "plot_accuracy_against_parameters",
    "plot_augmented",
    "plot_class_accuracies",
    "plot_class_balance",
    "plot_confusion",
    "plot_frontier",
    "plot_images",
    "plot_learning_curves",
    "plot_learning_rate",
    "plot_predictions",
    "plot_shift",
    "plot_variants",
    "plot_weights",
]
