"""Assignment B's discussion: the figures behind each of its five headings, taken from the runs.

Each function returns Markdown. What follows from the figures is for the author to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.ablation import Trial
from cifar_lab.experiments.results import Result
from cifar_lab.models.counting import MAX_PARAMETERS, count_parameters
from cifar_lab.training.schedule import learning_rate_at


def architecture(result: Result, baseline: Result, trials: Sequence[Trial]) -> str:
    """Where the parameters and the work are, against the starting point.

    Raises:
        ValueError: the result comes without its model.
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
        f"below; {result.macs:,} multiply-accumulates an image.",
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
    """What a layer with parameters is called; None for a module that only holds others."""
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
    """What the run was made with, how the accuracy came about, and what it cost."""
    recipe, history = result.recipe, result.history
    accuracies = [_validation(result, epoch) for epoch in range(len(history))]
    last = len(history)
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
        f"- {result.seconds / 60:.1f} minutes of training ({result.seconds / last:.1f} s an epoch) "
        f"on {result.environment.get('device_name', result.environment.get('device'))} in "
        f"{result.precision}, and {_seconds(trials) / 60:.1f} for the short runs.",
    ]
    return "\n".join(lines + _differences(trials, "hyperparameters"))


def _seconds(trials: Sequence[Trial]) -> float:
    return sum(record.seconds for trial in trials for record in trial.history)


def regularisation(result: Result, trials: Sequence[Trial], steps_per_epoch: int) -> str:
    """What keeps the network from learning its training images by heart."""
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
    """What moves the weights, against the starting point's optimizer."""
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
    """What was selected by which images, and what the test set was used for.

    Args:
        result: of the run.
        train: the images it was trained on.
        validation: the images its epoch was selected by.
        graded: test accuracy in percent, as `evaluate` gave it for the weights loaded again.
        test: the test images, which know how many times they were evaluated on in this session.
    """
    accuracies = [_validation(result, epoch) for epoch in range(len(result.history))]
    best = max(accuracies)
    error = 100 * math.sqrt(best / 100 * (1 - best / 100) / len(validation))
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
    """A line for each short run that leaves out something of the heading's: what that changed."""
    lines = []
    for trial in trials:
        if trial.heading != heading:
            continue
        everything = trials[0]
        change = trial.accuracy - everything.accuracy
        shares = [trial.accuracy / 100, everything.accuracy / 100]
        variance = sum(share * (1 - share) for share in shares) / trial.validation_images
        noise = 200 * math.sqrt(variance)
        lines.append(
            f"- Short run, {trial.title}: {trial.accuracy:.2f} % in place of "
            f"{everything.accuracy:.2f} % ({change:+.2f}; two standard errors are {noise:.2f})."
        )
    return lines


def parameter_table(model: nn.Module) -> str:
    """A Markdown table of a model's parts: each child's parameters, and their sum."""
    rows = [
        f"| {name} | {count_parameters(child):,} |"
        for name, child in _parts(model)
        if count_parameters(child)
    ]
    total = f"| **all** | **{count_parameters(model):,}** |"
    return "\n".join(["| part | parameters |", "|---|---|", *rows, total])


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The model's children, a `Sequential` among them taken apart."""
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
