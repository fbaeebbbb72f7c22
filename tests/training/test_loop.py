from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from cifar_lab.data.augment import CutMix, MixUp, RandomCrop, RandomErasing, RandomHorizontalFlip
from cifar_lab.data.batches import Batches, batches_on
from cifar_lab.data.image_set import ImageSet, to_unit_interval
from cifar_lab.evaluation import test_accuracy
from cifar_lab.training.checkpoint import load_weights, save_weights
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.training.optimizers import build_optimizer
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import TrainingDivergedError
from cifar_lab.utils.seeding import derive_seed, generator

CPU = torch.device("cpu")


def small_model(seed: int = 0, classes: int = 10) -> nn.Module:
    """A convolution, batch norm and dropout: all that a step could disturb."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * 8 * 8, classes),
    )


def quietly(model: nn.Module, train: Any, recipe: Recipe, **options: Any) -> list[EpochRecord]:
    return fit(model, train, recipe, device="cpu", progress=False, **options)


def assert_same_weights(model: nn.Module, other: nn.Module) -> None:
    others = other.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, others[name]), name


def changed(model: nn.Module, other: nn.Module) -> bool:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return any(not torch.equal(one, another) for one, another in pairs)


# ---- train_epoch


def test_an_epoch_equals_the_textbook_s_loop(train: ImageSet) -> None:
    model, textbook = small_model(), small_model()
    batches = Batches(train, 16, device="cpu")
    optimizer = torch.optim.Adam(model.parameters())
    torch.manual_seed(1)
    mean_loss = train_epoch(model, batches, optimizer, nn.CrossEntropyLoss())

    optimizer = torch.optim.Adam(textbook.parameters())
    losses = []
    torch.manual_seed(1)
    for images, labels in batches:
        loss = nn.functional.cross_entropy(textbook(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert_same_weights(model, textbook)
    assert mean_loss == sum(losses) / len(losses)


def test_an_epoch_trains_in_training_mode(train: ImageSet, recipe: Recipe) -> None:
    model = small_model().eval()
    train_epoch(
        model,
        Batches(train, 16, device="cpu"),
        build_optimizer(recipe, model),
        nn.CrossEntropyLoss(),
    )
    assert model.training
    assert model[1].num_batches_tracked == 4


def test_one_batch_can_be_learnt_by_heart(train: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 50), nn.ReLU(), nn.Linear(50, 10))
    batch = list(batches_on(Batches(train, 20, device="cpu"), CPU))[:1]
    assert test_accuracy(model, batch) < 60
    quietly(model, batch, Recipe(60, 20, "adam", 1e-3, precision="fp32"))
    assert test_accuracy(model, batch) == 100


# ---- fit


def test_fit_is_train_epoch_over_shuffled_epochs(train: ImageSet, recipe: Recipe) -> None:
    """So the progress display touches neither weights nor draws."""
    fitted, printed, by_hand = small_model(), small_model(), small_model()
    history = quietly(fitted, train, recipe, seed=7)
    fit(printed, train, recipe, seed=7, device="cpu", progress=True)

    optimizer = build_optimizer(recipe, by_hand)
    losses = []
    for epoch in range(recipe.epochs):
        batches = Batches(
            train, recipe.batch_size, shuffle=True, seed=7, channels_last=False, device="cpu"
        )
        batches.epoch = epoch
        torch.manual_seed(derive_seed(7, epoch, "dropout"))
        losses.append(train_epoch(by_hand, batches, optimizer, nn.CrossEntropyLoss()))
    assert_same_weights(fitted, by_hand)
    assert_same_weights(printed, by_hand)
    assert [record.train_loss for record in history] == losses


class SeesLayouts(nn.Module):
    """Notes whether images and weights come channels-last."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, kernel_size=3), nn.Flatten(), nn.Linear(4 * 30 * 30, 10)
        )
        self.seen: set[tuple[bool, bool]] = set()

    def forward(self, images: Tensor) -> Tensor:
        weight = next(self.parameters())
        turned = weight.is_contiguous(memory_format=torch.channels_last)
        self.seen.add((images.is_contiguous(), turned))
        return self.layers(images)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("augment", [(), (RandomCrop(padding=4),)])
def test_a_network_sees_plain_images_whatever_layout_its_convolutions_compute_in(
    train: ImageSet, recipe: Recipe, channels_last: bool, augment: tuple[RandomCrop, ...]
) -> None:
    model = SeesLayouts()
    quietly(model, train, replace(recipe, channels_last=channels_last, augment=augment))
    assert all(plain for plain, _ in model.seen)
    assert (True, channels_last) in model.seen
    assert all(weight.is_contiguous() for weight in model.parameters())


