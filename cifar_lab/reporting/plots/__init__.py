"""Plots of images, classes, learning curves, comparisons and networks.

Each function returns a picture and shows nothing; a notebook shows what a cell returns. A network
has the same colour in all plots.
"""

from cifar_lab.reporting.network.drawing import draw_network
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
from cifar_lab.reporting.plots.live import LiveCurves

__all__ = [
    "LiveCurves",
    "draw_network",
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
