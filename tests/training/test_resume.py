"""Checkpoints: a run that was interrupted is resumed and ends as if it never had been."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cifar_lab.data.augment import CutMix, RandomCrop, RandomHorizontalFlip
from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import ImageSet, Role, split
from cifar_lab.evaluation import test_accuracy
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.models.counting import architecture_digest
from cifar_lab.models.whitened import Stage, WhitenedResNet
from cifar_lab.training.checkpoint import is_of
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at

# Everything at once that has a state of its own.
RECIPE = Recipe(
    epochs=4,
    batch_size=16,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1,
    gradient_clip=1.0,
    ema_decay=0.9,
    keep_best=True,
    precision="fp32",
)


def small_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout2d(0.2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def digest(model: nn.Module) -> str:
    return hashlib.sha256(
        b"".join(value.contiguous().numpy().tobytes() for value in model.state_dict().values())
    ).hexdigest()


def train_on(images: ImageSet, recipe: Recipe = RECIPE, **options: Any) -> tuple[nn.Module, list]:
    model = options.pop("model", None) or small_model()
    options = {"validation": images, "device": "cpu", "progress": False, **options}
    return model, fit(model, images, recipe, **options)


class StopError(Exception):
    """What interrupts a run here."""


def stop_after(epoch: int) -> Any:
    def stop(record: Any) -> None:
        if record.epoch == epoch:
            raise StopError

    return stop


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize(
    "recipe", [RECIPE, Recipe(4, 16, "sgd", 0.05, momentum=0.9, nesterov=True, precision="fp32")]
)
def test_a_resumed_run_ends_with_the_same_weights_and_history(
    train: ImageSet, tmp_path: Path, epoch: int, recipe: Recipe
) -> None:
    whole, history = train_on(train, recipe)
    path = tmp_path / "run.pt"
    with pytest.raises(StopError):
        train_on(train, recipe, checkpoint=path, on_epoch=stop_after(epoch))
    # Another initialisation: all that counts comes from the checkpoint.
    resumed, later = train_on(train, recipe, checkpoint=path, resume=True, model=small_model(9))
    assert digest(resumed) == digest(whole)
    assert [replace(record, seconds=0) for record in later] == [
        replace(record, seconds=0) for record in history
    ]


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_muon_and_whitening_resume_to_the_bit(
    train: ImageSet, tmp_path: Path, ema_decay: float | None
) -> None:
    recipe = Recipe(
        epochs=3,
        batch_size=16,
        optimizer="muon",
        learning_rate=0.08,
        other_learning_rate=0.1,
        bias_learning_rate=10.0,
        momentum=0.85,
        schedule="one-cycle",
        ema_decay=ema_decay,
        augment=(RandomHorizontalFlip(),),
    )

    def network(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return WhitenedResNet([Stage(4, pooled_passes=1)])

    whole, history = train_on(train, recipe, model=network(0))
    path = tmp_path / "run.pt"
    with pytest.raises(StopError):
        train_on(train, recipe, model=network(0), checkpoint=path, on_epoch=stop_after(2))
    resumed, later = train_on(train, recipe, model=network(9), checkpoint=path, resume=True)
    assert digest(resumed) == digest(whole)
    assert [record.train_loss for record in later] == [record.train_loss for record in history]


TO_THE_END = Recipe(
    epochs=4,
    batch_size=16,
    optimizer="sgd",
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    schedule="cosine",
    warmup_epochs=1,
    label_smoothing=0.1,
    ema_decay=0.9,
    augment=(RandomCrop(2), RandomHorizontalFlip()),
    mix=CutMix(num_classes=10),
    channels_last=True,
    unmixed_epochs=2,
    reestimate_norms=True,
)


@pytest.mark.parametrize("keep_best", [False, True])
@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_a_run_resumes_to_the_bit_across_the_end_of_mixing_and_into_new_norms(
    train: ImageSet, tmp_path: Path, epoch: int, keep_best: bool
) -> None:
    """After epoch 1 both kinds are ahead, after 2 to 3 the mixing is over, after 4 all epochs."""
    recipe = replace(TO_THE_END, keep_best=keep_best)
    whole, history = train_on(train, recipe)
    path = tmp_path / "run.pt"
    with pytest.raises(StopError):
        train_on(train, recipe, checkpoint=path, on_epoch=stop_after(epoch))
    torch.rand(epoch)  # what was drawn before does not matter
    resumed, later = train_on(train, recipe, checkpoint=path, resume=True, model=small_model(9))
    assert digest(resumed) == digest(whole)
    assert [replace(record, seconds=0) for record in later] == [
        replace(record, seconds=0) for record in history
    ]
    again, _ = train_on(train, recipe, checkpoint=path, resume=True, model=small_model(8))
    assert digest(again) == digest(whole)


@pytest.mark.parametrize("fields", [{"unmixed_epochs": 0}, {"reestimate_norms": False}])
def test_a_checkpoint_with_another_end_is_refused(
    train: ImageSet, tmp_path: Path, fields: dict[str, Any]
) -> None:
    path = tmp_path / "run.pt"
    train_on(train, TO_THE_END, checkpoint=path)
    with pytest.raises(ValueError, match=f"{next(iter(fields))} is .* here, .* there"):
        train_on(train, replace(TO_THE_END, **fields), checkpoint=path, resume=True)


def test_a_checkpoint_of_before_a_setting_was_there_goes_on(
    train: ImageSet, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, augment=(RandomCrop(2),))
    whole, _ = train_on(train, recipe)
    path = tmp_path / "run.pt"
    with pytest.raises(StopError):
        train_on(train, recipe, checkpoint=path, on_epoch=stop_after(2))
    content = torch.load(path, weights_only=True)
    for setting in (
        "other_learning_rate",
        "bias_learning_rate",
        "unmixed_epochs",
        "reestimate_norms",
    ):
        del content["recipe"][setting]
    del content["run"]["labels"], content["run"]["validation"]
    del content["recipe"]["augment"][0]["padding_mode"]
    torch.save(content, path)
    assert is_of(path, recipe, "synthetic", architecture_digest(small_model()))
    resumed, _ = train_on(train, recipe, checkpoint=path, resume=True, model=small_model(9))
    assert digest(resumed) == digest(whole)


def test_a_finished_run_is_not_trained_again(train: ImageSet, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    model, history = train_on(train, checkpoint=path)
    again, same = train_on(train, checkpoint=path, resume=True, model=small_model(9))
    assert same == history
    assert digest(again) == digest(model)


STEADY = Recipe(2, 16, "sgd", 0.05, momentum=0.9, ema_decay=0.9, augment=(RandomCrop(2),))


@pytest.mark.parametrize("interrupted", [False, True])
def test_more_epochs_train_a_run_on_as_if_it_had_had_them_from_the_start(
    train: ImageSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupted: bool
) -> None:
    """At a constant learning rate the first epochs are the same, however many are planned."""
    path, long = tmp_path / "run.pt", replace(STEADY, epochs=5)
    whole, history = train_on(train, long)
    with suppress(StopError):
        stop = stop_after(1) if interrupted else None
        train_on(train, STEADY, checkpoint=path, on_epoch=stop)
    assert is_of(path, long, "synthetic", architecture_digest(small_model()))
    more, later = train_on(train, long, checkpoint=path, resume=True, model=small_model(9))
    assert digest(more) == digest(whole)
    assert [record.train_loss for record in later] == [record.train_loss for record in history]
    done = "1 epoch" if interrupted else "2 epochs"
    assert capsys.readouterr().out == (
        f"Training on: {path} holds {done} of a run of 2, which now gets 5.\n"
    )
    with pytest.raises(ValueError, match="epochs is 2 here, 5 there"):
        train_on(train, STEADY, checkpoint=path, resume=True)


def test_a_schedule_is_that_of_the_new_number_of_epochs(
    train: ImageSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = replace(RECIPE, epochs=2)
    train_on(train, short, checkpoint=tmp_path / "run.pt")
    _, history = train_on(train, RECIPE, checkpoint=tmp_path / "run.pt", resume=True)
    assert "the learning rate follows the schedule of 4 epochs" in capsys.readouterr().out
    last = learning_rate_at(RECIPE, 2 + 3 / 4)  # of the third epoch, with four batches
    assert history[2].learning_rate == pytest.approx(last)


def test_a_checkpoint_that_is_not_resumed_is_not_overwritten(
    train: ImageSet, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    train_on(train, replace(RECIPE, epochs=2), checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="resume=True"):
        train_on(train, replace(RECIPE, epochs=2), checkpoint=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": replace(RECIPE, learning_rate=1e-4)}, "learning_rate is 0.0001 here, 0.003"),
        ({"seed": 5}, "seed is 5 here, 0 there"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))}, "Resume with the same model"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    train: ImageSet, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "run.pt"
    train_on(train, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        train_on(train, checkpoint=path, resume=True, **options)
    assert path.read_bytes() == before


def test_a_checkpoint_of_a_later_version_is_named(train: ImageSet, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    train_on(train, checkpoint=path)
    content = torch.load(path, weights_only=True)
    content["recipe"]["temperature"] = 2.0
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"run\.pt is of another version .*'temperature'"):
        train_on(train, checkpoint=path, resume=True)


def test_other_labels_or_validation_images_are_another_run(train: ImageSet, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    train_on(train, checkpoint=path)
    with pytest.raises(ValueError, match="of another run: validation is '40 of"):
        train_on(train, checkpoint=path, resume=True, validation=train.subset(torch.arange(40)))
    noisy = replace(train, labels=train.labels.flip(0))
    with pytest.raises(ValueError, match="of another run: labels is '"):
        train_on(noisy, checkpoint=path, resume=True, validation=train)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign", "pickle"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_still_works(
    train: ImageSet, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "run.pt"
    whole, _ = train_on(train, checkpoint=path)
    content = path.read_bytes()
    marker = tmp_path / "code was run"
    if damage == "foreign":
        torch.save({"weights": torch.ones(3)}, path)
    else:
        path.write_bytes(
            {
                "truncated": content[: len(content) // 2],
                "empty": b"",
                "text": b"not a checkpoint",
                "pickle": pickle.dumps(Touch(str(marker)), protocol=2),
            }[damage]
        )
    with pytest.raises(ValueError, match=r"run\.pt is (damaged|no checkpoint)"):
        train_on(train, checkpoint=path, resume=True)
    assert not marker.exists()
    (tmp_path / "run.pt.previous").replace(path)
    resumed, _ = train_on(train, checkpoint=path, resume=True, model=small_model(9))
    assert digest(resumed) == digest(whole)


class Touch:
    """A pickle of this makes a file when it is loaded carelessly."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_weights(
    tmp_path: Path,
) -> None:
    """SIGKILL, wherever it strikes: while training, evaluating or writing the checkpoint."""

    kills = kill_again_and_again(tmp_path, "small", times=20, longest_life=0.12)
    assert kills >= 10, "the run is over too soon to be killed often"


