from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cifar_lab.data.image_set import Data
from cifar_lab.evaluation import test_accuracy
from cifar_lab.experiments.folders import new_folder, run_folders
from cifar_lab.experiments.results import Result, find_results, load_result, to_frame
from cifar_lab.experiments.run import run
from cifar_lab.training.history import History
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.environment import describe_environment, peak_memory_mib

WANTED = ("cifar10", Recipe(2, 16, "adam", 1e-3, precision="fp32"))  # as `make_result` makes them


def fields_of(result: Result) -> dict[str, object]:
    return {name: value for name, value in vars(result).items() if name not in ("model", "folder")}


def save(result: Result, folder: Path, age: float = 0) -> None:
    """Save a result that is `age` seconds old."""
    result.save(folder / "result.json")
    os.utime(folder / "result.json", (1e9 - age, 1e9 - age))


def test_a_result_comes_back_from_json_as_it_was(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    result = make_result(61.5, seed=3, peak_memory_mib=None, model_name=None)
    result.save(tmp_path / "result.json")
    loaded = load_result(tmp_path)
    assert fields_of(loaded) == fields_of(result)
    assert not loaded.model and loaded.folder == tmp_path


def test_a_run_s_model_comes_back_with_the_same_accuracy(
    data: Data, recipe: Recipe, tmp_path: Path
) -> None:
    result = run(
        "cifar10-resnet-small",
        data=data,
        recipe=recipe,
        out=tmp_path,
        device="cpu",
        progress=False,
    )
    assert result.folder is not None
    loaded = load_result(result.folder, with_model=True)
    assert fields_of(loaded) == fields_of(result)
    assert loaded.model is not None and not loaded.model.training
    assert test_accuracy(loaded.model, data.test) == result.test_accuracy


def test_a_model_that_was_not_loaded_says_how_to_load_it(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    for name, remedy in (("mlp", "with_model=True)"), (None, "with_model=True, model=MyNet())")):
        make_result(model_name=name).save(tmp_path / "result.json")
        result = load_result(tmp_path)
        message = f"without its model. Load it: load_result({str(tmp_path)!r}, {remedy}"
        assert message in repr(result.model)
        assert not result.model and not hasattr(result.model, "_repr_html_")
        for use in (lambda model: model(torch.zeros(1, 3, 32, 32)), lambda model: model.eval()):
            with pytest.raises((ValueError, AttributeError), match=re.escape(message)):
                use(result.model)
        assert replace(result, seed=1).seed == 1


def test_a_result_shows_itself_in_a_line(make_result: Callable[..., Result]) -> None:
    assert repr(make_result(61.5, seed=3)) == (
        "Result(cifar10-mlp, seed 3, on cifar10: test accuracy 61.50 % after 2 epochs, "
        "308,310 parameters, not saved)"
    )
    assert "saved in runs" in repr(make_result(folder=Path("runs")))


def test_a_result_s_records_are_a_history(make_result: Callable[..., Result]) -> None:
    history = make_result(61.5).history
    assert isinstance(history, History) and isinstance(history[:1], History)


class Frame:
    """What pandas would be asked for, where it is not installed."""

    def __init__(self, rows: list[dict[str, object]], index: list[object] | None) -> None:
        self.rows, self.index = rows, index


def test_results_become_a_data_frame_of_one_row_each(
    make_result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Frame))  # type: ignore
    first, second = make_result(50.0), make_result(61.5, seed=3, folder=Path("runs"))
    listed = to_frame([first, second])
    assert listed.index is None
    assert [row["test_accuracy"] for row in listed.rows] == [50.0, 61.5]
    assert [(row["seed"], row["folder"], row["epochs"]) for row in listed.rows] == [
        (0, None, 2),
        (3, "runs", 2),
    ]
    named = to_frame({"MLP": first, "both": [first, second]})
    assert named.index == ["MLP", "both", "both"] and named.rows[1:] == listed.rows
    assert first.to_frame().rows == listed.rows[:1]
    with pytest.raises(TypeError, match="There is a int among the results"):
        to_frame([3])  # type: ignore[list-item]


def test_without_pandas_a_data_frame_says_what_to_install(
    make_result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match="pip install pandas"):
        to_frame([make_result()])


def test_every_result_below_a_folder_is_found(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    save(make_result(10, seed=1), tmp_path / "cifar10-mlp" / "seed-1")
    save(make_result(20, seed=0), tmp_path / "cifar10-mlp" / "seed-0-2", age=1)
    save(make_result(30, seed=0), tmp_path / "cifar10-mlp" / "seed-0", age=2)
    save(make_result(40, experiment="a", dataset="synthetic"), tmp_path / "deep" / "a" / "seed-0")
    (tmp_path / "cifar10-mlp" / "seed-5").mkdir()  # an interrupted run
    found = find_results(tmp_path)
    accuracies = {name: [each.test_accuracy for each in group] for name, group in found.items()}
    assert accuracies == {"a": [40], "cifar10-mlp": [30, 20, 10]}
    assert list(accuracies) == ["a", "cifar10-mlp"]
    assert find_results(tmp_path / "nowhere") == {}


def test_missing_results_and_weights_are_named(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="No result at .*result.json. Run the experiment"):
        load_result(tmp_path)
    make_result().save(tmp_path / "result.json")
    with pytest.raises(FileNotFoundError, match="No weights at .*weights.pt"):
        load_result(tmp_path, with_model=True)


@pytest.mark.parametrize("damage", ["cut", "empty", "no object", "field missing", "field unknown"])
def test_a_damaged_result_is_named(
    make_result: Callable[..., Result], tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "result.json"
    make_result().save(path)
    text = path.read_text()
    content = json.loads(text)
    without_seed = {name: value for name, value in content.items() if name != "seed"}
    path.write_text(
        {
            "cut": text[: len(text) // 2],
            "empty": "",
            "no object": "[1, 2]",
            "bad recipe": json.dumps(content | {"recipe": content["recipe"] | {"epochs": 0}}),
            "field missing": json.dumps(without_seed),
            "field unknown": json.dumps(content | {"colour": "red"}),
        }[damage]
    )
    with pytest.raises(ValueError, match="result.json is damaged .*Move it away and run"):
        load_result(tmp_path)


def test_the_newest_result_of_each_seed_is_found_in_the_order_of_seeds(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    mlp = tmp_path / "cifar10-mlp"
    save(make_result(10, seed=0), mlp / "seed-0", age=1)
    save(make_result(20, seed=0), mlp / "seed-0-2", age=3)
    save(make_result(30, seed=10), mlp / "seed-10", age=9)
    save(make_result(40, seed=2), mlp / "seed-2", age=2)
    save(make_result(50, seed=2), mlp / "seed-2-2", age=1)
    save(make_result(60, seed=0, dataset="synthetic"), mlp / "seed-0-3", age=0)
    save(make_result(70, seed=0, recipe=replace(WANTED[1], epochs=9)), mlp / "seed-0-4", age=0)
    (mlp / "seed-5").mkdir()  # an interrupted run
    found = find_results(tmp_path, dict.fromkeys(("cifar10-convnet", "cifar10-mlp"), WANTED))
    assert list(found) == ["cifar10-mlp"]
    accuracies = {result.seed: result.test_accuracy for result in found["cifar10-mlp"]}
    assert list(accuracies.items()) == [(0, 10), (2, 50), (10, 30)]


def test_nothing_is_found_where_nothing_was_saved(tmp_path: Path) -> None:
    assert find_results(tmp_path / "nowhere", {"cifar10-mlp": WANTED}) == {}


def test_a_new_folder_never_takes_a_used_name(tmp_path: Path) -> None:
    wanted = tmp_path / "a" / "seed-0"
    assert [new_folder(wanted).name for _ in range(3)] == ["seed-0", "seed-0-2", "seed-0-3"]
    (tmp_path / "a" / "file").write_text("")
    assert new_folder(tmp_path / "a" / "file").name == "file-2"


def test_a_folder_behind_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="Can't make the folder .*--out"):
        new_folder(tmp_path / "link" / "seed-0")


def test_the_environment_tells_versions_and_device() -> None:
    environment = describe_environment(torch.device("cpu"))
    assert environment["torch"] == torch.__version__  # with "+cpu" or "+cu..."
    assert environment["threads"] == torch.get_num_threads()
    assert {"cifar-lab", "torchvision", "numpy", "python", "device_name"} <= set(environment)
    json.dumps(environment)  # it is saved


PROCESS_STATUS = Path("/proc/self/status")


@pytest.mark.skipif(not PROCESS_STATUS.exists(), reason="only Linux's kernel tells the peak here")
def test_peak_memory_is_the_kernel_s_figure() -> None:
    found = peak_memory_mib(torch.device("cpu"))
    (line,) = (line for line in PROCESS_STATUS.read_text().splitlines() if "VmHWM" in line)
    assert found == pytest.approx(int(line.split()[1]) / 1024, rel=0.02)


def test_numbers_that_json_has_not_are_saved_as_plain_ones(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    result = make_result(np.float32(61.5), seed=np.int64(3), seconds=torch.tensor(2.5))
    result.save(tmp_path / "result.json")
    loaded = load_result(tmp_path)
    assert (loaded.test_accuracy, loaded.seed, loaded.seconds) == (61.5, 3, 2.5)
    content = (tmp_path / "result.json").read_bytes()
    (tmp_path / "result.json").write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert fields_of(load_result(tmp_path)) == fields_of(loaded)


def test_results_are_found_in_the_home_folder(
    make_result: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = new_folder(Path("~/runs/cifar10-mlp/seed-0"))
    assert folder == tmp_path / "runs" / "cifar10-mlp" / "seed-0"
    make_result().save("~/runs/cifar10-mlp/seed-0/result.json")
    assert load_result("~/runs/cifar10-mlp/seed-0").folder == folder
    assert list(find_results("~/runs", {"cifar10-mlp": WANTED})) == ["cifar10-mlp"]
    assert run_folders(Path("~/runs/cifar10-mlp/seed-0")) == [folder]
