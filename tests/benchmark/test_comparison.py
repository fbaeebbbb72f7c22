from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torchvision import transforms

from cifar_lab import build_model
from cifar_lab.benchmark import profile
from cifar_lab.benchmark.baseline import Baseline, PILImages, baseline_loader, follow
from cifar_lab.benchmark.comparison import Comparison, compare
from cifar_lab.benchmark.profile import PARTS, Stopwatch
from cifar_lab.benchmark.report import save, speed_table, text, time_table
from cifar_lab.benchmark.student import STUDENT, StudentNet
from cifar_lab.benchmark.worker import WAYS, Measurement
from cifar_lab.cli.main import main
from cifar_lab.data.augment import MixUp, TrivialAugment
from cifar_lab.data.cifar import CIFAR100_MEAN
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.loop import fit


@pytest.fixture
def images() -> ImageSet:
    torch.manual_seed(0)
    pixels = torch.randint(256, (96, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(96) % 10
    return ImageSet(pixels, labels, Role.TRAIN, tuple(map(str, range(10))))


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_train_the_experiment_s_own_network(
    way: str, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[nn.Module] = []
    monkeypatch.setattr(StudentNet, "forward", remembering(StudentNet.forward, built))
    recipe = replace(STUDENT.recipe, epochs=1, precision="fp32")
    WAYS[way](STUDENT, recipe, torch.device("cpu")).train(images, images, lambda record: None)
    assert {type(model) for model in built} == {StudentNet}


@pytest.mark.parametrize("way", WAYS)
def test_a_profile_has_time_in_forward_and_backward(
    way: str, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This process's own time, so that other programs change nothing.
    monkeypatch.setattr(profile, "time", SimpleNamespace(perf_counter=time.process_time))
    recipe = replace(STUDENT.recipe, epochs=1, precision="fp32", batch_size=32)
    shares, _ = WAYS[way](STUDENT, recipe, torch.device("cpu")).profile(images)
    assert shares["forward"] > 0.05 and shares["backward"] > 0.05
    assert sum(shares.values()) == pytest.approx(1)


def remembering(forward: Callable[..., Tensor], models: list[nn.Module]) -> Callable[..., Tensor]:
    def remember(model: nn.Module, images: Tensor) -> Tensor:
        models.append(model)
        return forward(model, images)

    return remember


def test_baseline_images_are_those_of_the_library(images: ImageSet) -> None:
    item, label = PILImages(images, transforms.ToTensor())[5]
    torch.testing.assert_close(item, images[5][0])
    assert label == images[5][1]


def test_baseline_batches_are_augmented(images: ImageSet) -> None:
    experiment = EXPERIMENTS["cifar100-smallcifarnet"]
    batch, labels = next(iter(baseline_loader(images, experiment, torch.device("cpu"))))
    assert batch.shape == (96, 3, 32, 32)
    erased = torch.tensor(CIFAR100_MEAN).view(3, 1, 1)
    assert ((batch - erased).abs().amax(dim=1) < 1e-6).sum(dim=(1, 2)).max() > 10
    assert sorted(labels.tolist()) == sorted(images.labels.tolist())


def test_both_ways_learn_alike(images: ImageSet) -> None:
    experiment = EXPERIMENTS["cifar10-mlp"]
    recipe = replace(experiment.recipe, epochs=3, precision="fp32")
    records: list[EpochRecord] = []
    Baseline(experiment, recipe, torch.device("cpu")).train(images, images, records.append)
    torch.manual_seed(0)
    history = fit(build_model("mlp"), images, recipe, device="cpu", progress=False)
    for baseline, library in zip(records, history, strict=True):
        assert baseline.train_loss == pytest.approx(library.train_loss, abs=0.05)


def test_the_baseline_s_average_is_an_exponential_one() -> None:
    model, average = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1)
    average.weight.data.fill_(0)
    for _ in range(3):
        follow(average, model, decay=0.9)
    assert average.weight.item() == pytest.approx(1 - 0.9**3)


def test_what_the_baseline_does_not_have_is_refused(images: ImageSet) -> None:
    experiment, cpu = EXPERIMENTS["cifar10-mlp"], torch.device("cpu")
    recipe = replace(experiment.recipe, augment=(TrivialAugment(),))
    with pytest.raises(ValueError, match="no TrivialAugment"):
        baseline_loader(images, replace(experiment, recipe=recipe), cpu)
    for changes in (
        {"mix": MixUp(10)},
        {"schedule": "cosine", "schedule_per": "step"},
        {"other_learning_rate": 0.1},
        {"bias_learning_rate": 0.1},
    ):
        with pytest.raises(ValueError, match="can't compare"):
            Baseline(experiment, replace(experiment.recipe, **changes), cpu)


class Clock:
    """A clock that goes on only when told, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Slow(nn.Module):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.clock = clock

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.clock.sleep(30)
        return images * self.weight


def test_a_stopwatch_tells_where_the_time_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(profile, "time", clock)
    model = Slow(clock)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch = Stopwatch(model, optimizer)
    optimizer.register_step_pre_hook(lambda *_: clock.sleep(4))

    def loader() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(3):
            clock.sleep(10)
            yield torch.ones(1), torch.ones(1)
        clock.sleep(100)

    for inputs, _ in watch.batches(loader()):
        loss = model(inputs).sum()
        clock.sleep(20)
        loss.backward()
        optimizer.step()
        clock.sleep(5)
    assert tuple(watch.seconds) == PARTS
    # Waiting for the first batch, and for the end of the last, is no part of a step.
    parts = {"data": 2 * 10, "forward": 3 * 30, "backward": 3 * 20, "optimizer": 3 * 4}
    assert watch.seconds == {**parts, "rest": 3 * 5}
    assert watch.shares()["forward"] == pytest.approx(90 / 197)
    assert sum(watch.shares().values()) == pytest.approx(1)


def made_up(way: str, *seconds: float, accuracy: float = 50.0) -> Measurement:
    records = [EpochRecord(n, 1.0, accuracy, None, s) for n, s in enumerate(seconds, 1)]
    shares = dict.fromkeys(PARTS, 0.2)
    environment = {"device_name": "a CPU", "threads": 2, "torch": "2"}
    return Measurement(way, records, 1000, "test", "fp32", shares, 2e6, 4e9, 1536, environment)


COMPARISONS = [
    Comparison("a", "A", "cifar10", made_up("baseline", 8, 10, 12), made_up("library", 2, 2, 1)),
    Comparison("b", "B", "cifar10", made_up("baseline", 9), made_up("library", 9, accuracy=51)),
]


def test_the_table_has_medians_and_their_spread() -> None:
    assert COMPARISONS[0].ratios == [4, 5, 12]
    first, second, mean = speed_table(COMPARISONS).splitlines()[2:]
    assert first == (
        "| A, fp32 | 100 (83-125) | 500 (500-1,000) | 5.00 (4.00-12.00) | 50.00 / 50.00 | 25 % "
        "| 1.50 / 1.50 |"
    )
    assert second.startswith("| B, fp32 | 111 | 111 | 1.00 | 50.00 / 51.00 | ")
    assert f" {geometric_mean([5, 1]):.2f} " in mean
    assert time_table(COMPARISONS).count("| 20 | 20 | 20 | 20 | 20 |") == 4
    assert "1,000 images of cifar10" in text(COMPARISONS)


def test_a_benchmark_is_saved_beside_earlier_ones(tmp_path: Path) -> None:
    folders = {save(COMPARISONS, tmp_path) for _ in range(2)}
    assert len(folders) == 2
    for folder in folders:
        assert json.loads((folder / "bench.json").read_text())[0]["ratios"] == [4, 5, 12]
        assert (folder / "bench.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_command_measures_both_ways_in_turn_in_each_precision(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", "cifar10-mlp", "--dataset", "synthetic", "--images", "640"]
    arguments += ["--precision", "fp32", "bf16"]
    assert main([*arguments, "--pairs", "2", "--device", "cpu", "--out", str(tmp_path)]) == 0
    out, err = capfd.readouterr()
    turns = [line.split()[1] for line in err.splitlines() if line.startswith("cifar10-mlp")]
    assert turns == ["baseline", "library", "baseline", "library"] * 2
    assert "| SimpleMLP, fp32 |" in out and "| SimpleMLP, bf16 |" in out
    content, in_bf16 = json.loads((tmp_path / "bench" / "bench.json").read_text())
    for way in ("baseline", "library"):
        assert len(content[way]["epochs"]) == 2
        assert content[way]["images"] == 640
        assert content[way]["matrix_flops_per_second"] > 1e9
        assert sum(content[way]["shares"].values()) == pytest.approx(1)
    assert [in_bf16[way]["precision"] for way in ("baseline", "library")] == ["fp32", "bf16"]


@pytest.mark.slow
def test_both_ways_run_the_longest_recipe(tmp_path: Path) -> None:
    arguments = ["bench", "cifar100-smallcifarnet", "--dataset", "synthetic", "--images", "256"]
    assert main([*arguments, "--pairs", "2", "--device", "cpu", "--out", str(tmp_path)]) == 0
    (content,) = json.loads((tmp_path / "bench" / "bench.json").read_text())
    losses = [[epoch["train_loss"] for epoch in content[way]["epochs"]] for way in WAYS]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert content["baseline"]["watched"] == "validation"
    flops = [content[way]["flops_per_image"] for way in WAYS]
    assert flops[0] == pytest.approx(flops[1], rel=0.02)


def test_what_can_not_be_measured_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="pairs is 0"):
        next(compare(["cifar10-mlp"], pairs=0))
    with pytest.raises(ValueError, match="at least a batch, 64"):
        next(compare(["cifar10-mlp"], images=10))
    arguments = ["bench", "cifar10-mlp", "--dataset", "synthetic", "--device", "no"]
    assert main(arguments) == 1
    assert "its own message, if any, is above" in capfd.readouterr().err
