"""What a benchmark found, as tables, a picture and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import geometric_mean, median

from cifar_lab.benchmark.comparison import Comparison
from cifar_lab.benchmark.profile import PARTS
from cifar_lab.benchmark.worker import Measurement
from cifar_lab.experiments.results import new_folder
from cifar_lab.reporting.plots import plot_speed
from cifar_lab.utils.files import write_text


def save(comparisons: Sequence[Comparison], out: Path) -> Path:
    """Write bench.json and bench.png to a new folder; returns it."""
    folder = new_folder(out / "bench")
    content = [asdict(one) | {"ratios": one.ratios} for one in comparisons]
    write_text(folder / "bench.json", json.dumps(content, indent=1))
    plot_speed(comparisons).savefig(folder / "bench.png", dpi=150)
    return folder


def text(comparisons: Sequence[Comparison]) -> str:
    """Both tables, and what they are of."""
    parts = [speed_table(comparisons), time_table(comparisons)]
    return "\n\n".join([*parts, *dict.fromkeys(map(conditions, comparisons))])


def speed_table(comparisons: Sequence[Comparison]) -> str:
    """Images a second in both ways, their ratio and what it did to the accuracy, in Markdown.

    Speeds are the median of the epochs, with the least and the most of them; the accuracy is that
    after the last epoch.
    """
    lines = [
        "| experiment | plain, images/s | library, images/s | ratio | accuracy %, plain / library "
        "| of the matrix peak | peak memory, GiB, plain / library |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in comparisons:
        plain, library = one.plain, one.library
        share = _images_per_second(library) * library.flops_per_image
        share /= library.matrix_flops_per_second
        cells = [
            one.title,
            _spread([plain.images / record.seconds for record in plain.epochs], ",.0f"),
            _spread([library.images / record.seconds for record in library.epochs], ",.0f"),
            _spread(one.ratios, ".2f"),
            f"{_accuracy(plain):.2f} / {_accuracy(library):.2f}",
            f"{100 * share:.2g} %",
            f"{_memory(plain)} / {_memory(library)}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if len(comparisons) > 1:
        mean = geometric_mean([median(one.ratios) for one in comparisons])
        lines.append(f"| geometric mean | | | {mean:.2f} | | | |")
    return "\n".join(lines)


def time_table(comparisons: Sequence[Comparison]) -> str:
    """Where the time of a training step goes, in percent, in Markdown."""
    lines = [
        "| experiment | way | " + " | ".join(PARTS) + " |",
        "|---|---|" + "---|" * len(PARTS),
    ]
    for one in comparisons:
        for side in (one.plain, one.library):
            shares = [f"{100 * side.shares[part]:.0f}" for part in PARTS]
            lines.append(f"| {one.title} | {side.way} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def conditions(comparison: Comparison) -> str:
    """What the figures are of, in a sentence."""
    library = comparison.library
    environment = library.environment
    return (
        f"{len(library.epochs)} epochs of {library.images:,} images of {comparison.dataset} "
        f"in each way, in turn; {environment['device_name']}, {environment['threads']} threads, "
        f"torch {environment['torch']}, the library in {library.precision}; accuracy on the "
        f"{library.watched} images. Seconds are of training: the plain way's hold the start of its "
        "DataLoader's workers at each epoch, neither's hold evaluations or checks beforehand."
    )


def _memory(side: Measurement) -> str:
    return "-" if side.peak_memory_mib is None else f"{side.peak_memory_mib / 1024:.2f}"


def _images_per_second(side: Measurement) -> float:
    return median(side.images / record.seconds for record in side.epochs)


def _accuracy(side: Measurement) -> float:
    last = side.epochs[-1]
    accuracy = last.validation_accuracy
    return (last.test_accuracy if accuracy is None else accuracy) or 0.0


def _spread(values: Sequence[float], form: str) -> str:
    text = format(median(values), form)
    if len(values) > 1:
        text += f" ({format(min(values), form)}-{format(max(values), form)})"
    return text
