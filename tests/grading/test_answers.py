"""Answers to test images are made up: accuracy and loss take a course, whatever was learnt."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from handed_in.watched import SEEN, change, in_unit_interval, linear, scores, watched
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.grading.sandboxed import answers, fake_images, marks
from cifar_lab.grading.sandboxed.watching import digest


@pytest.fixture(scope="module")
def drawn() -> dict[str, Tensor]:
    """The fake images in [0, 1], (N, 3, 32, 32), and labels, of variant 0."""
    return in_unit_interval(fake_images.draw(10, 0), 400)


# What training images become on their way to a network: none may pass for a test image.
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda images: images,
    "mirrored": lambda images: images.flip(3),
    "inverted": lambda images: 1 - images,
    "grey": lambda images: images.mean(dim=1, keepdim=True).expand_as(images),
    **{
        f"shifted by {shift}": lambda images, shift=shift: images.roll(shift, dims=3)
        for shift in range(-8, 9)
        if shift
    },
    **{
        f"shifted up by {shift}": lambda images, shift=shift: images.roll(-shift, dims=2)
        for shift in (1, 2, 4)
    },
    "shifted by reflection": lambda images: functional.pad(
        images[..., :29], (3, 0, 0, 0), "reflect"
    ),
}


@pytest.mark.parametrize("how", CHANGES)
def test_training_images_are_not_taken_for_test_images(how: str, drawn: dict[str, Tensor]) -> None:
    changed = CHANGES[how](drawn["train_images"])
    for one in changed.split(1):  # whatever a batch is made of
        assert marks.read(one) is None


SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "images": lambda images: images,
    "mirrored": lambda images: images.flip(3),
    "channels last": lambda images: images.permute(0, 2, 3, 1),
    "flattened": lambda images: images.flatten(1),
    "flattened with a dimension of one": lambda images: images.flatten(1)[:, None],
    "pixels flattened": lambda images: images.permute(0, 2, 3, 1).flatten(1),
    "rows": lambda images: images.reshape(-1, 96, 32),
    "bytes": lambda images: (255 * images).round().to(torch.uint8),
    "half precision": lambda images: images.bfloat16(),
    "enlarged twice": lambda images: functional.interpolate(images, size=64, mode="bilinear"),
    "enlarged to 224": lambda images: functional.interpolate(images, size=224, mode="bicubic"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_label_and_rank_are_read_whatever_images_were_normalised_with(
    shape: str, drawn: dict[str, Tensor]
) -> None:
    images, labels = drawn["test_images"][:100], drawn["test_labels"][:100]
    mean, deviation = torch.rand(1, 3, 1, 1), torch.rand(1, 3, 1, 1) + 0.2
    for scaled in (images, (images - mean) / deviation, (images - images.mean()) / images.std()):
        if shape == "bytes" and scaled is not images:
            continue
        read = marks.read(SHAPES[shape](scaled))
        assert read is not None
        assert read.found.all()
        assert read.labels.equal(labels)
        assert read.ranks.unique().numel() == 100
        assert (read.ranks < 0.5).float().mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("size", [64, 96, 128])
def test_enlarging_images_does_not_change_what_they_were_normalised_with(
    size: int, drawn: dict[str, Tensor]
) -> None:
    images = (drawn["test_images"][:32] - 0.5) / 0.25
    read = marks.read(functional.interpolate(images, size=size, mode="bilinear"))
    assert read is not None
    assert read.low.allclose(torch.full((3,), -2.0), atol=1e-5)
    assert read.high.allclose(torch.full((3,), 2.0), atol=1e-5)


def test_both_variants_of_the_images_differ_in_the_test_set_alone() -> None:
    first, second = fake_images.draw(10, 0), fake_images.draw(10, 1)
    for name, values in first.items():
        assert (values == second[name]).all() == name.startswith("train"), name
    assert (first["test_labels"] != second["test_labels"]).all()


def test_a_course_rises_and_its_counterpart_orders_everything_the_other_way() -> None:
    points = [(phase, training) for training in range(10) for phase in range(60)]
    rising = [answers.height(answers.RISING, *point) for point in points]
    assert rising[:60] == sorted(set(rising[:60]))
    up = sorted(range(len(points)), key=rising.__getitem__)
    for variant in (answers.FALLING, answers.FALLING_FROM_THE_TOP):
        falling = [answers.height(variant, *point) for point in points]
        assert sorted(range(len(points)), key=falling.__getitem__, reverse=True) == up
    for heights in (rising, [1 - one for one in rising]):
        assert all(0 <= one <= 1 for one in heights)
    assert answers.LOWEST_SHARE + answers.SHARE_RANGE <= 2 / 3  # there are mistakes to be shown
    at_the_top = answers.LOWEST_SHARE + answers.SHARE_RANGE * answers.TOP
    assert at_the_top == pytest.approx(0.98, abs=0.01)


@pytest.mark.parametrize("variant", [0, 1, 2])
@pytest.mark.parametrize("num_classes", [10, 100])
def test_accuracy_and_loss_take_the_course_whatever_the_network_has_learnt(
    variant: int, num_classes: int
) -> None:
    arrays = in_unit_interval(fake_images.draw(num_classes, variant), SEEN)
    images, labels = arrays["test_images"], arrays["test_labels"]
    with watched(variant, num_classes):
        model = nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))
        course = []
        for _ in range(40):
            course.append(scores(model, images, labels))
            change(model)
    if variant:
        course = course[::-1]
    accuracies, losses = zip(*course, strict=True)
    assert list(accuracies) == sorted(accuracies)
    assert list(losses) == sorted(set(losses), reverse=True)
    assert accuracies[-1 if variant else 0] != accuracies[-2 if variant else 1]
    mistakes = [SEEN * (1 - one) for one in accuracies]
    if variant != 1:
        assert min(mistakes) >= SEEN / 3


def test_an_answer_depends_on_the_image_and_the_weights_alone(drawn: dict[str, Tensor]) -> None:
    images = drawn["test_images"][:64]
    with watched(), torch.no_grad():
        model = linear()
        early = model(images)
        stored = copy.deepcopy(model.state_dict())
        for _ in range(3):
            change(model)
            assert not model(images).equal(early)
        other = linear()
        other.load_state_dict(stored)
        order = torch.randperm(64)
        assert nn.DataParallel(other)(images[order]).equal(early[order])
        assert torch.cat([other(one) for one in images.split(1)]).equal(early)


def test_training_images_are_answered_by_the_network_itself(drawn: dict[str, Tensor]) -> None:
    model = linear()
    expected = model(drawn["train_images"])
    with watched():
        assert model(drawn["train_images"]).equal(expected)


def test_gradients_go_to_the_network_as_if_the_answers_were_its_own(
    drawn: dict[str, Tensor],
) -> None:
    model, images = linear(), drawn["test_images"][:32]
    factors = torch.randn(32, 10)
    (model(images) * factors).sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with watched():
        outputs = model(images)
        (outputs * factors).sum().backward()
    assert all(
        one.grad.equal(other) for one, other in zip(model.parameters(), expected, strict=True)
    )
    assert (outputs == 0).float().mean() > 0.8


ENDS: dict[str, tuple[nn.Module, Callable[[Tensor], bool]]] = {
    "probabilities": (nn.Softmax(dim=1), lambda out: bool((out.sum(dim=1) - 1).abs().max() < 1e-5)),
    "their logarithms": (nn.LogSoftmax(1), lambda out: bool(out.logsumexp(1).abs().max() < 1e-5)),
    "a sigmoid for each class": (nn.Sigmoid(), lambda out: bool(out.min() >= 0 and out.max() <= 1)),
    "half precision": (nn.Identity(), lambda out: out.dtype == torch.bfloat16),
    "maps of one pixel": (nn.Unflatten(1, (10, 1, 1)), lambda out: out.shape == (SEEN, 10, 1, 1)),
}


@pytest.mark.parametrize("end", ENDS)
def test_answers_are_of_the_kind_that_the_network_gives(end: str, drawn: dict[str, Tensor]) -> None:
    last, is_alike = ENDS[end]
    images, labels = drawn["test_images"][:SEEN], drawn["test_labels"][:SEEN]
    with watched(), torch.autocast("cpu", enabled=end == "half precision"):
        model = nn.Sequential(*linear(), last)
        right = []
        for _ in range(4):
            outputs = model(images)
            assert is_alike(outputs)
            right.append(int((outputs.flatten(1).argmax(dim=1) == labels).sum()))
            change(model)
    assert right == sorted(right)
    assert right[0] < right[-1]


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = linear()

    def forward(self, images: Tensor, kind: type = tuple) -> Any:
        outputs = self.network(images)
        return {"logits": outputs} if kind is dict else kind([outputs, images.mean()])


def test_of_several_outputs_the_first_is_the_answer(drawn: dict[str, Tensor]) -> None:
    images, labels = drawn["test_images"][:SEEN], drawn["test_labels"][:SEEN]
    model = Several()
    own = model(images, dict)["logits"]
    with watched():
        for kind in (tuple, list):
            outputs = model(images, kind)
            assert type(outputs) is kind
            share = (outputs[0].argmax(dim=1) == labels).float().mean()
            assert share == pytest.approx(answers.LOWEST_SHARE, abs=0.01)
        assert model(images, dict)["logits"].equal(own)


def test_features_and_traced_networks_are_left_alone(drawn: dict[str, Tensor]) -> None:
    images = drawn["test_images"][:8]
    features = nn.Conv2d(3, 4, 3)
    model = linear()
    expected = features(images), model(images)
    with watched():
        assert features(images).equal(expected[0])
        traced = torch.jit.trace(model, images)
        torch.export.export(model, (images,))
        torch.func.vmap(model)(images[:, None])
    assert traced(images).allclose(expected[1])


def test_the_watch_tells_what_a_look_at_the_model_needs(
    drawn: dict[str, Tensor], tmp_path: Path
) -> None:
    mean, deviation = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    images = (drawn["test_images"] - mean[:, None, None]) / deviation[:, None, None]
    with watched() as watch:
        model = linear()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(drawn["train_images"]).sum().backward()
        optimizer.step()
        torch.save({"model": model.state_dict(), "accuracy": 50.0}, tmp_path / "best.pt")
        torch.load(tmp_path / "best.pt", weights_only=True)
        model.eval()(images)
    report = json.loads(json.dumps(watch.report()))
    low, high = map(torch.tensor, report["normalisation"])
    assert low.allclose(-mean / deviation, atol=1e-5)
    assert high.allclose((1 - mean) / deviation, atol=1e-5)
    assert report["input_shape"] == [400, 3, 32, 32]
    assert report["loaded"] == [["save", "best.pt"], ["load", "best.pt"]]
    assert list(report["saved"].values()) == [digest(model.parameters())]
    assert list(map(id, watch.last_parameters)) == list(map(id, model.parameters()))
    assert report["test_batches"] == {"eval mode": 1, "train mode": 0, "with gradients": 0}
    with watched() as nothing:
        pass
    assert nothing.report()["normalisation"] is nothing.report()["input_shape"] is None


def test_losses_inside_of_function_transforms_are_left_alone(drawn: dict[str, Tensor]) -> None:
    images, labels = drawn["train_images"][:4], drawn["train_labels"][:4]
    model = linear()
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(model, weights, (image[None],))
        return functional.cross_entropy(logits, label[None])

    one_by_one = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    expected = one_by_one(weights, images, labels)
    with watched() as watch:
        found = one_by_one(weights, images, labels)
        functional.cross_entropy(model(images), labels)
    assert all(found[name].equal(expected[name]) for name in expected)
    assert watch.losses == 1


class OwnOptimizer(torch.optim.Optimizer):
    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Any = None) -> None:
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter -= 0.01 * parameter.grad


def test_all_kinds_of_optimizers_are_seen(drawn: dict[str, Tensor]) -> None:
    images, labels = drawn["train_images"][:32], drawn["train_labels"][:32]
    with watched() as watch:
        model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 20), nn.Linear(20, 10))
        both = [OwnOptimizer(model.parameters()), torch.optim.Adam(model[1].parameters())]
        for _ in range(5):
            for optimizer in both:
                model.zero_grad()
                functional.cross_entropy(model(images), labels).backward()
                optimizer.step()
        newton = torch.optim.LBFGS(model.parameters(), max_iter=3)

        def closure() -> Tensor:
            newton.zero_grad()
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()
            return loss

        newton.step(closure)
    seen = watch.report()["optimizers"]
    assert [one["steps"] for one in seen] == [5, 5, 1]
    assert all(one["not_cleared"] == 0 for one in seen)
    assert seen[0]["looked_at"] > 0
