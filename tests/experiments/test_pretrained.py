from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.cli.main import main
from cifar_lab.data.datasets import load
from cifar_lab.evaluation import test_accuracy as accuracy_on
from cifar_lab.experiments import pretrained
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.pretrained import load_pretrained, pretrained_names
from cifar_lab.experiments.published import load_published, load_published_run
from cifar_lab.models import build_model
from cifar_lab.training.checkpoint import save_weights


@pytest.mark.parametrize("name", pretrained_names())
def test_packaged_weights_fit_their_network(name: str) -> None:
    assert not load_pretrained(name).training
    assert (pretrained.WEIGHTS_FOLDER / f"{name}.pt").stat().st_size < 4e6


def test_an_experiment_without_weights_says_which_have_some() -> None:
    with pytest.raises(ValueError, match=r"only of .*Train it: cifar-lab run cifar10-mlp"):
        load_pretrained("cifar10-mlp")
    with pytest.raises(ValueError, match="Did you mean"):
        load_pretrained("cifar10-mlq")


def test_they_are_the_weights_that_are_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model("mlp")
    save_weights(model, tmp_path / "cifar10-mlp.pt")
    monkeypatch.setattr(pretrained, "WEIGHTS_FOLDER", tmp_path)
    loaded = load_pretrained("cifar10-mlp").state_dict()
    assert all((value == loaded[name]).all() for name, value in model.state_dict().items())


@pytest.mark.real_data
@pytest.mark.parametrize("name", pretrained_names())
def test_packaged_weights_are_as_accurate_as_their_experiment_s_runs(
    name: str, real_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {one.experiment: list(one.test_accuracies.values()) for one in load_published()}
    # Of the long experiment, what comes with the package is a shorter run.
    expected = found.get(name) or [load_published_run(name).test_accuracy]
    data = load(EXPERIMENTS[name].dataset, real_root)
    accuracy = accuracy_on(load_pretrained(name), data.test)
    assert min(abs(accuracy - one) for one in expected) < 0.1
    assert main(["evaluate", name, "--data", str(real_root)]) == 0
    assert f"test accuracy {accuracy:.2f} %" in capsys.readouterr().out