def test_a_network_without_convolutions_gets_images_as_it_flattens_them(
    train: ImageSet, recipe: Recipe
) -> None:
    seen = set()

    class Linear(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            seen.add(images.is_contiguous())
            return super().forward(images.flatten(1))

    quietly(Linear(3072, 10), train, replace(recipe, channels_last=True))
    assert seen == {True}


def test_channels_last_changes_rounding_alone(train: ImageSet, recipe: Recipe) -> None:
    losses = []
    for channels_last in (True, False):
        history = quietly(
            small_model(), train, replace(recipe, channels_last=channels_last), seed=3
        )
        losses.append([record.train_loss for record in history])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_seed_alone_decides_the_weights(train: ImageSet, recipe: Recipe) -> None:
    models = [small_model() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        torch.rand(seed + 3)  # what was drawn before does not matter
        quietly(model, train, recipe, seed=seed)
    assert_same_weights(models[0], models[1])
    assert changed(models[0], models[2])


def test_watching_accuracies_changes_no_weights(
    train: ImageSet, test: ImageSet, recipe: Recipe
) -> None:
    alone, watched = small_model(), small_model()
    quietly(alone, train, recipe)
    quietly(watched, train, recipe, test=test, validation=train)
    assert_same_weights(alone, watched)


def test_the_history_has_each_epoch_s_accuracies(
    train: ImageSet, test: ImageSet, recipe: Recipe
) -> None:
    model = small_model()
    measured = []

    def measure(record: EpochRecord) -> None:
        measured.append((test_accuracy(model, train), test_accuracy(model, test)))

    history = quietly(model, train, recipe, validation=train, test=test, on_epoch=measure)
    assert [(r.validation_accuracy, r.test_accuracy) for r in history] == measured
    assert [record.epoch for record in history] == [1, 2]
    assert all(record.seconds > 0 for record in history)
    (record,) = quietly(model, train, replace(recipe, epochs=1))
    assert record.validation_accuracy is record.test_accuracy is None


def test_fit_takes_a_dataloader_of_ones_own(train: ImageSet, recipe: Recipe) -> None:
    from_dataloader, from_list = small_model(), small_model()
    # A generator of its own, since the global one that it would draw from is the dropout's.
    loader = DataLoader(train, recipe.batch_size, generator=torch.Generator())
    losses = [record.train_loss for record in quietly(from_dataloader, loader, recipe)]
    assert [record.train_loss for record in quietly(from_list, list(loader), recipe)] == losses
    assert_same_weights(from_dataloader, from_list)
    assert changed(from_dataloader, small_model())


def test_a_shuffling_dataloader_is_reproducible(train: ImageSet, recipe: Recipe) -> None:
    models = [small_model(), small_model()]
    for model in models:
        quietly(model, DataLoader(train, recipe.batch_size, shuffle=True), recipe, seed=3)
    assert_same_weights(*models)


def test_bf16_stays_close_to_fp32(train: ImageSet, recipe: Recipe) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        model = small_model()
        history = quietly(model, train, replace(recipe, precision=precision))
        losses[precision] = torch.tensor([record.train_loss for record in history])
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    torch.testing.assert_close(losses["bf16"], losses["fp32"], rtol=0.02, atol=0)
    assert not torch.equal(losses["bf16"], losses["fp32"])


def test_label_smoothing_spreads_its_share_over_all_classes(
    train: ImageSet, recipe: Recipe
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    ((images, labels),) = Batches(train, 50, device="cpu")
    log_chances = model(images).detach().log_softmax(dim=1)
    of_labels = log_chances[torch.arange(50), labels]
    expected = -(0.8 * of_labels + 0.2 * log_chances.mean(dim=1)).mean().item()
    smoothed = replace(recipe, epochs=1, batch_size=50, label_smoothing=0.2)
    (record,) = quietly(model, train, smoothed)
    assert record.train_loss == pytest.approx(expected, rel=1e-5)


def test_an_estimate_comes_first_and_then_one_line_per_epoch(
    train: ImageSet, test: ImageSet, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    history = fit(small_model(), train, recipe, test=test, device="cpu")
    begin, estimate, first, last = capsys.readouterr().out.splitlines()
    assert begin == "Training 2 epochs of 4 batches on cpu in fp32."
    assert re.fullmatch(r"About \d+ \w+, from the first batches\.", estimate)
    assert re.fullmatch(f"{re.escape(str(history[0]))}   about \\d+ \\w+ left", first)
    assert last == str(history[1])
    accuracy = history[0].test_accuracy
    assert first.startswith(f"epoch   1   train loss {history[0].train_loss:.4f}   test")
    assert f"test accuracy {accuracy:.2f} %" in first


def test_without_progress_nothing_is_printed(
    train: ImageSet, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    quietly(small_model(), train, recipe)
    assert capsys.readouterr() == ("", "")


# ---- what goes wrong


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_diverges_stops_the_run_and_keeps_what_was_saved(
    train: ImageSet, recipe: Recipe, tmp_path: Path, value: float
) -> None:
    batches = list(Batches(train, 10, device="cpu"))
    model = small_model()
    after_epoch_1 = []

    def save_then_poison(record: EpochRecord) -> None:
        save_weights(model, tmp_path / "weights.pt")
        after_epoch_1.append(copy.deepcopy(model))
        batches[2][0].fill_(value)

    with pytest.raises(TrainingDivergedError, match="In epoch 2 the loss became .* at step 3"):
        quietly(model, batches, recipe, on_epoch=save_then_poison)
    saved = small_model()
    load_weights(saved, tmp_path / "weights.pt")
    assert_same_weights(saved, after_epoch_1[0])


def test_a_loss_that_is_nan_at_once_is_placed_too(recipe: Recipe) -> None:
    """The trials before the first epoch do not get in the way."""
    images = torch.full((4, 3, 32, 32), float("nan"))
    with pytest.raises(TrainingDivergedError, match="In epoch 1 the loss became nan at step 1"):
        quietly(small_model(), batch_of(images=images), recipe)


@pytest.mark.parametrize("step", [1, 50, 51, 120])
def test_the_step_of_a_diverging_loss_is_exact(step: int) -> None:
    """Losses are looked at every so many steps; the message names the step all the same."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    batches = [(torch.rand(1, 3, 2, 2), torch.tensor([0])) for _ in range(120)]
    batches[step - 1][0].fill_(float("nan"))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with pytest.raises(TrainingDivergedError, match=f"became nan at step {step}\\."):
        train_epoch(model, batches, optimizer, nn.CrossEntropyLoss())


AS_LOADERS: dict[str, Callable[[ImageSet], Any]] = {
    "the image set": lambda images: images,
    "Batches": lambda images: Batches(images, 8, device="cpu"),
    "a DataLoader": lambda images: DataLoader(images, 8),
    "a DataLoader of a Subset": lambda images: DataLoader(Subset(images, range(9)), 8),
}


@pytest.mark.parametrize("as_loader", AS_LOADERS.values(), ids=AS_LOADERS.keys())
@pytest.mark.parametrize("purpose", ["training", "validation"])
def test_test_images_are_refused_for_all_but_watching(
    train: ImageSet, test: ImageSet, recipe: Recipe, as_loader: Callable[..., Any], purpose: str
) -> None:
    model = small_model()
    images = {"train": train, "validation": train}
    images["train" if purpose == "training" else "validation"] = as_loader(test)
    with pytest.raises(ValueError, match=f"test images.*not for {purpose}"):
        quietly(model, images["train"], recipe, validation=images["validation"])
    assert not changed(model, small_model())


def batch_of(count: int = 4, **changes: Tensor) -> list[tuple[Tensor, Tensor]]:
    batch = {"images": torch.rand(count, 3, 32, 32), "labels": torch.arange(count)} | changes
    return [(batch["images"], batch["labels"])]


@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        (iter(batch_of()), TypeError, "expected an ImageSet, or a loader that can be read again"),
        ((batch for batch in batch_of()), TypeError, "This is a generator"),
        ([], ValueError, "The loader gave no batches"),
        (batch_of(images=torch.zeros(4, 3, 32, 32).byte()), TypeError, "images are torch.uint8"),
        (batch_of(images=torch.rand(4, 3 * 32 * 32)), ValueError, r"shape \(4, 3072\)"),
        (batch_of(labels=torch.tensor([0, 1, 2, 10])), ValueError, "run from 0 to 10, but"),
        (batch_of(labels=torch.tensor([-1, 1, 2, 3])), ValueError, "run from -1 to 3, but"),
        (batch_of(labels=torch.rand(4)), TypeError, "expected an int64 tensor"),
    ],
)
def test_batches_that_can_not_be_trained_on_are_refused_before_training(
    recipe: Recipe, loader: Any, error: type[Exception], message: str
) -> None:
    model = small_model()
    with pytest.raises(error, match=message):
        quietly(model, loader, recipe)
    assert not changed(model, small_model())


@pytest.mark.parametrize("classes", [9, 11, 100])
def test_outputs_that_do_not_match_the_classes_are_refused(
    train: ImageSet, recipe: Recipe, classes: int
) -> None:
    with pytest.raises(ValueError, match=f"gives {classes} outputs .* 10 classes"):
        quietly(small_model(classes=classes), train, recipe)


def test_a_seed_or_device_that_can_not_be_used_is_refused(train: ImageSet, recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="seed is -1"):
        quietly(small_model(), train, recipe, seed=-1)
    with pytest.raises(ValueError, match="Device 'gpu' can't be used"):
        fit(small_model(), train, recipe, device="gpu")


def test_images_of_another_size_than_the_model_s_are_named(recipe: Recipe) -> None:
    small = [(torch.rand(4, 3, 16, 16), torch.zeros(4, dtype=torch.int64))]
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    with pytest.raises(ValueError, match=r"Sequential can't take images of shape \(4, 3, 16, 16\)"):
        quietly(model, small, recipe)


def test_the_recipe_s_augmentation_reaches_the_training_images_alone(
    train: ImageSet, test: ImageSet, recipe: Recipe
) -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))

        def forward(self, images: Tensor) -> Tensor:
            seen[self.training].append(images)
            return self.layers(images)

    black = RandomErasing(p=1.0, scale=(0.3, 0.3), value=0.0)
    augmented = replace(recipe, epochs=1, augment=(black, RandomHorizontalFlip()))
    quietly(Watching(), train, augmented, test=test)
    training, evaluation = (torch.cat(seen[mode][-last:]) for mode, last in ((True, 4), (False, 1)))

    def black_share(images: Tensor) -> float:
        return (images == 0).all(dim=1).double().mean().item()

    assert black_share(training) == pytest.approx(0.3, abs=0.03)
    assert black_share(evaluation) < 0.01


@pytest.mark.parametrize("mix", [CutMix(num_classes=10), MixUp(num_classes=10)])
def test_mixed_images_train_on_soft_labels(
    train: ImageSet, recipe: Recipe, mix: CutMix | MixUp
) -> None:
    """One step of SGD by hand on the batch that the run's own generator mixes.

    The recipe doesn't say how many classes the images have; the run knows.
    """
    unnumbered = replace(mix, num_classes=None)
    one_step = replace(recipe, epochs=1, batch_size=50, optimizer="sgd", mix=unnumbered)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    by_hand = copy.deepcopy(model)
    quietly(model, train, one_step, seed=3)
    order = torch.randperm(50, generator=generator(3, 0, "order"))
    images, labels = mix(
        to_unit_interval(train.images[order]),
        train.labels[order],
        generator(3, 0, "transform"),
    )
    assert labels.shape == (50, 10)
    loss = -(labels * by_hand(images).log_softmax(dim=1)).sum(dim=1).mean()
    loss.backward()
    expected = by_hand[1].weight - recipe.learning_rate * by_hand[1].weight.grad
    torch.testing.assert_close(model[1].weight, expected)


def test_the_last_epochs_train_on_whole_labels(
    train: ImageSet, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    class Watching(nn.CrossEntropyLoss):
        def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
            seen.append(labels.is_floating_point())
            return super().forward(logits, labels)

    monkeypatch.setattr(nn, "CrossEntropyLoss", Watching)
    mixed = replace(recipe, epochs=5, batch_size=25, mix=CutMix(num_classes=10), unmixed_epochs=2)
    quietly(small_model(), train, mixed)
    assert seen[-10:] == [True] * 2 * 3 + [False] * 2 * 2  # the last are those of training


def test_augmentation_of_a_loader_s_batches_is_refused_not_ignored(
    train: ImageSet, recipe: Recipe
) -> None:
    augmented = replace(recipe, augment=(RandomHorizontalFlip(),))
    with pytest.raises(ValueError, match="augment and mix need an ImageSet"):
        quietly(small_model(), DataLoader(train, 8), augmented)


@pytest.mark.parametrize("role", ["validation", "test"])
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda batch: (each for each in [batch]), TypeError, "can be read again every epoch"),
        (lambda batch: [(*batch, "third")], TypeError, "expected a pair"),
        (lambda batch: [], ValueError, "gave no batches"),
        (lambda batch: [(batch[0], torch.rand(50, 10))], ValueError, "one class number per image"),
    ],
)
def test_what_is_evaluated_on_is_looked_at_before_training(
    train: ImageSet,
    recipe: Recipe,
    role: str,
    make: Callable[[tuple[Tensor, Tensor]], Any],
    error: type[Exception],
    message: str,
) -> None:
    model = small_model()
    before = copy.deepcopy(model)
    loader = make((to_unit_interval(train.images), train.labels))
    with pytest.raises(error, match=message):
        quietly(model, train, recipe, **{role: loader})
    assert_same_weights(model, before)
