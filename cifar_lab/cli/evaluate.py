"""`cifar-lab evaluate`: trained weights, the package's or a run's, measured on the test set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.completion import offer
from cifar_lab.cli.custom_model import build_custom
from cifar_lab.cli.options import add_data, add_device
from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.facts import FACTS
from cifar_lab.utils.errors import unknown_name
from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from torch import nn

    from cifar_lab.cli.options import Commands
    from cifar_lab.experiments.results import Result


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="measure trained weights on the test set: the package's, or those of a run",
        description="Measure trained weights on the test set: those that come with the package, "
        "by the experiment's name, or those of a run, by its folder.",
        epilog="examples: cifar-lab evaluate cifar10-frontier-wide; "
        "cifar-lab evaluate runs/mine/seed-0 --model my_net.py:MyNet; "
        "cifar-lab evaluate cifar100-frontier --views six",
    )
    name = parser.add_argument("name", metavar="NAME", help="an experiment, or the folder of a run")
    offer(name, FACTS, folders=True)
    parser.add_argument(
        "--model",
        metavar="FILE.py:CLASS",
        help="of a run of a custom network: the file and the class or function in it that builds "
        "the network without arguments; the file is executed",
    )
    parser.add_argument(
        "--views",
        choices=("single", "mirror", "six"),
        default="single",
        help="average the logits over several views of each image: it and its mirror image, or "
        "these also shifted by a pixel, twice; two or six times the work (by default: single)",
    )
    add_device(parser)
    add_data(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Print the accuracy of an experiment's weights, or of a run's."""
    if options.name not in FACTS:
        folder = user_path(options.name)
        if folder.is_file():  # weights.pt or result.json of the run
            folder = folder.parent
        if not folder.is_dir():
            raise unknown_name("experiment or folder", options.name, FACTS)
        _evaluate_run(folder, options)
    elif options.model is not None:
        raise ValueError(f"--model goes with the folder of a run; {options.name} is an experiment.")
    else:
        _evaluate_pretrained(options)


def _evaluate_run(folder: Path, options: argparse.Namespace) -> None:
    from cifar_lab.experiments.results import load_result

    _check_is_run(folder)
    result = load_result(folder)
    if result.model_name is None and options.model is None:
        raise ValueError(
            f"{folder} is a run of a custom network, and its weights are stored without its code. "
            "Put the class into a file and type: cifar-lab evaluate "
            f"{folder} --model FILE.py:CLASS"
        )
    custom = None if options.model is None else build_custom(options.model)
    result = load_result(folder, with_model=True, model=custom)
    assert result.model is not None
    accuracy, where = _measure(result.model, result.dataset, options)
    print(f"{folder} ({result.title}, seed {result.seed}): {where}")
    if options.views == "single":  # as a run measures
        print(_compared(result, accuracy))


def _check_is_run(folder: Path) -> None:
    """Raise unless there is a finished run in the folder; the message names those below it."""
    from cifar_lab.experiments.folders import CHECKPOINT, RESULT

    if (folder / RESULT).is_file():
        return
    if (folder / CHECKPOINT).is_file():
        raise ValueError(
            f"The run in {folder} was interrupted: it has a checkpoint, but no result. Resume it "
            "first, with --resume or resume=True."
        )
    below = sorted(str(path.parent) for path in folder.rglob(RESULT))
    hint = f" Those below it: {', '.join(below[:5])}." if below else ""
    raise FileNotFoundError(f"{folder} is not the folder of one run.{hint}")


def _compared(result: Result, accuracy: float) -> str:
    if f"{accuracy:.2f}" == f"{result.test_accuracy:.2f}":
        return "The run itself measured the same."
    return (
        f"The run itself measured {result.test_accuracy:.2f} % on "
        f"{result.environment.get('device_name', 'its device')}."
    )


def _evaluate_pretrained(options: argparse.Namespace) -> None:
    from cifar_lab.experiments.catalog import EXPERIMENTS
    from cifar_lab.experiments.pretrained import load_pretrained
    from cifar_lab.experiments.published import load_published_run, published_run_names

    model = load_pretrained(options.name)
    experiment = EXPERIMENTS[options.name]
    _, where = _measure(model, experiment.dataset, options)
    print(f"{options.name}: {where}")
    if options.name in published_run_names():
        trained, whole = load_published_run(options.name).recipe.epochs, experiment.recipe.epochs
        if trained < whole:
            print(f"These weights are of a run of {trained:,} epochs; the recipe has {whole:,}.")


def _measure(model: nn.Module, dataset: str, options: argparse.Namespace) -> tuple[float, str]:
    """Return the test accuracy, and a line on it."""
    from cifar_lab.data.datasets import load
    from cifar_lab.evaluation import test_accuracy
    from cifar_lab.models.counting import count_parameters
    from cifar_lab.utils.devices import as_device

    data = load(dataset, options.data)
    accuracy = test_accuracy(model.to(as_device(options.device)), data.test, views=options.views)
    many = "" if options.views == "single" else f" with views={options.views!r},"
    return accuracy, (
        f"{count_parameters(model):,} parameters, test accuracy {accuracy:.2f} %{many} "
        f"on the {len(data.test):,} test images of {DATASETS[data.name].title}"
    )
