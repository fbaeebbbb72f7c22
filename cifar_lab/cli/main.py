"""Run the coursework's experiments and notebooks.

Start with `cifar-lab list`, then `cifar-lab run cifar10-mlp`. Exit status: 0 done, 1 an error that
the message says how to fix, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.cli.doctor import examine
from cifar_lab.cli.notebook import run_notebook
from cifar_lab.cli.notebook_parameters import UnknownParameterError
from cifar_lab.cli.options import build_parser
from cifar_lab.data.cifar import NUM_CLASSES
from cifar_lab.data.datasets import default_root, load
from cifar_lab.data.image_set import Data
from cifar_lab.evaluation import test_accuracy
from cifar_lab.experiments.catalog import EXPERIMENTS, GROUPS, Experiment, find_experiments
from cifar_lab.experiments.pretrained import load_pretrained
from cifar_lab.experiments.published import (
    load_measured_run,
    measured_run_names,
    save_measured,
    summarize,
)
from cifar_lab.experiments.results import Result, find_results
from cifar_lab.experiments.run import run
from cifar_lab.models.counting import architecture_digest, count_parameters
from cifar_lab.reporting.tables import DATASET_TITLES, results_table, uses_of_test_set
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.errors import USER_ERRORS

RUNS = Path("runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    _take_every_character()
    options = build_parser(__doc__).parse_args(arguments)
    commands: dict[str, Callable[[argparse.Namespace], int | None]] = {
        "list": _list,
        "run": _run,
        "table": _table,
        "evaluate": _evaluate,
        "notebook": _notebook,
        "doctor": _doctor,
        "grade": _grade,
        "bench": _bench,
    }
    status: int | None = 0
    try:
        status = commands[options.command](options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has enough, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        if options.command == "run":
            same = "The same command" if options.resume else "The same command with --resume"
            print(f"cifar-lab: interrupted. {same} resumes the run.", file=sys.stderr)
        return 130
    except USER_ERRORS as error:
        print(f"cifar-lab: {error}", file=sys.stderr)
        return 1
    return status or 0


def _take_every_character() -> None:
    """Let a character that the console lacks appear as an escape, in place of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _list(options: argparse.Namespace) -> None:
    for name, experiment in EXPERIMENTS.items():
        print(f"{name:24} {experiment.title} on {experiment.dataset}")
    for name, members in GROUPS.items():
        print(f"{name:24} all of: {', '.join(members)}")


def _run(options: argparse.Namespace) -> None:
    experiments = _wanted(options)
    out = options.out or RUNS
    loaded: dict[str, Data] = {}
    for seed in options.seeds:
        for experiment in experiments:
            name, dataset = experiment.name, experiment.dataset
            if options.skip_finished:
                finished = _find(out, [experiment]).get(name, [])
                if any(result.seed == seed for result in finished):
                    print(f"{name} (seed {seed}) is finished, skipped")
                    continue
            if dataset not in loaded:
                loaded[dataset] = load(dataset, options.data)
            run(
                experiment,
                seed=seed,
                data=loaded[dataset],
                out=out,
                resume=options.resume,
                backup=options.backup,
                device=options.device,
            )


def _named(options: argparse.Namespace) -> list[Experiment]:
    """The named experiments, on another dataset where one is given."""
    experiments = [EXPERIMENTS[name] for name in find_experiments(options.names)]
    if options.dataset is not None:
        experiments = [replace(each, dataset=options.dataset) for each in experiments]
    return experiments


def _wanted(options: argparse.Namespace) -> list[Experiment]:
    """The named experiments, with what the options of `run` change in them."""
    experiments = []
    for experiment in _named(options):
        if options.epochs is not None:
            experiment = replace(experiment, recipe=experiment.recipe.with_epochs(options.epochs))
        if options.hold_out is not None:
            experiment = replace(
                experiment,
                name=f"{experiment.name}-held-out-{options.hold_out:g}",
                validation_fraction=options.hold_out,
            )
        experiments.append(experiment)
    return experiments


