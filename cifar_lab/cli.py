"""Run the coursework's experiments and notebooks.

Start with `cifar-lab list`, then `cifar-lab run cifar10-mlp`. Exit status: 0 done, 1 an error that
the message says how to mend, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cifar_lab.data import DATASETS, NUM_CLASSES, Data, default_root, load
from cifar_lab.doctor import examine
from cifar_lab.errors import USER_ERRORS
from cifar_lab.evaluation import test_accuracy
from cifar_lab.experiments import EXPERIMENTS, GROUPS, Experiment, find_experiments
from cifar_lab.measured import save_measured, summarize
from cifar_lab.models.size import architecture_digest, count_parameters
from cifar_lab.notebook import run_notebook
from cifar_lab.pretrained import load_pretrained
from cifar_lab.reporting import DATASET_TITLES, results_table, uses_of_test_set
from cifar_lab.reproducibility import as_device
from cifar_lab.results import Result, find_results
from cifar_lab.runs import run

RUNS = Path("runs")


def parse_seeds(text: str) -> list[int]:
    """ "0-4" or "0,2,7" -> the seeds.

    Raises:
        argparse.ArgumentTypeError: neither.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            low, dash, high = part.partition("-")
            numbers = range(int(low), int(high if dash else low) + 1)
            if not numbers:
                raise ValueError
            seeds.extend(numbers)
    except ValueError:
        message = f"{text!r} names no seeds; expected one like 0, a range 0-4 or a list 0,2,7"
        raise argparse.ArgumentTypeError(message) from None
    return seeds


