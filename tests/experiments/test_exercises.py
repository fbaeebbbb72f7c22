"""Checks of a student's answers: open, wrong and right ones, and networks of many styles."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments import exercises
from cifar_lab.models import SimpleMLP, SkeletonConvNet


class Finished(nn.Module):
    """A network of the student's own, with functional layers."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 5, stride=2, padding=2)
        self.second = nn.Conv2d(12, 20, 3, padding=1)
        self.out = nn.Linear(20 * 8 * 8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))[..., :32, :32]
        x = functional.max_pool2d(functional.relu(self.second(x)), 2)
        return self.out(x.view(x.size(0), -1))


class GapInTheConstructor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), ...)  # type: ignore[arg-type]


class GapInASize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Flatten(), nn.Linear(..., 10))  # type: ignore[arg-type]


class GapForALayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = ...
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


class GapInForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3072, 10)

    def forward(self, x: Tensor) -> Any: ...


class NotWritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        raise NotImplementedError("your layers")


class NoForward(nn.Module):
    pass


OPEN_NETWORKS = [
    GapInTheConstructor,
    GapInASize,
    GapForALayer,
    GapInForward,
    NotWritten,
    NoForward,
    lambda: GapInASize(),
]


def with_layers(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().out
    assert text.count("\n") == 1, "a check prints one line"
    return text


class TestOpen:
    @pytest.mark.parametrize(
        "answer", [..., None, [1, ...], (..., 8, 8), {"head": ...}, *OPEN_NETWORKS]
    )
    def test_an_answer_with_a_gap_is_open(self, answer: Any) -> None:
        assert exercises.is_open(answer)

    @pytest.mark.parametrize("answer", [0, "", "a", [], (8, 8, 8), Finished, Finished(), SimpleMLP])
    def test_an_answer_that_is_there_is_not(self, answer: Any) -> None:
        assert not exercises.is_open(answer)

    def test_a_network_with_another_mistake_is_not_open(self) -> None:
        assert not exercises.is_open(with_layers(nn.Flatten(), nn.Linear(7, 10)))

    def test_a_function_with_a_gap_in_a_line_is_open_and_is_not_called(self) -> None:
        def loop(batches: Any) -> Any:
            for _ in batches:
                ...

        def assigned() -> Any:
            loss = ...
            raise AssertionError(loss)

        assert exercises.is_open(loop) and exercises.is_open(assigned)

    def test_a_function_with_nbgraders_placeholder_is_open_and_is_not_called(self) -> None:
        def answer(x: Tensor) -> Tensor:
            # YOUR CODE HERE
            raise NotImplementedError()

        def refuses(x: Tensor) -> Tensor:
            if x.ndim != 4:
                raise NotImplementedError("only images")
            return x

        assert exercises.is_open(answer)
        assert not exercises.is_open(refuses)

    def test_an_index_with_dots_is_no_gap(self) -> None:
        def flip(images: Tensor, start: int) -> Tensor:
            return images[..., start:].flip(-1)

        assert not exercises.is_open(flip)

    def test_a_function_without_source_is_judged_by_its_constants(self) -> None:
        names: dict[str, Any] = {}
        exec("def f(x):\n    y = ...\n    return y\ndef g(x):\n    return x", names)
        assert exercises.is_open(names["f"]) and not exercises.is_open(names["g"])

    def test_looking_draws_no_random_numbers(self) -> None:
        torch.manual_seed(0)
        exercises.is_open(Finished)
        drawn = torch.rand(3)
        torch.manual_seed(0)
        assert torch.equal(drawn, torch.rand(3))

    def test_a_cell_that_is_skipped_says_what_is_missing(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert not exercises.ready("My run", 3, GapInForward)
        assert printed(capsys) == "○ My run: still to do: first fill in GapInForward.\n"
        assert exercises.ready("My run", 3, Finished)
        assert capsys.readouterr().out == ""


RIGHT_ANSWERS: list[Callable[..., bool]] = [
    partial(exercises.check_number, "N", 12, 12),
    partial(exercises.check_number, "N", torch.tensor(11.9), 12, tolerance=0.2),
    partial(exercises.check_parameters, "P", 3 * 8 * 9 + 8, nn.Conv2d(3, 8, 3)),
    partial(
        exercises.check_parameters,
        "P",
        2 * 3 + 3 + 8 + 1,
        nn.ModuleList([nn.Linear(2, 3)] + [nn.Linear(8, 1)]),
    ),
    partial(exercises.check_parameters, "P", 3072 * 100 + 100 + 1000 + 10, SimpleMLP),
    partial(exercises.check_shapes, {"first": (12, 16, 16), "out": [10]}, Finished),
    partial(exercises.check_choice, "Q", "B)", "b", why="It is."),
    partial(exercises.check_choice, "Q", "b", exercises.choice_digest("Q", "b"), why="It is."),
    partial(exercises.check_equal, "E", 0.1 + 0.2, 0.1 + 0.2),
    partial(exercises.check_equal, "E", torch.arange(3), torch.arange(3)),
]
WRONG_ANSWERS: list[Callable[..., bool]] = [
    partial(exercises.check_number, "N", 13, 12),
    partial(exercises.check_number, "N", float("nan"), 12),
    partial(exercises.check_number, "N", "twelve", 12),
    partial(exercises.check_parameters, "P", 3 * 8 * 9, nn.Conv2d(3, 8, 3)),
    partial(exercises.check_shapes, {"first": (12, 32, 32), "out": (10,)}, Finished),
    partial(exercises.check_shapes, {"third": (12, 32, 32)}, Finished),
    partial(exercises.check_shapes, {"first": 12}, Finished),
    partial(exercises.check_choice, "Q", "c", exercises.choice_digest("Q", "b"), why="It is."),
    partial(exercises.check_choice, "Q", 7, "b", why="It is."),
    partial(exercises.check_equal, "E", 0.1 + 0.2, 0.3),
    partial(exercises.check_equal, "E", "text", 0.3),
    partial(exercises.check_equal, "E", torch.arange(3), torch.arange(4)),
]
OPEN_ANSWERS: list[Callable[..., bool]] = [
    partial(exercises.check_number, "N", ..., 12),
    partial(exercises.check_parameters, "P", ..., nn.Linear(2, 3)),
    partial(exercises.check_parameters, "P", 12, GapInASize),
    partial(exercises.check_shapes, {"first": ..., "out": (10,)}, Finished),
    partial(exercises.check_shapes, ..., Finished),
    partial(exercises.check_choice, "Q", ..., "b", why="It is."),
    partial(exercises.check_equal, "E", ..., 0.3),
    partial(exercises.check_network, GapForALayer, num_classes=10),
]


@pytest.mark.parametrize(
    ("checks", "mark", "value"),
    [(RIGHT_ANSWERS, "✓", True), (WRONG_ANSWERS, "✗", False), (OPEN_ANSWERS, "○", False)],
    ids=["right", "wrong", "open"],
)
def test_a_check_marks_an_answer(
    checks: list[Callable[..., bool]], mark: str, value: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    for check in checks:
        assert check() is value, check
        line = printed(capsys)
        assert line.startswith(mark) and ("still to do" in line) == (mark == "○")


def test_a_wrong_answer_gets_the_hint_but_not_the_solution(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exercises.check_parameters("P", 10, nn.Conv2d(3, 8, 3), hint="Each output has a bias.")
    assert printed(capsys) == "✗ P: 10 is not right. Each output has a bias.\n"
    digest = exercises.choice_digest("Q", "b")
    exercises.check_choice("Q", "a", digest, why="Secret.", hint="Read again.")
    assert printed(capsys) == "✗ Q: it is not a. Read again.\n"


HEAD = (nn.AdaptiveAvgPool2d(4), nn.Flatten())
WRONG_NETWORKS = [
    (with_layers(*HEAD, nn.Linear(50, 10)), "fails on images (2, 3, 32, 32): mat1 and mat2"),
    (with_layers(*HEAD, nn.Linear(48, 7)), "maps 2 images to (2, 7); expected (2, 10)"),
    (with_layers(nn.Conv2d(3, 10, 3)), "maps 2 images to (2, 10, 30, 30)"),
    (with_layers(nn.Flatten(), nn.Linear(3072, 500), nn.Linear(500, 10)), "fewer than 308,310"),
    (with_layers(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ZeroPad1d((0, 7))), "no parameters"),
    (with_layers(*HEAD, nn.Linear(48, 10), nn.Softmax(dim=1)), "ends in a softmax"),
    (with_layers(*HEAD, nn.Linear(48, 10), nn.ReLU()), "ends in a ReLU"),
    (lambda: 3, "can't be built: this builds a int"),
    (lambda: nn.Linear("x", 2), "can't be built"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("build", "reason"), WRONG_NETWORKS)
def test_a_network_with_a_mistake_is_told_which(
    build: Any, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not exercises.check_network(build, num_classes=10, fewer_than=308_310)
    line = printed(capsys)
    assert line.startswith("✗") and reason in line


def test_a_layer_that_forward_leaves_out_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    class Unused(Finished):
        def __init__(self) -> None:
            super().__init__()
            self.extra = nn.Linear(2, 2)

    assert not exercises.check_network(Unused, num_classes=10)
    assert "no gradient reaches extra.weight, extra.bias" in printed(capsys)


def zero_start() -> nn.Module:
    """A residual branch whose last batch norm starts at zero gets its gradients a step later."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 6, 3, padding=1)
            self.branch = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
            nn.init.zeros_(self.branch[1].weight)
            self.out = nn.LazyLinear(10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.out((x + self.branch(x)).mean(dim=(2, 3)))

    return Residual()


FINE_NETWORKS = [
    Finished,
    Finished(),
    partial(Finished, num_classes=10),
    zero_start,
    with_layers(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Dropout(0.3), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(24, 10),
    ),
]  # fmt: skip


@pytest.mark.parametrize("build", FINE_NETWORKS)
def test_a_network_of_any_style_is_accepted_and_left_as_it_was(
    build: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = build.state_dict() if isinstance(build, nn.Module) else None
    kept = {name: each.clone() for name, each in before.items()} if before else {}
    assert exercises.check_network(build, num_classes=10, fewer_than=308_310)
    assert "a structure of your own" in printed(capsys)
    if before:
        assert all(torch.equal(before[name], each) for name, each in kept.items())


def test_the_library_s_network_under_another_name_is_not_the_student_s(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
            self.c = nn.Linear(16 * 16 * 16, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = functional.relu(self.b(functional.relu(self.a(x))))
            return self.c(functional.max_pool2d(x, 2).flatten(1))

    for build in (SkeletonConvNet, Mine):
        assert not exercises.check_network(build, num_classes=10)
        assert "is built like" in printed(capsys)


def test_a_network_that_learns_overfits_a_few_images(
    train: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exercises.check_overfits(Finished, train.subset(range(8)), loss=0.5)
    assert printed(capsys).startswith("✓ Finished: overfits 8 images")


def test_one_that_can_t_is_told_what_to_look_for(
    train: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    few = train.subset(range(8))
    build = with_layers(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10), nn.Softmax(dim=1))
    assert not exercises.check_overfits(build, few)
    assert "expected below 0.1. Look for a softmax" in printed(capsys)
    assert not exercises.check_overfits(GapInForward, few)
    assert "still to do" in printed(capsys)
    assert not exercises.check_overfits(with_layers(nn.Linear(7, 10)), few)
    assert "can't be trained" in printed(capsys)


@pytest.mark.parametrize(
    "name", [name for name in exercises.__all__ if ">>>" in vars(exercises)[name].__doc__]
)
def test_an_example_gives_what_it_says(name: str) -> None:
    docstring = inspect.getdoc(vars(exercises)[name]) or ""
    example = doctest.DocTestParser().get_doctest(docstring, {}, name, None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
