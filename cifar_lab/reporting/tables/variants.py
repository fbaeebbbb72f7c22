"""Variants of an experiment as Markdown tables: accuracies, gains and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from cifar_lab.experiments.variants import Gain, Trial, gains
from cifar_lab.reporting.tables.markdown import markdown_table
from cifar_lab.utils.statistics import mean_and_spread, standard_error

VARIANTS_NOTES = {  # under a table, by whether a variant has several seeds
    True: "After an accuracy: ± the standard deviation between seeds.",
    False: "After the accuracy of a single seed: ± the standard error from the number of "
    "validation images alone; runs from other seeds differ by more.",
}


def variants_table(
    trials: Sequence[Trial], against: Trial | None = None, spread: float | None = None
) -> str:
    """Return a Markdown table of each variant's size, cost, accuracy and gain.

    The arguments are those of `gains`.

    Raises:
        ValueError: No trials.
    """
    if not trials:
        raise ValueError("There are no trials to tabulate; compare_variants returns them.")
    by_title = {gain.trial.title: gain for gain in gains(trials, against, spread)}
    header = ["variant", "parameters", "training, TFLOPs", "train loss", "validation accuracy %"]
    rows = [
        [
            trial.title,
            f"{trial.parameters:,}",
            f"{trial.training_flops / 1e12:.1f}",
            f"{mean(history[-1].train_loss for history in trial.histories.values()):.4f}",
            accuracy_text(trial),
            *gain_texts(by_title.get(trial.title)),
        ]
        for trial in trials
    ]
    several = {len(trial.histories) > 1 for trial in trials}
    notes = [note for is_several, note in VARIANTS_NOTES.items() if is_several in several]
    return "\n\n".join([markdown_table([*header, "gain", "verdict"], rows), *notes])


def accuracy_text(trial: Trial) -> str:
    """Return the accuracy with its spread, or with the standard error of the images."""
    if len(trial.histories) > 1:
        return mean_and_spread(trial.accuracies)
    error = standard_error(trial.accuracy, trial.validation_images)
    return f"{trial.accuracy:.2f} ± {error:.2f}"


def gain_texts(gain: Gain | None) -> tuple[str, str]:
    """Return a gain with its standard error, and the verdict; no texts for no gain."""
    if gain is None:
        return "", ""
    error = "" if gain.error is None else f" ± {gain.error:.2f}"
    return f"{gain.points:+.2f}{error}", gain.verdict


def verdicts(
    trials: Sequence[Trial], against: Trial | None = None, spread: float | None = None
) -> str:
    """Return in Markdown which variants helped, which did harm, and which may be noise.

    The arguments are those of `gains`.
    """
    groups: dict[str, list[str]] = {"helps": [], "harms": [], "can't tell": []}
    for gain in gains(trials, against, spread):
        name = next(each for each in groups if gain.verdict.startswith(each))
        groups[name].append(f"{gain.trial.title} ({gain.points:+.2f})")
    titles = {"helps": "Helped", "harms": "Did harm", "can't tell": "Not told apart from noise"}
    return "\n".join(
        f"- **{titles[name]}:** {', '.join(group) or 'none'}." for name, group in groups.items()
    )
