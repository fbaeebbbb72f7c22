"""Results as Markdown tables and sentences: no figure is typed in, each comes from a run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Gain, Trial, gains
from cifar_lab.utils.markdown import markdown_table
from cifar_lab.utils.statistics import mean_and_spread, standard_error

DATASET_TITLES = {name: facts.title for name, facts in DATASETS.items()}
VARIANTS_NOTES = {  # under a table, by whether a variant has several seeds
    True: "After an accuracy: ± the standard deviation between seeds.",
    False: "After the accuracy of a single seed: ± the standard error from the number of "
    "validation images alone; runs from other seeds differ by more.",
}


def results_table(results: Mapping[str, Sequence[Result]]) -> str:
    """Return a Markdown table with one row per experiment.

    Figures are means over the seeds, and "±" is the standard deviation between seeds (of the
    sample), where there are at least two.

    Args:
        results: Runs of each experiment, one per seed.

    Raises:
        ValueError: No results, an experiment without any, or runs that can't be compared: on
            different datasets, with different recipes or on different numbers of images.
    """
    _refuse_unlike(results)
    (dataset,) = {run.dataset for group in results.values() for run in group}
    # The course's figures are on real images: next to synthetic ones they would only mislead.
    with_reference = dataset != "synthetic"
    columns = ["experiment", "parameters", "MACs", "train loss", "test accuracy %"]
    columns += ["course's %"] if with_reference else []
    rows, notes = [], []
    for name, group in results.items():
        row = [
            group[0].title,
            f"{group[0].parameters:,}",
            f"{group[0].macs:,}",
            f"{mean(run.history[-1].train_loss for run in group):.4f}",
            mean_and_spread([run.test_accuracy for run in group]),
        ]
        if with_reference:
            experiment = EXPERIMENTS.get(name)
            reference = experiment.reference if experiment else None
            row.append("" if reference is None else f"{reference:.2f}")
        seconds = mean(run.seconds for run in group)
        rows.append([*row, f"{seconds:.0f}", _ranges([run.seed for run in group])])
        precisions = sorted({run.precision for run in group})
        if len(precisions) > 1:
            notes.append(f"{group[0].title} was trained in {' and '.join(precisions)}.")
    title = f"Test images of {DATASET_TITLES.get(dataset, dataset)}."
    return "\n\n".join([title, markdown_table([*columns, "seconds", "seeds"], rows), *notes])


def _refuse_unlike(results: Mapping[str, Sequence[Result]]) -> None:
    runs = [run for group in results.values() for run in group]
    if not runs or not all(results.values()):
        raise ValueError("There are no results to tabulate. Run the experiments first.")
    datasets = sorted({run.dataset for run in runs})
    if len(datasets) > 1:
        raise ValueError(
            f"These results are on {' and '.join(datasets)}; a table compares runs on one dataset. "
            "Make one for each."
        )
    for group in results.values():
        title = group[0].title
        if len({str(run.recipe) for run in group}) > 1:
            raise ValueError(
                f"The results of {title} have different recipes; their mean has no meaning. "
                "Pass runs of one recipe."
            )
        trained_on = {run.images.partition(",")[0] for run in group if run.images}
        if len(trained_on) > 1:
            raise ValueError(
                f"The results of {title} come from training on "
                f"{' and '.join(sorted(trained_on))}; their mean has no meaning. Move away those "
                "that do not belong."
            )


def uses_of_test_set(results: Mapping[str, Sequence[Result]]) -> str:
    """Return a sentence on how often the runs evaluated on the test set, meant to be used once."""
    counts = sorted({run.test_uses for group in results.values() for run in group})
    often = f"{counts[0]}" if len(counts) == 1 else f"between {counts[0]} and {counts[-1]}"
    times = "time" if counts == [1] else "times"
    return f"The test set was evaluated on {often} {times} in each run."


def history_table(result: Result, every: int = 5) -> str:
    """Return a Markdown table of the first, every fifth, the best and the last epoch.

    Args:
        result: A run; the best epoch is the one with the highest validation accuracy.
        every: Number of epochs from one row to the next.
    """
    history = result.history
    best = max(history, key=lambda record: record.validation_accuracy or 0.0)
    rows = []
    for record in history:
        if record.epoch % every and record not in (history[0], best, history[-1]):
            continue
        accuracy = record.validation_accuracy
        shown = "" if accuracy is None else f"{accuracy:.2f}"
        note = " (best)" if record is best and accuracy is not None else ""
        rows.append(
            [record.epoch, f"{record.train_loss:.4f}", f"{shown}{note}", f"{record.seconds:.1f}"]
        )
    return markdown_table(["epoch", "train loss", "validation accuracy %", "seconds"], rows)


def _ranges(seeds: Sequence[int]) -> str:
    """Return seeds as text: "0-2, 5" for [0, 1, 2, 5]."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


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
            _accuracy_text(trial),
            *_gain_texts(by_title.get(trial.title)),
        ]
        for trial in trials
    ]
    several = {len(trial.histories) > 1 for trial in trials}
    notes = [note for is_several, note in VARIANTS_NOTES.items() if is_several in several]
    return "\n\n".join([markdown_table([*header, "gain", "verdict"], rows), *notes])


