from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import transforms
from torchvision.transforms import v2

from cifar_lab.data.augment import CutMix, RandomCrop, RandomErasing
from cifar_lab.training.loop import train_epoch
from cifar_lab.training.optimizers import (
    build_optimizer,
    clear_tiny_averages,
    keep_averages_normal,
)
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import TrainingState

SGD = Recipe(epochs=1, batch_size=8, optimizer="sgd", learning_rate=0.1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", -3),
        ("epochs", 1.5),
        ("epochs", True),
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", "64"),
        ("optimizer", "adamm"),
        ("learning_rate", 0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
        ("weight_decay", float("nan")),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("precision", "fp8"),
        ("channels_last", "yes"),
        ("channels_last", 1),
        ("unmixed_epochs", -1),
        ("unmixed_epochs", 0.5),
        ("unmixed_epochs", True),
        ("reestimate_norms", "yes"),
        ("reestimate_norms", 1),
    ],
)
def test_a_value_that_can_not_be_trained_with_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field) as error:
        replace(SGD, **{field: value})
    assert repr(value) in str(error.value)


def test_an_unknown_optimizer_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'adam"):
        replace(SGD, optimizer="adan")


@pytest.mark.parametrize("fields", [{"momentum": 0.9}, {"nesterov": True}])
def test_adam_has_no_momentum_setting(fields: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match="expected momentum with 'sgd' or 'muon' only, nesterov with"
    ):
        replace(SGD, optimizer="adam", **fields)


def test_nesterov_needs_a_momentum() -> None:
    with pytest.raises(ValueError, match="momentum is 0; expected more with nesterov"):
        replace(SGD, nesterov=True)


def test_a_recipe_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        SGD.epochs = 5  # type: ignore[misc]


DECAY, RATE, MOMENTUM, EPSILON = 0.02, 0.1, 0.9, 1e-8


