from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch

import cifar_lab
from cifar_lab.cli import pytest_options
from cifar_lab.cli.main import build_parser, main
from cifar_lab.cli.options import parse_parameter, parse_seeds
from cifar_lab.data.image_set import Data
from cifar_lab.experiments.catalog import ASSIGNMENT_A_RECIPE, EXPERIMENTS, GROUPS
from cifar_lab.experiments.published import load_published
from cifar_lab.experiments.results import Result, find_results, load_result
from cifar_lab.models import SimpleMLP
from cifar_lab.models.counting import count_training_flops
from cifar_lab.utils.errors import CorruptedDataError, DatasetUnavailableError

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, data: Data) -> list[tuple[str, Path | None]]:
    """`load` gives the small data; what it was asked for is noted here."""
    asked = []

    def load(name: str, root: Path | None = None) -> Data:
        asked.append((name, root))
        return data

    monkeypatch.setattr("cifar_lab.data.datasets.load", load)
    return asked


def run_mlp(out: Path, *options: str) -> int:
    arguments = ["run", "cifar10-mlp", "--dataset", "synthetic", "--device", "cpu"]
    return main([*arguments, "--out", str(out), *options])


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", [0]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("0,2,7", [0, 2, 7]),
        ("5,0-1", [5, 0, 1]),
        ("3-3", [3]),
    ],
)
def test_seeds_are_read_from_ranges_and_lists(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "4-0", "-1", "0,", "1.5", "1-", "5-3,1"])
def test_text_that_names_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text!r} names no seeds; expected"):
        parse_seeds(text)


def test_list_names_every_experiment_and_group(capsys: Captured) -> None:
    assert main(["list"]) == 0
    table, notes, groups = capsys.readouterr().out.split("\n\n")
    headings, *rows = table.splitlines()
    assert [line.split()[0] for line in rows] == list(EXPERIMENTS)
    assert [line.split()[0] for line in groups.splitlines()] == list(GROUPS)
    for heading in ("parameters", "MACs", "epochs", "accuracy %"):
        end = headings.index(heading) + len(heading)
        assert all(row[end - 1] != " " for row in rows), f"{heading} and its figures end together"
    assert "dash: not measured" in notes