@pytest.mark.real_data
@pytest.mark.timeout(1200)
def test_assignment_b_on_real_images_ends_with_the_same_weights_after_kills(
    real_root: Path, tmp_path: Path
) -> None:
    kills = kill_again_and_again(tmp_path, str(real_root), times=4, longest_life=4.0)
    assert kills >= 2, "the run is over too soon to be killed often"


def kill_again_and_again(folder: Path, kind: str, times: int, longest_life: float) -> int:
    """Run once whole; then kill the same run `times` times, resume it and compare the weights.

    Args:
        folder: for the checkpoints.
        kind: of run, see `run_in_child`.
        times: to kill it, and more until something was saved for the next to resume from.
        longest_life: seconds, to begin with; more where a life was too short to save anything.

    Returns:
        How often it was killed before it had finished.
    """

    def start(checkpoint: Path) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, str(checkpoint), kind]
        tests = str(Path(__file__).parents[1])  # for small.py
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]),
        }
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        return process

    def end(process: subprocess.Popen[str]) -> str:
        return process.communicate()[0].splitlines()[-1]

    expected = end(start(folder / "whole.pt"))
    draw = random.Random(0)
    path, kills, saved = folder / "killed.pt", 0, 0
    while kills < times or not saved:
        before = path.stat().st_mtime_ns if path.exists() else None
        process = start(path)
        time.sleep(draw.uniform(0, longest_life))
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            break  # it was faster and has finished
        assert process.stdout is not None
        process.stdout.close()
        kills += 1
        if path.exists() and path.stat().st_mtime_ns != before:
            saved += 1
        else:
            longest_life *= 1.5
    assert saved, "it finished before anything was resumed"
    assert end(start(path)) == expected
    return kills


