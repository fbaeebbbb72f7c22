"""A benchmark's report: tables, a plot and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import geometric_mean, median

from cifar_lab.benchmark.comparison import Comparison
from cifar_lab.benchmark.plot import plot_speed
from cifar_lab.benchmark.profile import PARTS
from cifar_lab.benchmark.student import STUDENT
from cifar_lab.benchmark.worker import Measurement
from cifar_lab.experiments.folders import new_folder
from cifar_lab.utils.files import write_text
from cifar_lab.utils.markdown import markdown_table


def save(comparisons: Sequence[Comparison], out: Path) -> Path:
    """Write bench.json and bench.png to a new folder, and return that folder."""
    folder = new_folder(out / "bench")
    content = [asdict(one) | {"ratios": one.ratios} for one in comparisons]
    write_text(folder / "bench.json", json.dumps(content, indent=1))
    plot_speed(comparisons).savefig(folder / "bench.png", dpi=150)
    return folder


def text(comparisons: Sequence[Comparison]) -> str:
    """Return both tables, and the conditions under which they were measured."""
    parts = [speed_table(comparisons), time_table(comparisons)]
    return "\n\n".join([*parts, *dict.fromkeys(map(conditions, comparisons))])


def speed_table(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table of both ways' speed, accuracy and memory.

    Speeds are the median of the epochs, with the lowest and the highest of them; the accuracy is
    that after the last epoch.
    """
    header = [
        "experiment",
        "baseline, images/s",
        "library, images/s",
        "ratio",
        "accuracy %, baseline / library",
        "of the matrix peak",
        "peak memory, GiB, baseline / library",
    ]
    rows = [_speed_row(one) for one in comparisons]
    for precision in dict.fromkeys(one.library.precision for one in comparisons):
        # The student's network is a row of its own, not one of the experiments.
        ratios = [
            median(one.ratios)
            for one in comparisons
            if one.library.precision == precision and one.experiment != STUDENT.name
        ]
        if len(ratios) > 1:
            mean = geometric_mean(ratios)
            rows.append([f"geometric mean, {precision}", "", "", f"{mean:.2f}", "", "", ""])
    return markdown_table(header, rows)


def _speed_row(comparison: Comparison) -> list[str]:
    baseline, library = comparison.baseline, comparison.library
    share = _images_per_second(library) * library.flops_per_image
    share /= library.matrix_flops_per_second
    return [
        f"{comparison.title}, {library.precision}",
        _range([baseline.images / record.seconds for record in baseline.epochs], ",.0f"),
        _range([library.images / record.seconds for record in library.epochs], ",.0f"),
        _range(comparison.ratios, ".2f"),
        f"{_accuracy(baseline):.2f} / {_accuracy(library):.2f}",
        f"{100 * share:.2g} %",
        f"{_memory(baseline)} / {_memory(library)}",
    ]


def time_table(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table of each part's share of a training step's time, in percent."""
    rows = [
        [
            f"{one.title}, {one.library.precision}",
            way.way,
            *(f"{100 * way.shares[part]:.0f}" for part in PARTS),
        ]
        for one in comparisons
        for way in (one.baseline, one.library)
    ]
    return markdown_table(["experiment", "way", *PARTS], rows)


def conditions(comparison: Comparison) -> str:
    """Return the conditions of a comparison as sentences."""
    library = comparison.library
    environment = library.environment
    return (
        f"{len(library.epochs)} epochs of {library.images:,} images of {comparison.dataset} "
        f"in each way, in turn; {environment['device_name']}, {environment['threads']} threads, "
        f"torch {environment['torch']}, the library in {library.precision}; accuracy on the "
        f"{library.watched} images. Seconds are of training: the baseline's include the start of "
        "its DataLoader's workers at each epoch; neither's include evaluations or checks "
        "beforehand."
    )


def _memory(way: Measurement) -> str:
    return "-" if way.peak_memory_mib is None else f"{way.peak_memory_mib / 1024:.2f}"


def _images_per_second(way: Measurement) -> float:
    return median(way.images / record.seconds for record in way.epochs)


def _accuracy(way: Measurement) -> float:
    last = way.epochs[-1]
    accuracy = last.validation_accuracy
    return (last.test_accuracy if accuracy is None else accuracy) or 0.0


def _range(values: Sequence[float], form: str) -> str:
    text = format(median(values), form)
    if len(values) > 1:
        text += f" ({format(min(values), form)}-{format(max(values), form)})"
    return text