def parse_share(text: str) -> float:
    """ "0.1" -> 0.1.

    Raises:
        argparse.ArgumentTypeError: no number between 0 and 1.
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; expected a number such as 0.1")
    return share


def parse_parameter(text: str) -> tuple[str, Any]:
    """ "NAME=VALUE" -> the name, and the value as a Python literal, or else as text.

    Raises:
        argparse.ArgumentTypeError: there is no "=".
    """
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no parameter; expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="cifar-lab", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the experiments, and groups of them")
    run_parser = commands.add_parser(
        "run",
        help="train experiments; leaves result.json and weights.pt under runs/",
        description="Train experiments and measure them on the test set. Every run gets a folder "
        "of its own, OUT/NAME/seed-SEED; nothing is overwritten.",
        epilog="example: cifar-lab run assignment-a --seeds 0-4 --skip-finished",
    )
    table_parser = commands.add_parser(
        "table",
        help="saved results as a Markdown table",
        description="Means over seeds, ± the standard deviation between them.",
    )
    evaluate_parser = commands.add_parser(
        "evaluate",
        help="measure trained weights that come with the package, on the test set",
        epilog="example: cifar-lab evaluate cifar10-frontier-wide",
    )
    evaluate_parser.add_argument("name", metavar="NAME", help="an experiment")
    notebook_parser = commands.add_parser(
        "notebook",
        help="run a notebook from top to bottom; leaves the executed copy and an HTML page",
        description="Run a notebook in a new kernel. The executed copy and its HTML page go to a "
        "new folder OUT/notebooks/NAME; the notebook itself stays as it is.",
        epilog="example: cifar-lab notebook notebooks/01_*.ipynb -p dataset=synthetic -p seed=1",
    )
    doctor_parser = commands.add_parser(
        "doctor",
        help="versions, device, cores, disk and datasets: what a bug report needs",
    )

    grade_parser = commands.add_parser(
        "grade",
        help="grade a folder of submissions; leaves a page for each student and grades.csv",
        description="Grade each sub-folder of SUBMISSIONS. What is graded and unchanged is kept, "
        "so a run that broke off goes on with the same command. Exit status 3: the grader itself "
        "failed at a submission, which then has no grade.",
        epilog="example: cifar-lab grade submissions/ --assignment a --jobs 2",
    )
    grade_parser.add_argument("path", type=Path, metavar="SUBMISSIONS", help="a folder a student")
    grade_parser.add_argument("--assignment", choices=("a", "b"), required=True)
    grade_parser.add_argument("--jobs", type=int, default=1, help="submissions at a time")
    grade_parser.add_argument("--settings", type=Path, help="TOML or JSON: points and limits")

    bench_parser = commands.add_parser(
        "bench",
        help="how fast experiments train, beside the plain way of doing it",
        description="Train each experiment for some epochs in the course's plain way (torchvision, "
        "PIL, DataLoader, float32) and with this library, in turn. Prints tables; leaves "
        "bench.json and bench.png in a new folder OUT/bench.",
        epilog="example: cifar-lab bench cifar10-mlp --images 6400 --pairs 2",
    )
    bench_parser.add_argument(
        "names",
        nargs="*",
        default=["assignment-a", "cifar100-smallcifarnet"],
        metavar="NAME",
        help="an experiment or a group (default: assignment-a and cifar100-smallcifarnet)",
    )
    bench_parser.add_argument("--pairs", type=int, default=3, help="of epochs (default: 3)")
    bench_parser.add_argument("--images", type=int, help="in an epoch (default: all)")
    for each in (run_parser, bench_parser, evaluate_parser):
        each.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    for each in (run_parser, table_parser):
        each.add_argument("names", nargs="+", metavar="NAME", help="an experiment or a group")
    run_parser.add_argument(
        "--seed",
        "--seeds",
        dest="seeds",
        type=parse_seeds,
        default=[0],
        help="one seed, a range 0-4 or a list 0,2,7 (default: 0)",
    )
    run_parser.add_argument("--epochs", type=int, help="another number than the recipe's")
    run_parser.add_argument(
        "--hold-out",
        type=parse_share,
        metavar="SHARE",
        help="train without this share of the training images and watch the accuracy on them, "
        "what to choose settings by; goes to OUT/NAME-held-out",
    )
    run_parser.add_argument("--resume", action="store_true", help="go on with a run that broke off")
    run_parser.add_argument(
        "--backup", type=Path, help="existing folder that gets a copy of every file"
    )
    run_parser.add_argument(
        "--skip-finished", action="store_true", help="leave out runs whose result is in OUT already"
    )
    table_parser.add_argument("--json", type=Path, help="also write the figures to this file")
    notebook_parser.add_argument("path", type=Path, help="the .ipynb file")
    notebook_parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        type=parse_parameter,
        metavar="NAME=VALUE",
        help="set a name of the notebook's parameters cell; may be given several times",
    )
    notebook_parser.add_argument(
        "--in-place", action="store_true", help="also store the outputs in the notebook itself"
    )
    grade_parser.add_argument(
        "--out", type=Path, help="folder of the grades (default: grades-a or grades-b)"
    )
    for each in (run_parser, table_parser, notebook_parser, bench_parser):
        each.add_argument("--out", type=Path, help="folder of the results (default: runs)")
    for each in (run_parser, table_parser, notebook_parser, grade_parser, bench_parser):
        each.add_argument("--dataset", choices=DATASETS, help="another dataset than usual")
    with_data = (run_parser, notebook_parser, doctor_parser, grade_parser, bench_parser)
    for each in (*with_data, evaluate_parser):
        each.add_argument(
            "--data", type=Path, help="folder of the datasets (default: $CIFAR_LAB_DATA or data)"
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = build_parser().parse_args(arguments)
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
        return 130
    except USER_ERRORS as error:
        print(f"cifar-lab: {error}", file=sys.stderr)
        return 1
    return status or 0


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


def _wanted(options: argparse.Namespace) -> list[Experiment]:
    """The named experiments, with what the options of `run` change in them."""
    experiments = []
    for name in find_experiments(options.names):
        experiment = EXPERIMENTS[name]
        if options.dataset is not None:
            experiment = replace(experiment, dataset=options.dataset)
        if options.epochs is not None:
            experiment = replace(experiment, recipe=experiment.recipe.with_epochs(options.epochs))
        if options.hold_out is not None:
            experiment = replace(
                experiment, name=f"{name}-held-out", validation_fraction=options.hold_out
            )
        experiments.append(experiment)
    return experiments


def _table(options: argparse.Namespace) -> None:
    experiments = [EXPERIMENTS[name] for name in find_experiments(options.names)]
    if options.dataset is not None:
        experiments = [replace(each, dataset=options.dataset) for each in experiments]
    results = _find(options.out or RUNS, experiments)
    datasets = list(dict.fromkeys(runs[0].dataset for runs in results.values()))
    for dataset in datasets or [""]:
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
    data = load(EXPERIMENTS[options.name].dataset, options.data)
    accuracy = test_accuracy(model, data.test)
    print(
        f"{options.name}: {count_parameters(model):,} parameters, test accuracy {accuracy:.2f} % "
        f"on the {len(data.test):,} test images of {DATASET_TITLES[data.name]}"
    )


def _notebook(options: argparse.Namespace) -> None:
    parameters = dict(options.parameter)
    if options.dataset:
        parameters["dataset"] = options.dataset
    if options.data:
        parameters["data_folder"] = str(options.data.resolve())
    if options.out:
        parameters["results_folder"] = str(options.out.resolve())
    out = (options.out or RUNS) / "notebooks"
    run_notebook(options.path, out, parameters, in_place=options.in_place)


def _doctor(options: argparse.Namespace) -> None:
    print(examine(options.data or default_root()))


def _grade(options: argparse.Namespace) -> int:
    from cifar_lab.grading.grade_class import grade_class  # needs what the others do without

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
    from cifar_lab.bench import comparison, report

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
