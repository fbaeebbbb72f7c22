"""Assignment B's discussion: the figures behind each of its five headings, taken from the runs.

Each function returns Markdown. The conclusions from the figures are left to the author.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Trial, gains
from cifar_lab.models.counting import MAX_PARAMETERS, count_parameters
from cifar_lab.reporting.tables.markdown import markdown_table
from cifar_lab.reporting.tables.variants import accuracy_text, gain_texts
from cifar_lab.training.schedule import learning_rate_at
from cifar_lab.utils.statistics import standard_error


def architecture(result: Result, baseline: Result, trials: Sequence[Trial]) -> str:
    """Describe where the parameters and the work are, compared with the baseline.

    Args:
        result: A run, with its model.
        baseline: The run to compare it with.
        trials: Short runs, the first with everything, the others with something left out.

    Raises:
        ValueError: The result comes without its model.
    """
    if result.model is None:
        raise ValueError("The result has no model; load it with load_result(..., with_model=True).")
    shares: dict[str, int] = {}
    unfactored = 0
    before: nn.Conv2d | None = None
    for module in result.model.modules():
        kind = _kind(module)
        if kind is None:
            continue
        shares[kind] = shares.get(kind, 0) + sum(each.numel() for each in module.parameters())
        if isinstance(module, nn.Conv2d) and before is not None and _is_depthwise(before):
            height, width = before.kernel_size
            unfactored += height * width * module.in_channels * module.out_channels
        before = module if isinstance(module, nn.Conv2d) else None
    lines = [
        f"- {result.title}: {result.parameters:,} parameters, "
        f"{100 * result.parameters / MAX_PARAMETERS:.0f} % of the {MAX_PARAMETERS:,} it must stay "
        f"below; {result.macs:,} multiply-accumulates per image.",
        f"- {baseline.title}: {baseline.parameters:,} parameters, {baseline.macs:,} "
        "multiply-accumulates.",
        "- Where the parameters are: "
        + ", ".join(
            f"{kind} {count:,} ({100 * count / result.parameters:.1f} %)"
            for kind, count in sorted(shares.items(), key=lambda item: -item[1])
        )
        + ".",
    ]
    if unfactored:
        lines.append(
            "- Full convolutions in place of the depthwise and pointwise pairs would have "
            f"{unfactored:,} parameters, {unfactored / MAX_PARAMETERS:.1f} times the limit."
        )
    return "\n".join(lines + _differences(trials, "architecture"))


def _kind(module: nn.Module) -> str | None:
    """Return the kind of a layer with parameters; None for a module that only holds others."""
    if isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        if height == width == 1:
            return "pointwise 1x1 convolutions"
        kind = "depthwise" if _is_depthwise(module) else "grouped" if module.groups > 1 else "full"
        return f"{kind} {height}x{width} convolutions"
    if isinstance(module, nn.Linear):
        return "linear layers"
    return "batch normalisation" if isinstance(module, nn.BatchNorm2d) else None


def _is_depthwise(convolution: nn.Conv2d) -> bool:
    return convolution.groups == convolution.in_channels > 1


def hyperparameters(result: Result, trials: Sequence[Trial]) -> str:
    """Describe the run's settings, the course of its accuracy, and what it cost."""
    recipe, history = result.recipe, result.history
    accuracies = [_validation(result, epoch) for epoch in range(len(history))]
    last = len(history)
    device = result.environment.get("device_name", result.environment.get("device"))
    marks = [mark for mark in (1, recipe.warmup_epochs, last // 2, last) if 1 <= mark <= last]
    lines = [
        f"- Learning rate {recipe.learning_rate:g} at most, {recipe.warmup_epochs} epochs of "
        f"warm-up, then {recipe.schedule}; batches of {recipe.batch_size}; {len(history)} epochs "
        f"of at most {recipe.epochs}.",
        "- Validation accuracy: "
        + ", ".join(
            f"{accuracies[mark - 1]:.2f} % after epoch {mark}" for mark in sorted(set(marks))
        )
        + ".",
        f"- {result.seconds / 60:.1f} minutes of training "
        f"({result.seconds / last:.1f} s per epoch) on {device} in {result.precision}, and "
        f"{_seconds(trials) / 60:.1f} for the short runs.",
    ]
    return "\n".join(lines + _differences(trials, "hyperparameters"))


def _seconds(trials: Sequence[Trial]) -> float:
    return sum(
        record.seconds
        for trial in trials
        for history in trial.histories.values()
        for record in history
    )


def regularisation(result: Result, trials: Sequence[Trial], steps_per_epoch: int) -> str:
    """Describe what keeps the network from overfitting its training images."""
    recipe, classes = result.recipe, result.num_classes
    lines = [
        f"- Training loss after the last epoch: {result.history[-1].train_loss:.4f}, measured on "
        "augmented images, with dropout, while the weights were changing."
    ]
    smoothing = recipe.label_smoothing
    if smoothing:
        right, wrong = 1 - smoothing + smoothing / classes, smoothing / classes
        floor = -right * math.log(right) - (classes - 1) * wrong * math.log(wrong)
        lines.append(
            f"- With label smoothing of {smoothing:g} even a perfect answer has a loss of "
            f"{floor:.4f}."
        )
    if recipe.weight_decay and recipe.optimizer == "adamw":
        epochs = len(result.history)
        mean_rate = sum(learning_rate_at(recipe, epoch + 0.5) for epoch in range(epochs)) / epochs
        shrunk = 1 - math.exp(-recipe.weight_decay * mean_rate * epochs * steps_per_epoch)
        lines.append(
            f"- Weight decay of {recipe.weight_decay:g} by itself takes {100 * shrunk:.1f} % off a "
            "weight over the whole run."
        )
    return "\n".join(lines + _differences(trials, "regularisation"))


def optimizer(result: Result, baseline: Result, trials: Sequence[Trial]) -> str:
    """Describe what moves the weights, compared with the baseline's optimizer."""
    last, first = baseline.history[-1], result.history[0]
    momentum = f"momentum {baseline.recipe.momentum:g}"
    lines = [
        f"- {baseline.title}: {baseline.recipe.optimizer}, learning rate "
        f"{baseline.recipe.learning_rate:g}, {momentum}; training loss {last.train_loss:.4f} after "
        f"{last.epoch} epochs. Guessing has ln {baseline.num_classes} = "
        f"{math.log(baseline.num_classes):.4f}.",
        f"- {result.title}: {result.recipe.optimizer}, learning rate up to "
        f"{result.recipe.learning_rate:g} and {learning_rate_at(result.recipe, 0):g} in the first "
        f"epoch; training loss {first.train_loss:.4f} after it, with smoothed labels and "
        "augmented images.",
    ]
    return "\n".join(lines + _differences(trials, "optimizer"))


def validation_scheme(
    result: Result, train: ImageSet, validation: ImageSet, graded: float, test: ImageSet
) -> str:
    """Describe what was selected on which images, and what the test set was used for.

    Args:
        result: The run.
        train: The images that it was trained on.
        validation: The images that its epoch was selected on.
        graded: Test accuracy in percent, as `evaluate` returned it for the weights loaded again.
        test: The test images, which know how many times they were evaluated on in this session.
    """
    accuracies = [_validation(result, epoch) for epoch in range(len(result.history))]
    best = max(accuracies)
    error = standard_error(best, len(validation))
    share = 100 * len(validation) / (len(train) + len(validation))
    return "\n".join(
        [
            f"- {len(train):,} images to train on, {len(validation):,} ({share:.0f} %) to select "
            f"by, drawn from the training set with seed {result.seed}.",
            f"- The best epoch by validation was {accuracies.index(best) + 1} of "
            f"{len(accuracies)}: {best:.2f} % (standard error {error:.2f}); the last had "
            f"{accuracies[-1]:.2f} %.",
            f"- Test accuracy: {graded:.2f} %, {abs(graded - best):.2f} points "
            f"{'above' if graded >= best else 'below'} the best validation accuracy.",
            f"- The run evaluated on the test set {_times(result.test_uses)}; in this session, "
            f"`evaluate` and training runs together did so {_times(test.uses.count)}.",
        ]
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _validation(result: Result, epoch: int) -> float:
    accuracy = result.history[epoch].validation_accuracy
    if accuracy is None:
        raise ValueError(
            f"{result.title} was trained without validation images; the discussion needs them. "
            "Give its experiment a validation_fraction, such as 0.1."
        )
    return accuracy


def _differences(trials: Sequence[Trial], heading: str) -> list[str]:
    """Return a table of the short runs without something of the heading: what that changed."""
    compared = [trial for trial in trials if trial.heading == heading]
    if not compared:
        return []
    everything = trials[0]
    by_title = {gain.trial.title: gain for gain in gains(trials, against=everything)}
    rows = [
        [trial.title, accuracy_text(trial), *gain_texts(by_title.get(trial.title))]
        for trial in [everything, *(each for each in compared if each is not everything)]
    ]
    table = markdown_table(["short run", "validation accuracy %", "gain", "verdict"], rows)
    return ["", table]


def parameter_table(model: nn.Module) -> str:
    """Return a Markdown table of a model's parts: each child's parameters, and their sum."""
    counts = [(name, count_parameters(child)) for name, child in _parts(model)]
    rows = [(name, f"{count:,}") for name, count in counts if count]
    total = ("**all**", f"**{count_parameters(model):,}**")
    return markdown_table(["part", "parameters"], [*rows, total])


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the model's children, with the parts of a `Sequential` in its place."""
    parts: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        if isinstance(child, nn.Sequential):
            parts += [
                (f"{name}.{inner} ({type(part).__name__})", part)
                for inner, part in child.named_children()
            ]
        else:
            parts.append((f"{name} ({type(child).__name__})", child))
    return parts