def run_in_child(checkpoint: str, kind: str) -> None:
    """Train the small model on drawn images, or assignment B's on the CIFAR-100 files in `kind`."""
    from small import synthetic_set

    if kind == "small":
        train = validation = synthetic_set(Role.TRAIN, 64, seed=0)
        model, recipe = small_model(), replace(RECIPE, epochs=150)
    else:
        experiment = EXPERIMENTS["cifar100-smallcifarnet"]
        images = load("cifar100", kind).train.subset(torch.arange(2000))
        train, validation = split(images, experiment.validation_fraction, seed=42)
        torch.manual_seed(42)
        model, recipe = experiment.build_model(100), experiment.recipe.with_epochs(4)
    print("training", flush=True)
    fit(
        model,
        train,
        recipe,
        validation=validation,
        device="cpu",
        checkpoint=checkpoint,
        resume=True,
        progress=False,
    )
    print(digest(model))


# ---- what the recipe asks to be left in the model


def test_the_best_epoch_on_validation_is_kept(train: ImageSet) -> None:
    recipe = replace(RECIPE, epochs=6, learning_rate=0.03, ema_decay=None)
    model, history = train_on(train, recipe)
    accuracies = [record.validation_accuracy for record in history]
    assert test_accuracy(model, train) == max(accuracies)


