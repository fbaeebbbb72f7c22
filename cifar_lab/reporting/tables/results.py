"""Results of runs as Markdown tables: no figure is typed in, each comes from a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.results import Result, common_views
from cifar_lab.reporting.tables.markdown import markdown_table
from cifar_lab.utils.statistics import mean_and_spread
from cifar_lab.utils.wording import counted

VIEWS_COLUMNS = {"mirror": "with mirror images %", "six": "with six views %"}
DATASET_TITLES = {name: facts.title for name, facts in DATASETS.items()}


def results_table(results: Mapping[str, Sequence[Result]]) -> str:
    """Return a Markdown table with one row per experiment.

    Figures are means over the seeds, and "±" is the standard deviation between seeds (of the
    sample), where there are at least two. Accuracies with several views of each image have a column
    of their own, for experiments all of whose runs were measured with them.

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
    measured = {name: common_views(runs) for name, runs in results.items()}
    all_views = list(dict.fromkeys(views for names in measured.values() for views in names))
    columns = ["experiment", "parameters", "MACs", "train loss", "test accuracy %"]
    columns += [VIEWS_COLUMNS[views] for views in all_views]
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
        for views in all_views:
            is_known = views in measured[name]
            row.append(mean_and_spread([run.views[views] for run in group]) if is_known else "")
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
    if len(counts) > 1:
        often = f"between {counts[0]} and {counts[-1]} times"
    else:
        often = "once" if counts == [1] else f"{counts[0]} times"
    return f"Each run evaluated on the test set {often}."


def history_table(result: Result, every: int = 5) -> str:
    """Return a Markdown table of the first, every fifth, the best and the last epoch.

    Args:
        result: A run; the best epoch is the one with the highest validation accuracy.
        every: Number of epochs from one row to the next.
    """
    history = result.history
    best = max(history, key=lambda record: record.validation_accuracy or 0.0)
    with_loss = any(record.validation_loss is not None for record in history)
    rows = []
    for record in history:
        if record.epoch % every and record not in (history[0], best, history[-1]):
            continue
        accuracy, loss = record.validation_accuracy, record.validation_loss
        note = "best" if record is best and accuracy is not None else ""
        row = [str(record.epoch), f"{record.train_loss:.4f}"]
        row += ["" if loss is None else f"{loss:.4f}"] if with_loss else []
        row += ["" if accuracy is None else f"{accuracy:.2f}", f"{record.seconds:.1f}", note]
        rows.append(row)
    header = ["epoch", "train loss"] + ["validation loss"] * with_loss
    return markdown_table([*header, "validation accuracy %", "seconds", "note"], rows)


def iteration_figures(results: Sequence[Result]) -> str:
    """Return in Markdown, for each network, its figures and those of the one before it.

    The hypothesis, the change and the conclusion are the author's to write.

    Args:
        results: The baseline first, then the iterations, in the order in which they were made.

    Raises:
        ValueError: Fewer than two results, or results that differ in dataset, recipe, precision
            or seed.
    """
    if len(results) < 2:
        raise ValueError(
            f"There is {counted(len(results), 'result')}; expected a baseline and at least one "
            "iteration."
        )
    if len({(run.dataset, str(run.recipe), run.precision, run.seed) for run in results}) > 1:
        raise ValueError(
            "These results differ in dataset, recipe, precision or seed; iterations compare "
            "networks, with all else the same. Run them alike."
        )
    first = results[0]
    dataset = DATASET_TITLES.get(first.dataset, first.dataset)
    alike = f"On {dataset}, {counted(first.recipe.epochs, 'epoch')} each, seed {first.seed}."
    pairs = enumerate(zip(results, results[1:], strict=False), 1)
    return "\n\n".join([alike, *(_iteration(*pair, number) for number, pair in pairs)])


def _iteration(before: Result, after: Result, number: int) -> str:
    gain = after.test_accuracy - before.test_accuracy
    rows = [
        ["Parameters", f"{before.parameters:,}", f"{after.parameters:,}",
         _ratio(after.parameters, before.parameters)],
        ["MACs per image", f"{before.macs:,}", f"{after.macs:,}", _ratio(after.macs, before.macs)],
        ["Result: test accuracy %", f"{before.test_accuracy:.2f}", f"{after.test_accuracy:.2f}",
         f"{gain:+.2f}"],
    ]  # fmt: skip
    table = markdown_table(["", before.title, after.title, "change"], rows)
    return f"**Iteration {number}: {after.title}**\n\n{table}"


def _ratio(after: float, before: float) -> str:
    ratio = after / before if before else 0.0
    return f"× {ratio:.2f}" if ratio >= 0.1 else f"× {ratio:.2g}" if ratio else ""


findings = iteration_figures  # its name in notebooks of earlier versions


def _ranges(seeds: Sequence[int]) -> str:
    """Return seeds as text: "0-2, 5" for [0, 1, 2, 5]."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
