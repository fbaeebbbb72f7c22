"""Results as tables, sentences and Markdown: no figure is typed in, each comes from a run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.results import Result

DATASET_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "synthetic": "the SYNTHETIC stand-in (not CIFAR)",
}


def results_table(results: Mapping[str, Sequence[Result]]) -> str:
    """A Markdown table with a row an experiment.

    Args:
        results: the runs of each experiment, one a seed; means are over them, and "±" is the
            standard deviation between seeds (of the sample), where there are at least two.

    Raises:
        ValueError: no results, an experiment without any, or runs on different datasets, by
            different recipes or on different numbers of images, whose figures can't be compared.
    """
    runs = [run for group in results.values() for run in group]
    if not runs or not all(results.values()):
        raise ValueError("There are no results to tabulate. Run the experiments first.")
    datasets = sorted({run.dataset for run in runs})
    if len(datasets) > 1:
        raise ValueError(
            f"These results are on {' and '.join(datasets)}; a table compares runs on one dataset."
        )
    if any(len({str(run.recipe) for run in group}) > 1 for group in results.values()):
        raise ValueError("An experiment's results have different recipes; their mean says nothing.")
    for group in results.values():
        trained_on = {run.images.partition(",")[0] for run in group if run.images}
        if len(trained_on) > 1:
            sizes = " and ".join(sorted(trained_on))
            raise ValueError(
                f"Results of {group[0].title} are of trainings on {sizes}; their mean says "
                "nothing. Move those away that don't belong there."
            )
    # The course's figures are on real images: beside the stand-in's they would only mislead.
    with_reference = datasets != ["synthetic"]
    columns = ["experiment", "parameters", "MACs", "train loss", "test accuracy %"]
    columns += ["course's %"] if with_reference else []
    rows = [[*columns, "seconds", "seeds"]]
    for name, group in results.items():
        experiment = EXPERIMENTS.get(name)
        reference = experiment.reference if experiment else None
        row = [
            group[0].title,
            f"{group[0].parameters:,}",
            f"{group[0].macs:,}",
            f"{mean(run.history[-1].train_loss for run in group):.4f}",
            mean_and_spread([run.test_accuracy for run in group]),
        ]
        if with_reference:
            row.append("" if reference is None else f"{reference:.2f}")
        seconds = mean(run.seconds for run in group)
        rows.append([*row, f"{seconds:.0f}", _ranges([run.seed for run in group])])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    notes = []
    for group in results.values():
        precisions = sorted({run.precision for run in group})
        if len(precisions) > 1:
            notes += ["", f"{group[0].title} was trained in {' and '.join(precisions)}."]
    dataset = DATASET_TITLES.get(datasets[0], datasets[0])
    return "\n".join([f"Test images of {dataset}.", "", *lines, *notes])


def uses_of_test_set(results: Mapping[str, Sequence[Result]]) -> str:
    """How often the runs evaluated on the test set, which is there to be used once."""
    counts = sorted({run.test_uses for group in results.values() for run in group})
    often = f"{counts[0]}" if len(counts) == 1 else f"between {counts[0]} and {counts[-1]}"
    times = "time" if counts == [1] else "times"
    return f"The test set was evaluated on {often} {times} in each run."


def history_table(result: Result, every: int = 5) -> str:
    """A Markdown table of the first epoch, every few, the best on validation and the last."""
    history = result.history
    best = max(history, key=lambda record: record.validation_accuracy or 0.0)
    lines = [
        "| epoch | train loss | validation accuracy % | seconds |",
        "|---|---|---|---|",
    ]
    for record in history:
        if record.epoch % every and record not in (history[0], best, history[-1]):
            continue
        accuracy = record.validation_accuracy
        shown = "" if accuracy is None else f"{accuracy:.2f}"
        note = " (best)" if record is best and accuracy is not None else ""
        lines.append(
            f"| {record.epoch} | {record.train_loss:.4f} | {shown}{note} | {record.seconds:.1f} |"
        )
    return "\n".join(lines)


def mean_and_spread(values: Sequence[float]) -> str:
    """The mean, and behind "±" the sample's standard deviation where there are two values."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{mean(values):.2f} ± {stdev(values):.2f}"


def _ranges(seeds: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> "0-2, 5"."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def source_code(*objects: Any) -> str:
    """The source of functions and classes, so that a page shows the code that runs."""
    return "\n\n".join(inspect.getsource(each) for each in objects)


def iteration_sentence(before: Result, after: Result) -> str:
    """What changed from one network to the next, in one Markdown sentence."""
    gain = after.test_accuracy - before.test_accuracy
    return (
        f"**{after.title}** after {before.title}: {after.parameters:,} parameters "
        f"({_times(after.parameters, before.parameters)}), {after.macs:,} multiply-accumulates an "
        f"image ({_times(after.macs, before.macs)}), test accuracy {after.test_accuracy:.2f} %, "
        f"{abs(gain):.2f} points {'more' if gain >= 0 else 'less'}."
    )


def _times(after: int, before: int) -> str:
    ratio = after / before
    return f"{ratio:.1f} times as many" if ratio >= 1 else f"{1 / ratio:.1f} times fewer"


def findings(results: Sequence[Result]) -> str:
    """Assignment A's findings as Markdown: every iteration, then what the runs show.

    Each conclusion is drawn only where the figures bear it out; where they don't, it says so.

    Args:
        results: the first is the network to compare with (the MLP), the others the iterations.

    Raises:
        ValueError: fewer than three results (a baseline and at least two iterations), or results
            that differ in dataset, recipe, precision or seed.
    """
    if len(results) < 3:
        raise ValueError(
            f"{len(results)} results; findings need a baseline and at least two iterations."
        )
    if len({(run.dataset, str(run.recipe), run.precision, run.seed) for run in results}) > 1:
        raise ValueError(
            "These results differ in dataset, recipe, precision or seed; findings compare "
            "networks, with all else the same."
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
        f"({_times(smallest.parameters, baseline.parameters)}, against {baseline.title}) and "
        f"{smallest.test_accuracy:.2f} %.",
    ]
    costlier = [run for run in smaller if run.macs > baseline.macs]
    if costlier:
        lines.append(
            f"- Fewer parameters are not less work: {len(costlier)} of these compute "
            f"more an image than {baseline.title}, since a shared weight is used at every place; "
            f"the most is {max(run.macs for run in costlier):,} multiply-accumulates against "
            f"{baseline.macs:,}."
        )
    return "\n".join(lines)