def test_list_shows_cost_and_expected_accuracy(capsys: Captured) -> None:
    assert main(["list"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    mlp = ["cifar10-mlp", "CIFAR-10", "308,310", "308,200", "3", "0.185", "0.05", "41.24", "5"]
    assert rows["cifar10-mlp"] == mlp
    assert rows["cifar100-frontier"][-3:] == ["-", "-", "-"]  # no run had all its epochs


def test_run_trains_and_saves_each_seed(
    loads: list[tuple[str, Path | None]], tmp_path: Path, capsys: Captured
) -> None:
    assert run_mlp(tmp_path, "--seeds", "0-1", "--data", "somewhere") == 0
    assert loads == [("synthetic", Path("somewhere"))]  # once for all runs
    (results,) = find_results(
        tmp_path, {"cifar10-mlp": ("synthetic", ASSIGNMENT_A_RECIPE)}
    ).values()
    assert [(run.seed, run.dataset, len(run.history)) for run in results] == [
        (0, "synthetic", 3),
        (1, "synthetic", 3),
    ]
    assert load_result(results[0].folder, with_model=True).parameters == 308_310
    printed = capsys.readouterr().out
    assert all(str(record) in printed for run in results for record in run.history)


def test_run_loads_the_experiment_s_own_dataset(
    loads: list[tuple[str, Path | None]], tmp_path: Path
) -> None:
    assert main(["run", "cifar10-mlp", "--device", "cpu", "--out", str(tmp_path)]) == 0
    assert loads == [("cifar10", None)]


def test_a_finished_run_is_skipped_loaded_or_trained_again_only_when_asked(
    loads: list[tuple[str, Path | None]], tmp_path: Path, capsys: Captured
) -> None:
    def folders() -> list[str]:
        return sorted(path.name for path in (tmp_path / "cifar10-mlp").iterdir())

    assert run_mlp(tmp_path) == 0
    capsys.readouterr()
    assert run_mlp(tmp_path) == 1
    assert_one_message(capsys, r"seed-0 already holds .*--resume.*--again.*--out")
    assert run_mlp(tmp_path, "--seeds", "0,1", "--skip-finished") == 0
    assert folders() == ["seed-0", "seed-1"]
    assert "cifar10-mlp (seed 0) is finished, skipped" in capsys.readouterr().out
    assert run_mlp(tmp_path, "--resume") == 0
    assert "epoch" not in capsys.readouterr().out
    assert run_mlp(tmp_path, "--again") == 0
    assert folders() == ["seed-0", "seed-0-2", "seed-1"]


@pytest.mark.usefixtures("loads")
def test_of_several_runs_none_begins_where_a_later_one_can_not(
    tmp_path: Path, capsys: Captured
) -> None:
    assert run_mlp(tmp_path, "--seed", "1", "--epochs", "1") == 0
    capsys.readouterr()
    assert run_mlp(tmp_path, "--seeds", "0-2", "--epochs", "1") == 1
    assert_one_message(capsys, r"There are runs in \S*seed-1 already. Give --resume .*--skip-fin")
    assert not (tmp_path / "cifar10-mlp" / "seed-0").exists()


@pytest.mark.usefixtures("loads")
def test_several_runs_are_numbered_with_the_time_that_is_left(
    tmp_path: Path, capsys: Captured
) -> None:
    assert run_mlp(tmp_path, "--seeds", "3,5", "--epochs", "1") == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    run = r"SimpleMLP \(cifar10-mlp, seed {}\)\. About \d+ (second|minute|hour)s? {}"
    assert re.match(r"\[1/2\] " + run.format(3, "for all on two CPU cores"), titles[0])
    assert re.match(r"\[2/2\] " + run.format(5, "left for all"), titles[1])
    assert run_mlp(tmp_path / "one", "--epochs", "1") == 0
    assert "[1/1]" not in capsys.readouterr().out


def test_a_result_on_the_synthetic_dataset_does_not_finish_a_run_on_cifar(
    loads: list[tuple[str, Path | None]], tmp_path: Path
) -> None:
    assert run_mlp(tmp_path) == 0
    arguments = ["run", "cifar10-mlp", "--device", "cpu", "--skip-finished", "--again"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert loads == [("synthetic", None), ("cifar10", None)]


def test_images_held_out_give_the_accuracy_by_epoch_under_another_name(
    loads: list[tuple[str, Path | None]], data: Data, tmp_path: Path, capsys: Captured
) -> None:
    assert run_mlp(tmp_path, "--hold-out", "0.2") == 0
    result = load_result(tmp_path / "cifar10-mlp-held-out-0.2" / "seed-0")
    assert [record.validation_accuracy is not None for record in result.history] == [True] * 3
    assert [record.test_accuracy for record in result.history] == [None] * 3
    images = 3 * (len(data.train) - round(0.2 * len(data.train)))
    assert result.training_flops == images * count_training_flops(SimpleMLP())
    assert not (tmp_path / "cifar10-mlp").exists()
    assert run_mlp(tmp_path, "--hold-out", "0.2", "--skip-finished") == 0
    assert "cifar10-mlp-held-out-0.2 (seed 0) is finished, skipped" in capsys.readouterr().out
    assert run_mlp(tmp_path, "--hold-out", "0.4", "--skip-finished") == 0
    assert (tmp_path / "cifar10-mlp-held-out-0.4" / "seed-0" / "result.json").exists()


@pytest.mark.usefixtures("loads")
def test_the_number_of_epochs_can_be_set(tmp_path: Path) -> None:
    assert run_mlp(tmp_path, "--epochs", "1", "--seed", "7") == 0
    result = load_result(tmp_path / "cifar10-mlp" / "seed-7")
    assert len(result.history) == result.recipe.epochs == 1


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("seed=3", ("seed", 3)),
        ("dataset=synthetic", ("dataset", "synthetic")),
        ("data_folder=None", ("data_folder", None)),
        ("note=a=b", ("note", "a=b")),
    ],
)
def test_a_notebook_s_parameter_is_a_literal_or_text(text: str, parameter: object) -> None:
    assert parse_parameter(text) == parameter


def test_notebook_hands_on_its_parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []
    monkeypatch.setattr(
        "cifar_lab.cli.notebook.run_notebook", lambda *given, **options: calls.append(given)
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["notebook", "a.ipynb", "-p", "seed=5", "--dataset", "synthetic", "--data", "d"]
    assert main(arguments) == 0
    parameters = {"seed": 5, "dataset": "synthetic", "data_folder": str(tmp_path / "d")}
    assert calls == [(Path("a.ipynb"), Path("runs/notebooks"), parameters)]


def test_notebook_sets_the_results_folder_where_the_notebook_has_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []
    monkeypatch.setattr(
        "cifar_lab.cli.notebook.run_notebook", lambda *given, **options: calls.append(options)
    )
    assert main(["notebook", "a.ipynb", "--out", str(tmp_path)]) == 0
    assert calls[0]["optional_parameters"] == {"results_folder": str(tmp_path)}


PATH_OPTIONS = {
    "run": ("--out", "--data", "--backup"),
    "table": ("--out", "--json"),
    "evaluate": ("--data",),
    "notebook": ("--out", "--data"),
    "doctor": ("--data",),
    "grade": ("--out", "--data", "--settings"),
    "bench": ("--out", "--data"),
}


@pytest.mark.parametrize(
    ("command", "option"),
    [(command, option) for command, options in PATH_OPTIONS.items() for option in options],
)
def test_a_tilde_in_a_path_option_is_the_home_folder(
    command: str, option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    needed = {
        "run": ["x"],
        "table": ["x"],
        "evaluate": ["x"],
        "notebook": ["~/x"],
        "grade": ["~/x", "--assignment=a"],
    }
    arguments = [command, *needed.get(command, []), f"{option}=~/place"]
    options = build_parser().parse_args(arguments)
    assert getattr(options, option.strip("-")) == tmp_path / "place"
    assert getattr(options, "path", tmp_path / "x") == tmp_path / "x"


def test_a_tilde_in_a_path_option_of_pytest_is_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    parser = argparse.ArgumentParser()
    group = SimpleNamespace(addoption=parser.add_argument)
    pytest_options.pytest_addoption(SimpleNamespace(getgroup=lambda *texts: group))  # type: ignore[arg-type]
    names = ("submission", "submissions", "data", "settings", "reports")
    options = parser.parse_args([f"--{name}=~/{name}" for name in names])
    assert [getattr(options, name) for name in names] == [str(tmp_path / name) for name in names]


def test_a_console_that_lacks_a_character_shows_an_escape(
    make_result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for seed in range(2):
        folder = tmp_path / "cifar10-mlp" / f"seed-{seed}"
        make_result(seed=seed, recipe=ASSIGNMENT_A_RECIPE).save(folder / "result.json")
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    assert main(["table", "cifar10-mlp", "--out", str(tmp_path)]) == 0
    assert b"50.00 \\xb1 0.00" in console.buffer.getvalue()


def test_doctor_reports_versions_and_the_state_of_the_data(
    tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "meta").write_bytes(b"not the official file")
    assert main(["doctor", "--data", str(tmp_path)]) == 0
    report = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert report["numpy"] == numpy.__version__
    assert report["cores"].startswith(f"{os.cpu_count()},")
    assert report["cifar10"].startswith("0 of 7 files")
    assert "meta is not the official file" in report["cifar100"]
    assert version("distributed") in report["many_runs"]


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "cifar_lab.cli.main", "list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    assert (process.wait(), error) == (0, b"")


@pytest.mark.parametrize("epochs", [500, 50])
def test_evaluate_says_where_weights_are_of_a_shorter_run(
    epochs: int, loads: object, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The measured run of SmallCIFARNet has 50 epochs."""
    name = "cifar100-smallcifarnet"
    experiment = EXPERIMENTS[name]
    longer = replace(experiment, recipe=experiment.recipe.with_epochs(epochs))
    monkeypatch.setattr(
        "cifar_lab.experiments.pretrained.load_pretrained", lambda name: SimpleMLP()
    )
    monkeypatch.setitem(EXPERIMENTS, name, longer)
    assert main(["evaluate", name, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"308,310 parameters, test accuracy \d", printed)
    assert ("of a run of 50 epochs; the recipe has" in printed) is (epochs > 50)


def test_table_shows_what_was_saved(
    make_result: Callable[..., Result], tmp_path: Path, capsys: Captured
) -> None:
    for seed, accuracy in enumerate([40.0, 44.0]):
        folder = tmp_path / "cifar10-mlp" / f"seed-{seed}"
        make_result(accuracy, seed=seed, recipe=ASSIGNMENT_A_RECIPE).save(folder / "result.json")
    assert main(["table", "assignment-a", "--out", str(tmp_path)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "SimpleMLP" in line]
    assert len(rows) == 1 and "42.00 ± 2.83" in rows[0] and "0-1" in rows[0]


def test_tables_of_several_datasets_stand_one_after_the_other_and_go_to_a_file(
    make_result: Callable[..., Result], tmp_path: Path, capsys: Captured
) -> None:
    names = {"cifar10-mlp": "cifar10", "cifar100-tinynet": "cifar100"}
    for name, dataset in names.items():
        experiment = EXPERIMENTS[name]
        result = make_result(
            experiment=name,
            title=experiment.title,
            dataset=dataset,
            recipe=experiment.recipe,
            training_flops=1e12,
        )
        result.save(tmp_path / name / "seed-0" / "result.json")
    file = tmp_path / "figures.json"
    command = ["table", *names, "--out", str(tmp_path), "--json", str(file)]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert output.index("CIFAR-10.") < output.index("SimpleMLP") < output.index("CIFAR-100.")
    assert [one.experiment for one in load_published(file)] == list(names)


def assert_one_message(capsys: Captured, message: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("cifar-lab: ") and re.search(message, error), error
    assert "Traceback" not in error


@pytest.mark.parametrize("command", ["run", "table", "evaluate"])
def test_an_unknown_experiment_is_one_message(command: str, capsys: Captured) -> None:
    assert main([command, "cifar10-mpl"]) == 1
    assert_one_message(
        capsys, r"Unknown experiment( or folder)? 'cifar10-mpl'. Did you mean 'cifar10-mlp'"
    )


@pytest.mark.usefixtures("loads")
def test_a_device_or_folder_that_can_not_be_used_is_one_message(
    tmp_path: Path, capsys: Captured
) -> None:
    assert run_mlp(tmp_path, "--device", "gpu") == 1
    assert_one_message(capsys, "Device 'gpu' can't be used here")
    (tmp_path / "file").write_text("in the way")
    assert run_mlp(tmp_path / "file") == 1
    assert_one_message(capsys, "Can't make the folder .*--out")


@pytest.mark.parametrize("error", [CorruptedDataError, DatasetUnavailableError])
def test_data_that_can_not_be_had_is_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured, error: type[Exception]
) -> None:
    def load(name: str, root: Path | None) -> Data:
        raise error("what is wrong, and what to do")

    monkeypatch.setattr("cifar_lab.data.datasets.load", load)
    assert main(["run", "cifar10-mlp", "--out", str(tmp_path)]) == 1
    assert_one_message(capsys, "cifar-lab: what is wrong, and what to do\n$")


def test_a_table_of_nothing_is_one_message(tmp_path: Path, capsys: Captured) -> None:
    assert main(["table", "assignment-a", "--out", str(tmp_path)]) == 1
    assert_one_message(
        capsys, "There are no results of assignment-a in .*Run them first. Runs with --hold-out"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["run"],
        ["run", "cifar10-mlp", "--seeds", "x"],
        ["run", "cifar10-mlp", "--hold-out", "1"],
        ["list", "--out", "a"],
        ["run", "cifar10-mlp", "--resume", "--again"],
    ],
)
def test_wrong_usage_is_exit_status_2(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: cifar-lab" in capsys.readouterr().err


def test_without_a_command_there_is_help(capsys: Captured) -> None:
    assert main([]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("usage: cifar-lab") and "notebook" in captured.out
    assert captured.err == ""


def test_the_version_is_that_of_the_package(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cifar-lab {version('cifar-lab')}\n"


@pytest.mark.parametrize(
    "command", ["list", "run", "table", "evaluate", "notebook", "doctor", "grade", "bench"]
)
def test_every_command_is_in_the_help(command: str, capsys: Captured) -> None:
    for arguments in (["--help"], [command, "--help"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
        assert command in capsys.readouterr().out


def test_doctor_shows_the_processor_and_the_precision_that_auto_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import torchvision  # noqa: F401 (can't be imported under the patches below)

    from cifar_lab.training import precision

    flags = {"cpu_name": "AMD EPYC", "avx512_bf16": True, "avx512_f": True, "amx_bf16": False}
    monkeypatch.setattr(precision, "cpu_capabilities", lambda: flags)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    cifar_lab.doctor()
    report = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert report["cpu"] == "AMD EPYC: amx_bf16 no, avx512_bf16 yes, avx512_f yes, bf16 no"
    assert report["device"].endswith("precision 'auto' is bf16")
