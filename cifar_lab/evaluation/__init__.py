"""Predictions and accuracies of a model, in float32 and eval mode, and confusion matrices."""

from cifar_lab.evaluation.accuracy import (
    accuracy_and_loss,
    accuracy_by_views,
    accuracy_under_shift,
    evaluate,
    test_accuracy,
)
from cifar_lab.evaluation.confusion import (
    confusion_matrix,
    most_confused,
    superclass_confusion,
    superclass_labels,
)
from cifar_lab.evaluation.prediction import EVALUATION_BATCH_SIZE, predict

__all__ = [
    "EVALUATION_BATCH_SIZE",
    "accuracy_and_loss",
    "accuracy_by_views",
    "accuracy_under_shift",
    "confusion_matrix",
    "evaluate",
    "most_confused",
    "predict",
    "superclass_confusion",
    "superclass_labels",
    "test_accuracy",
]