def _table(options: argparse.Namespace) -> None:
    out = options.out or RUNS
    results = _find(out, _named(options))
    if not results:
        raise ValueError(
            f"There are no results of {', '.join(options.names)} in {out}. Run them first; runs "
            "with --epochs or --hold-out are not in the table, but print their accuracy."
        )
    datasets = list(dict.fromkeys(runs[0].dataset for runs in results.values()))
    for dataset in datasets:
        group = {name: runs for name, runs in results.items() if runs[0].dataset == dataset}
        print(results_table(group), uses_of_test_set(group), sep="\n\n", end="\n\n")
    if options.json is not None:
        save_measured(summarize(results), options.json)


def _find(out: Path, experiments: Sequence[Experiment]) -> dict[str, list[Result]]:
    """Results of these experiments as they are now: the same data, recipe and network."""
    return find_results(
        out,
        {each.name: (each.dataset, each.recipe) for each in experiments},
        {
            each.name: architecture_digest(each.build_model(NUM_CLASSES[each.dataset]))
            for each in experiments
        },
    )


def _evaluate(options: argparse.Namespace) -> None:
    model = load_pretrained(options.name).to(as_device(options.device))
    experiment = EXPERIMENTS[options.name]
    data = load(experiment.dataset, options.data)
    accuracy = test_accuracy(model, data.test)
    print(
        f"{options.name}: {count_parameters(model):,} parameters, test accuracy {accuracy:.2f} % "
        f"on the {len(data.test):,} test images of {DATASET_TITLES[data.name]}"
    )
    if options.name in measured_run_names():
        trained, whole = load_measured_run(options.name).recipe.epochs, experiment.recipe.epochs
        if trained < whole:
            print(f"These weights are of a run of {trained:,} epochs; the recipe has {whole:,}.")


def _notebook(options: argparse.Namespace) -> None:
    by_name = dict(options.parameter)
    by_option = {}
    if options.dataset:
        by_option["dataset"] = options.dataset
    if options.data:
        by_option["data_folder"] = str(options.data.resolve())
    try:
        run_notebook(
            options.path,
            (options.out or RUNS) / "notebooks",
            {**by_option, **by_name},
            optional_parameters=(
                {"results_folder": str(options.out.resolve())} if options.out else None
            ),
            in_place=options.in_place,
        )
    except UnknownParameterError as error:
        if error.name not in by_option or error.name in by_name:
            raise
        option = "--dataset" if error.name == "dataset" else "--data"
        raise ValueError(
            f"{error} {option} sets that one: leave {option} out, or assign {error.name} in a cell "
            "with the tag 'parameters'."
        ) from error


def _doctor(options: argparse.Namespace) -> None:
    print(examine(options.data or default_root()))


def _grade(options: argparse.Namespace) -> int:
    from cifar_lab.grading.sessions.grade_class import grade_class

    return grade_class(
        options.path,
        options.out or Path(f"grades-{options.assignment}"),
        assignment=options.assignment,
        jobs=options.jobs,
        dataset=options.dataset,
        data_folder=options.data,
        settings=options.settings,
    )


def _bench(options: argparse.Namespace) -> None:
    from cifar_lab.benchmark import comparison, report

    comparisons: list[comparison.Comparison] = []
    try:
        for one in comparison.compare(
            find_experiments(options.names),
            dataset=options.dataset,
            data_folder=options.data,
            images=options.images,
            pairs=options.pairs,
            device=options.device,
        ):
            comparisons.append(one)
    finally:  # what was measured is kept, also when a later experiment fails or is interrupted
        if comparisons:
            folder = report.save(comparisons, options.out or RUNS)
            print(report.text(comparisons))
            print(f"Saved bench.json and bench.png in {folder}")


if __name__ == "__main__":
    sys.exit(main())