def _accuracy_text(trial: Trial) -> str:
    if len(trial.histories) > 1:
        return mean_and_spread(trial.accuracies)
    error = standard_error(trial.accuracy, trial.validation_images)
    return f"{trial.accuracy:.2f} ± {error:.2f}"


def _gain_texts(gain: Gain | None) -> tuple[str, str]:
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
        groups[gain.verdict].append(f"{gain.trial.title} ({gain.points:+.2f})")
    titles = {"helps": "Helped", "harms": "Did harm", "can't tell": "Not told apart from noise"}
    return "\n".join(
        f"- **{titles[name]}:** {', '.join(group) or 'none'}." for name, group in groups.items()
    )


def source_code(*objects: Any) -> str:
    """Return the source of functions and classes, so that a page shows the code that runs."""
    return "\n\n".join(inspect.getsource(each) for each in objects)


def iteration_sentence(before: Result, after: Result) -> str:
    """Return one Markdown sentence on the change from one network to the next."""
    gain = after.test_accuracy - before.test_accuracy
    return (
        f"**{after.title}** after {before.title}: {after.parameters:,} parameters "
        f"({_times(after.parameters, before.parameters)}), {after.macs:,} multiply-accumulates per "
        f"image ({_times(after.macs, before.macs)}), test accuracy {after.test_accuracy:.2f} %, "
        f"{abs(gain):.2f} points {'more' if gain >= 0 else 'less'}."
    )


def _times(after: int, before: int) -> str:
    ratio = after / before
    return f"{ratio:.1f} times as many" if ratio >= 1 else f"{1 / ratio:.1f} times fewer"


def findings(results: Sequence[Result]) -> str:
    """Return assignment A's findings as Markdown: every iteration, then conclusions.

    Each conclusion is drawn only where the figures support it.

    Args:
        results: The baseline (the MLP) first, then the iterations.

    Raises:
        ValueError: Fewer than three results (a baseline and at least two iterations), or results
            that differ in dataset, recipe, precision or seed.
    """
    if len(results) < 3:
        raise ValueError(
            f"{len(results)} results; findings need a baseline and at least two iterations."
        )
    if len({(run.dataset, str(run.recipe), run.precision, run.seed) for run in results}) > 1:
        raise ValueError(
            "These results differ in dataset, recipe, precision or seed; findings compare "
            "networks, with all else the same. Run them alike."
        )
    baseline, *iterations = results
    best = max(results, key=lambda result: result.test_accuracy)
    smallest = min(results, key=lambda result: result.parameters)
    better = [run for run in iterations if run.test_accuracy > baseline.test_accuracy]
    smaller = [run for run in better if run.parameters < baseline.parameters]
    dataset = DATASET_TITLES.get(baseline.dataset, baseline.dataset)
    lines = [
        f"All on {dataset}, {baseline.recipe.epochs} epochs each, seed {baseline.seed}.",
        "",
        f"**Baseline.** {baseline.title}: {baseline.parameters:,} parameters, test accuracy "
        f"{baseline.test_accuracy:.2f} %.",
        "",
        *(
            f"{number}. {iteration_sentence(before, after)}"
            for number, (before, after) in enumerate(zip(results, iterations, strict=False), 1)
        ),
        "",
        f"- {len(smaller)} of the {len(iterations)} other networks beat {baseline.title} with "
        "fewer parameters.",
        f"- The most accurate is **{best.title}**: {best.test_accuracy:.2f} % with "
        f"{best.parameters:,} parameters.",
        f"- The smallest is **{smallest.title}**: {smallest.parameters:,} parameters "
        f"({_times(smallest.parameters, baseline.parameters)}, compared with {baseline.title}) and "
        f"{smallest.test_accuracy:.2f} %.",
    ]
    costlier = [run for run in smaller if run.macs > baseline.macs]
    if costlier:
        lines.append(
            f"- Fewer parameters are not less work: {len(costlier)} of these compute "
            f"more per image than {baseline.title}, since a shared weight is used at every place; "
            f"the most is {max(run.macs for run in costlier):,} multiply-accumulates, compared "
            f"with {baseline.macs:,}."
        )
    return "\n".join(lines)