def test_training_stops_when_patience_has_run_out(train: ImageSet) -> None:
    """A learning rate of almost nothing never gets better than its first epoch."""
    recipe = replace(RECIPE, epochs=20, learning_rate=1e-12, patience=3, ema_decay=None)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    _, history = train_on(train, recipe, model=model)
    assert len(history) == 4


def test_keeping_the_best_needs_validation_images(train: ImageSet) -> None:
    with pytest.raises(ValueError, match="validation is None. Give validation="):
        train_on(train, validation=None)


def test_the_average_is_what_a_loop_by_hand_gives(train: ImageSet) -> None:
    """EMA of weights and buffers: average = decay * average + (1 - decay) * weights, per step."""
    recipe = replace(RECIPE, epochs=1, warmup_epochs=0, keep_best=False)
    averaged, _ = train_on(train, recipe, validation=None)

    model = small_model()
    snapshots: list[dict[str, torch.Tensor]] = []

    class Recorder(torch.optim.AdamW):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            super().step(closure)
            snapshots.append({k: v.clone() for k, v in model.state_dict().items()})

    original = torch.optim.AdamW
    torch.optim.AdamW = Recorder
    try:
        fit(model, train, replace(recipe, ema_decay=None), device="cpu", progress=False)
    finally:
        torch.optim.AdamW = original
    taken = snapshots[-4:]
    average = taken[0]
    for weights in taken[1:]:
        average = {
            name: 0.9 * average[name] + 0.1 * value if value.is_floating_point() else value
            for name, value in weights.items()
        }
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, average[name])


def test_gradients_are_clipped_to_the_given_norm(train: ImageSet) -> None:
    """SGD without momentum moves the weights by learning rate times the clipped norm."""
    recipe = Recipe(1, 50, "sgd", 1.0, gradient_clip=1e-3, precision="fp32")
    model, before = small_model(), small_model()
    fit(model, train, recipe, device="cpu", progress=False)
    pairs = zip(model.parameters(), before.parameters(), strict=True)
    moved = torch.cat([(one - other).flatten() for one, other in pairs]).norm()
    assert moved.item() == pytest.approx(1e-3, rel=1e-3)


if __name__ == "__main__":
    run_in_child(*sys.argv[1:])