def sgd_step(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Nesterov's first step: the velocity is the gradient, and the step looks ahead along it."""
    gradient = gradient + DECAY * weight
    return weight - RATE * (gradient + MOMENTUM * gradient)


def adam_step(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Adam's first step: bias correction leaves the gradient over its own size."""
    gradient = gradient + DECAY * weight
    return weight - RATE * gradient / (gradient.abs() + EPSILON)


def adamw_step(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return (1 - RATE * DECAY) * weight - RATE * gradient / (gradient.abs() + EPSILON)


@pytest.mark.parametrize(
    ("fields", "formula"),
    [
        ({"momentum": MOMENTUM, "nesterov": True}, sgd_step),
        ({"optimizer": "adam"}, adam_step),
        ({"optimizer": "adamw"}, adamw_step),
    ],
)
def test_a_first_step_follows_the_optimizer_s_formula(fields: dict[str, Any], formula: Any) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    recipe = replace(SGD, learning_rate=RATE, weight_decay=DECAY, **fields)
    optimizer = build_optimizer(recipe, model)
    model(torch.randn(5, 4)).square().sum().backward()
    expected = [formula(p.detach().clone(), p.grad.clone()) for p in model.parameters()]
    optimizer.step()
    torch.testing.assert_close([p.detach() for p in model.parameters()], expected)


def test_frozen_parameters_are_left_to_themselves() -> None:
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    (group,) = build_optimizer(SGD, model).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model[1].parameters()]


class Separable(nn.Sequential):
    """A convolution, a depthwise one, a norm and a linear layer."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 3),
            nn.Conv2d(4, 4, 3, groups=4, bias=False),
            nn.BatchNorm2d(4),
            nn.Flatten(),
            nn.Linear(4 * 4, 2),
        )


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
def test_the_other_learning_rate_is_for_all_but_convolutions(optimizer: str) -> None:
    model = Separable()
    recipe = replace(SGD, optimizer=optimizer, learning_rate=0.2, other_learning_rate=0.05)
    convolutions, others = build_optimizer(recipe, model).param_groups
    assert [id(p) for p in convolutions["params"]] == [id(model[0].weight), id(model[1].weight)]
    assert len(others["params"]) == 1 + 2 + 2
    assert (convolutions["lr"], others["lr"]) == (0.2, 0.05)
    assert convolutions.get("orthogonal", False) is (optimizer == "muon")


@pytest.mark.parametrize("other", [None, 0.05])
def test_the_bias_learning_rate_is_for_biases_alone(other: float | None) -> None:
    model = Separable()
    recipe = replace(SGD, learning_rate=0.2, other_learning_rate=other, bias_learning_rate=3.0)
    groups = build_optimizer(recipe, model).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    convolutions = [id(model[0].weight), id(model[1].weight)]
    for name, parameter in model.named_parameters():
        expected = 0.2 if id(parameter) in convolutions else other or 0.2
        assert rates[id(parameter)] == (3.0 if name.endswith(".bias") else expected), name
    state = TrainingState(model, recipe, "fp32")
    state.set_learning_rate(0.1)
    assert [group["lr"] for group in state.optimizer.param_groups][-1] == 1.5


def test_a_schedule_changes_both_learning_rates_alike() -> None:
    recipe = replace(SGD, learning_rate=0.2, other_learning_rate=0.05)
    state = TrainingState(Separable(), recipe, "fp32")
    state.set_learning_rate(0.1)
    assert [group["lr"] for group in state.optimizer.param_groups] == [0.1, 0.025]
    plain = TrainingState(Separable(), replace(SGD, learning_rate=0.2), "fp32")
    plain.set_learning_rate(0.1)
    assert [group["lr"] for group in plain.optimizer.param_groups] == [0.1]


def test_a_model_with_nothing_to_train_is_refused() -> None:
    with pytest.raises(
        ValueError, match="no parameter that requires a gradient; expected at least one"
    ):
        build_optimizer(SGD, nn.Linear(2, 2).requires_grad_(False))


RICH = Recipe(
    epochs=5,
    batch_size=8,
    optimizer="adamw",
    learning_rate=1e-3,
    schedule="cosine",
    warmup_epochs=2,
    gradient_clip=1.0,
    ema_decay=0.99,
    patience=3,
    augment=(RandomCrop(padding=2), RandomErasing(value=(0.1, 0.2, 0.3))),
    mix=CutMix(num_classes=10, alpha=0.5),
    unmixed_epochs=2,
    reestimate_norms=True,
)


def test_a_recipe_comes_back_from_json() -> None:
    assert Recipe.from_dict(json.loads(json.dumps(RICH.to_dict()))) == RICH
    plain = Recipe(1, 2, "sgd", 0.1)
    assert Recipe.from_dict(plain.to_dict()) == plain


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gradient_clip": 0}, "gradient_clip is 0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"patience": 0}, "patience is 0"),
        ({"warmup_epochs": -1}, "warmup_epochs is -1"),
        ({"warmup_epochs": 5}, "warmup_epochs is 5, epochs is 5; expected fewer"),
        (
            {"schedule": torch.optim.lr_scheduler.StepLR},
            r"Unknown schedule 'StepLR'.*scheduler=par",
        ),
        ({"schedule": "cosin"}, "Unknown schedule 'cosin'. Did you mean 'cosine'"),
        ({"schedule": "one-cycle"}, "expected 0 with a one-cycle schedule"),
        ({"schedule_per": "batch"}, "Unknown schedule_per 'batch'"),
        ({"learning_rate": None}, "learning_rate is None; expected a number"),
        ({"augment": RandomCrop()}, "augment is RandomCrop.*expected a tuple"),
        ({"learning_rate": "1e-3"}, "learning_rate is '1e-3'; expected a number"),
        ({"mix": RandomCrop()}, "mix is RandomCrop.*expected CutMix"),
        ({"mix": None}, "unmixed_epochs is 2, but nothing is mixed before them; give mix="),
        ({"unmixed_epochs": 6}, "unmixed_epochs is 6, epochs is 5; expected no more"),
        ({"other_learning_rate": -1}, "other_learning_rate is -1; expected a number above 0"),
        ({"optimizer": "muon"}, "other_learning_rate is None; expected a number with 'muon'"),
        (
            {"optimizer": "muon", "other_learning_rate": 0.1, "weight_decay": 0.1},
            "weight_decay is 0.1; expected 0 with 'muon'",
        ),
    ],
)
def test_a_setting_of_the_full_recipe_that_makes_no_sense_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RICH, **fields)


def test_a_list_of_transforms_is_as_good_as_a_tuple() -> None:
    assert replace(RICH, augment=list(RICH.augment)) == RICH


def test_mixing_can_not_be_one_of_the_transforms() -> None:
    with pytest.raises(TypeError, match="CutMix and MixUp take labels too"):
        replace(RICH, augment=(CutMix(num_classes=10),))


@pytest.mark.parametrize(
    ("epochs", "warmup"), [(50, 5), (100, 10), (20, 2), (8, 2), (4, 2), (2, 1), (1, 0)]
)
def test_a_shorter_or_longer_run_warms_up_in_proportion(epochs: int, warmup: int) -> None:
    recipe = replace(SGD, epochs=50, warmup_epochs=5, schedule="cosine")
    other = recipe.with_epochs(epochs)
    assert other == replace(recipe, epochs=epochs, warmup_epochs=warmup)


@pytest.mark.parametrize(
    ("epochs", "unmixed"), [(50, 5), (100, 10), (20, 2), (16, 2), (14, 1), (2, 0), (1, 0)]
)
def test_a_shorter_or_longer_run_ends_unmixed_in_proportion(epochs: int, unmixed: int) -> None:
    recipe = replace(SGD, epochs=50, mix=CutMix(num_classes=10), unmixed_epochs=5)
    other = recipe.with_epochs(epochs)
    assert other == replace(recipe, epochs=epochs, unmixed_epochs=unmixed)


@pytest.mark.parametrize("epochs", [1, 2, 7, 100])
def test_a_recipe_may_be_unmixed_throughout(epochs: int) -> None:
    recipe = replace(SGD, epochs=5, mix=CutMix(num_classes=10), unmixed_epochs=5)
    assert recipe.with_epochs(epochs).unmixed_epochs == epochs


def test_without_warm_up_only_the_epochs_change() -> None:
    assert SGD.with_epochs(7) == replace(SGD, epochs=7)


def test_a_short_warm_up_leaves_an_epoch_after_it() -> None:
    recipe = replace(SGD, epochs=5, warmup_epochs=4)
    assert recipe.with_epochs(2) == replace(SGD, epochs=2, warmup_epochs=1)


@pytest.mark.parametrize("epochs", [0, -1, 2.5, "3", True])
def test_another_number_of_epochs_must_be_one(epochs: Any) -> None:
    with pytest.raises(ValueError, match=f"epochs is {epochs!r}"):
        replace(SGD, epochs=50, warmup_epochs=5).with_epochs(epochs)


def test_settings_are_what_is_not_the_default() -> None:
    assert SGD.settings() == {
        "epochs": 1,
        "batch_size": 8,
        "optimizer": "sgd",
        "learning_rate": 0.1,
    }
    rich = replace(SGD, momentum=0.9, augment=(RandomCrop(2),))
    assert set(rich.settings()) - set(SGD.settings()) == {"momentum", "augment"}
    assert Recipe.from_dict(rich.settings()) == rich


def test_everything_that_changes_the_training_is_off_unless_asked_for() -> None:
    plain = SGD.to_dict()
    off = {
        "other_learning_rate": None,
        "bias_learning_rate": None,
        "momentum": 0,
        "nesterov": False,
        "weight_decay": 0,
        "schedule": "constant",
        "warmup_epochs": 0,
        "label_smoothing": 0,
        "gradient_clip": None,
        "ema_decay": None,
        "keep_best": False,
        "patience": None,
        "augment": [],
        "mix": None,
        "precision": "fp32",
        "channels_last": False,
        "unmixed_epochs": 0,
        "reestimate_norms": False,
    }
    assert {name: plain[name] for name in off} == off


def test_averages_next_to_nothing_become_zero() -> None:
    weights = nn.Parameter(torch.ones(4))
    optimizer = build_optimizer(Recipe(1, 1, "adam", 0.1), nn.ParameterList([weights]))
    weights.grad = torch.tensor([1.0, 0.0, -1e-30, 0.5])
    optimizer.step()
    optimizer.state[weights]["exp_avg"][3] = -1e-40
    clear_tiny_averages(optimizer)
    assert optimizer.state[weights]["exp_avg"].ne(0).tolist() == [True, False, True, False]
    assert optimizer.state[weights]["exp_avg_sq"].ne(0).tolist() == [True, False, False, True]
    assert optimizer.state[weights]["step"] == 1


def test_an_optimizer_is_watched_for_such_averages_once() -> None:
    optimizer = build_optimizer(SGD, nn.Linear(2, 2))
    before = len(optimizer._optimizer_step_post_hooks)
    for _ in range(3):
        keep_averages_normal(optimizer)
    assert len(optimizer._optimizer_step_post_hooks) == before + 1


def test_units_that_have_died_leave_no_number_without_digits() -> None:
    torch.manual_seed(0)
    dead = nn.Linear(8, 4)
    model = nn.Sequential(nn.Flatten(), dead, nn.ReLU(), nn.Linear(4, 2))
    optimizer = build_optimizer(Recipe(1, 4, "adam", 1e-3), model)
    batch = torch.rand(4, 1, 2, 4), torch.tensor([0, 1, 0, 1])
    train_epoch(model, [batch] * 50, optimizer, nn.CrossEntropyLoss())
    dead.bias.data.fill_(-100)
    before = dead.weight.clone()
    train_epoch(model, [batch] * 1000, optimizer, nn.CrossEntropyLoss())
    average = optimizer.state[dead.weight]["exp_avg"]
    assert torch.equal(average, torch.zeros_like(average))
    assert not torch.equal(before, dead.weight), "momentum still moved them a while"


def test_numbers_of_numpy_and_tensors_make_the_same_recipe() -> None:
    typed = replace(
        RICH,
        epochs=np.int64(5),
        batch_size=(2 ** np.arange(1, 4))[2],
        optimizer=np.array(["adamw"])[0],
        learning_rate=np.float64(1e-3),
        warmup_epochs=torch.tensor(2),
        gradient_clip=np.float32(1.0),
        ema_decay=torch.tensor(0.99),
        patience=np.uint8(3),
        reestimate_norms=np.True_,
        augment=[RandomCrop(np.int64(2)), RandomErasing(value=np.array([0.1, 0.2, 0.3]))],
        mix=CutMix(num_classes=np.int64(10), alpha=np.float32(0.5)),
    )
    assert typed == RICH
    assert json.dumps(typed.to_dict()) == json.dumps(RICH.to_dict())
    assert typed.with_epochs(np.int64(10)) == RICH.with_epochs(10)
    assert replace(SGD, learning_rate=np.float32(0.1)) == SGD


@pytest.mark.parametrize("field", ["nesterov", "keep_best", "channels_last", "reestimate_norms"])
def test_a_flag_that_is_none_is_named(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 'no'; expected True or False"):
        replace(SGD, momentum=0.9, **{field: "no"})


@pytest.mark.parametrize(
    "transform",
    [transforms.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4), nn.Dropout(), len],
)
def test_any_transform_of_one_image_is_recorded_by_its_text(transform: Any) -> None:
    recipe = replace(SGD, augment=(RandomCrop(), transform))
    text = "builtins.len" if transform is len else repr(transform)
    assert recipe.to_dict()["augment"][1]["text"] == text
    assert text in repr(recipe)
    loaded = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert loaded == recipe != replace(SGD, augment=(RandomCrop(), transforms.ToTensor()))


@pytest.mark.parametrize(
    ("augment", "error", "message"),
    [
        (
            (transforms.RandomHorizontalFlip,),
            TypeError,
            r"is a class.*RandomHorizontalFlip\(\.\.\.",
        ),
        ((3,), TypeError, "3 can't be composed; expected .* a function of one image"),
        ((v2.CutMix(num_classes=10),), TypeError, "Give it as the recipe's mix"),
        (transforms.RandomHorizontalFlip(), ValueError, "expected a tuple of transforms"),
    ],
)
def test_what_is_no_transform_is_refused_at_once(
    augment: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(SGD, augment=augment)


def test_mixing_of_torchvision_is_answered_with_the_library_s() -> None:
    with pytest.raises(ValueError, match=r"mix is .*expected CutMix\(...\).* of cifar_lab"):
        replace(SGD, mix=v2.CutMix(num_classes=10))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 1e-3}, "no setting 'lr'. It is called 'learning_rate' here"),
        ({"wd": 1e-4}, "It is called 'weight_decay' here"),
        ({"batch": 64}, "It is called 'batch_size' here"),
        ({"transforms": ()}, "It is called 'augment' here"),
        ({"betas": (0.9, 0.99)}, r"fit\(..., optimizer=partial\(torch.optim.Adam, betas=..."),
        ({"criterion": None}, r"Give it to fit: fit\(..., loss_fn="),
        ({"seed": 3}, r"Give it to fit: fit\(..., seed="),
        ({"learning_rat": 1}, "Did you mean 'learning_rate'"),
    ],
)
def test_a_setting_under_another_name_is_answered_with_its_own(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Recipe(3, 64, "adam", 1e-3, **fields)
    with pytest.raises(TypeError, match=message):
        replace(SGD, **fields)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("Adam", "Did you mean 'adam'"),
        ("SGD", "Did you mean 'sgd'"),
        ("rmsprop", r"Known: .*Any other optimizer is an argument of fit"),
        (torch.optim.Adam, r"is the class Adam; .*Did you mean 'adam'.*fit\(..., optimizer="),
        (torch.optim.RMSprop, r"is the class RMSprop; expected a name: .*fit\(..., optimizer="),
    ],
)
def test_an_optimizer_of_pytorch_is_answered_with_a_name_or_the_argument_of_fit(
    optimizer: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(3, 64, optimizer, 1e-3)


def test_a_recipe_shows_what_differs_from_the_default() -> None:
    assert repr(SGD) == "Recipe(epochs=1, batch_size=8, optimizer='sgd', learning_rate=0.1)"
    lines = repr(RICH).splitlines()
    assert max(map(len, lines)) <= 100
    assert "    ema_decay=0.99," in lines and "momentum" not in repr(RICH)
    names = {"RandomCrop": RandomCrop, "RandomErasing": RandomErasing, "CutMix": CutMix}
    assert eval(repr(RICH), {"Recipe": Recipe, **names}) == RICH


def test_more_epochs_extend_a_recipe_and_nothing_else_does() -> None:
    warm = replace(SGD, epochs=50, warmup_epochs=5, schedule="cosine")
    assert warm.with_epochs(100).extends(warm)
    assert replace(warm, epochs=60).extends(warm)
    assert not warm.extends(warm)
    assert not warm.with_epochs(40).extends(warm)
    assert not replace(warm, epochs=60, learning_rate=0.2).extends(warm)


def test_a_run_begins_as_a_shorter_one_only_where_no_setting_follows_the_epochs() -> None:
    assert replace(SGD, epochs=5).begins_as(SGD)
    assert not SGD.begins_as(SGD) and not SGD.begins_as(replace(SGD, epochs=5))
    assert not replace(SGD, epochs=5, momentum=0.9).begins_as(SGD)
    cosine = replace(SGD, epochs=5, schedule="cosine")
    assert not replace(cosine, epochs=9).begins_as(cosine)
    mixed = replace(SGD, epochs=5, mix=CutMix(num_classes=10), unmixed_epochs=2)
    assert not replace(mixed, epochs=9).begins_as(mixed)
