"""Checks of a student's answers in a notebook; each prints one line and returns True or False.

`...` marks what the student fills in. A line begins with "✓" (right), "✗" (not yet; a hint
follows) or "○" (still to do). No check raises because an exercise is open or wrong, so that a
notebook runs from top to bottom at any time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.exercise_networks import (
    build_network,
    first_line,
    first_problem,
    has_gap,
    lowest_loss,
    output_shapes,
)
from cifar_lab.models.counting import count_parameters
from cifar_lab.models.inspection import IMAGE_SHAPE
from cifar_lab.utils.console import say
from cifar_lab.utils.plain import as_number

__all__ = [
    "check_choice",
    "check_equal",
    "check_network",
    "check_number",
    "check_overfits",
    "check_parameters",
    "check_shapes",
    "choice_digest",
    "is_open",
    "ready",
]

RIGHT, WRONG, OPEN = "✓", "✗", "○"


def is_open(answer: Any) -> bool:
    """Return whether an exercise is still to do: `...` or None is in the answer.

    Args:
        answer: A value, a list, tuple or dict of them, a function, or a class or function that
            builds a network. A network that can't be built or run because of `...` or
            NotImplementedError is open, one with another mistake is not.

    Example:
        >>> from cifar_lab import exercises
        >>> exercises.is_open(...), exercises.is_open(0)
        (True, False)
    """
    return has_gap(answer)


def ready(title: str, *answers: Any) -> bool:
    """Return whether all answers are there that a cell needs; else say what is still to do.

    Example:
        >>> from cifar_lab import exercises
        >>> my_count = ...
        >>> if exercises.ready("My plot", my_count):
        ...     print(my_count)
        ○ My plot: still to do: first fill in the exercise above.
    """
    still_open = [answer for answer in answers if is_open(answer)]
    if still_open:
        names = [name for name in map(_name_of, still_open) if name]
        _open(title, f"first fill in {' and '.join(names) or 'the exercise above'}")
    return not still_open


def check_number(
    title: str, answer: Any, expected: float, *, tolerance: float = 0.0, hint: str = ""
) -> bool:
    """Check a number that the student worked out.

    Args:
        title: The name of the answer, with which the printed line begins.
        answer: The student's number, or `...`.
        expected: The right number. It is not printed as long as the answer is wrong.
        tolerance: The largest difference that is still right.
        hint: A sentence that helps after a wrong answer.

    Example:
        >>> from cifar_lab import exercises
        >>> exercises.check_number("Pixels of an image", 32 * 32, 1024)
        ✓ Pixels of an image: 1,024.
        True
    """
    if is_open(answer):
        return _open(title, "replace ... with a number")
    try:
        number = as_number("answer", answer)
    except ValueError:
        return _wrong(title, f"{answer!r} is not a number.", hint)
    if not abs(number - expected) <= tolerance:
        return _wrong(title, f"{number:,.10g} is not right.", hint)
    return _right(title, f"{number:,.10g}.")


def check_parameters(title: str, answer: Any, module: Any, *, hint: str = "") -> bool:
    """Check a number of parameters that the student counted by hand.

    Args:
        title: The name of the answer, with which the printed line begins.
        answer: The student's number, or `...`.
        module: The layer or network that has the parameters, or what builds it.
        hint: A sentence that helps after a wrong answer.

    Example:
        >>> from cifar_lab import exercises
        >>> from torch import nn
        >>> exercises.check_parameters("Linear layer", 3 * 2, nn.Linear(3, 2))
        ✗ Linear layer: 6 is not right.
        False
    """
    if not isinstance(module, nn.Module) and is_open(module):
        return _open(title, f"first fill in {_name_of(module) or 'the network'}")
    return check_number(title, answer, count_parameters(build_network(module)), hint=hint)


def check_shapes(
    answers: Mapping[str, Any], model: Any, images: tuple[int, int, int] = IMAGE_SHAPE
) -> bool:
    """Check the output shapes that the student expects of a network's layers.

    Args:
        answers: The shape for each layer's name, as `model.named_modules()` has it: (channels,
            height, width), or (features,) after flattening; or `...`.
        model: The network, or what builds it.
        images: The shape of one image.
    """
    title = "Output shapes"
    if not isinstance(answers, Mapping):
        return _open(title, "a dict with the shape for each layer's name")
    still_open = [name for name, answer in answers.items() if is_open(answer)]
    if still_open:
        return _open(title, f"{', '.join(still_open)} as (channels, height, width)")
    if is_open(model):
        return _open(title, f"first fill in {_name_of(model) or 'the network'}")
    shapes = output_shapes(build_network(model), images)
    for name, answer in answers.items():
        if name not in shapes:
            return _wrong(title, f"there is no layer {name!r}.", f"There are {', '.join(shapes)}.")
        if not isinstance(answer, Sequence) or isinstance(answer, str):
            return _wrong(title, f"{name} is {answer!r}.", "Write it as (8, 32, 32).")
    wrong = [name for name, answer in answers.items() if tuple(answers[name]) != shapes[name]]
    if wrong:
        right = len(answers) - len(wrong)
        return _wrong(title, f"{right} of {len(answers)} are right; look again at {wrong[0]}.")
    return _right(title, f"all {len(answers)} are right.")


def check_choice(title: str, answer: Any, right: str, *, why: str, hint: str = "") -> bool:
    """Check the letter of a multiple-choice question.

    Args:
        title: The name of the question, with which the printed line begins.
        answer: The student's letter, or `...`.
        right: The right letter, or its `choice_digest`, by which a notebook doesn't show it.
        why: The reason, which is printed after a right answer.
        hint: A sentence that helps after a wrong answer.

    Example:
        >>> from cifar_lab import exercises
        >>> exercises.check_choice("Colour planes", "b", "f20612c2", why="Red, green and blue.")
        ✓ Colour planes: b. Red, green and blue.
        True
    """
    if is_open(answer):
        return _open(title, 'replace ... with a letter, such as "a"')
    letter = str(answer).strip(" ().").lower()
    if not re.fullmatch("[a-z]", letter):
        return _wrong(title, f"{answer!r} is not a letter.", 'Write one, such as "a".')
    if right not in (letter, choice_digest(title, letter)):
        return _wrong(title, f"it is not {letter}.", hint)
    return _right(title, f"{letter}. {why}")


def choice_digest(title: str, letter: str) -> str:
    """Return eight letters and digits that stand for the right answer of a question.

    Example:
        >>> from cifar_lab import exercises
        >>> exercises.choice_digest("Colour planes", "b")
        'f20612c2'
    """
    return hashlib.sha256(f"{title}: {letter}".encode()).hexdigest()[:8]


def check_network(build: Any, *, num_classes: int, fewer_than: int | None = None) -> bool:
    """Check a student's network before it is trained.

    It gives one logit per class for any number of images, has parameters and fewer than the limit,
    no softmax at its end, a gradient for each parameter, and another structure than every network
    of the library.

    Args:
        build: The class or function that builds the network, or the network.
        num_classes: The number of classes.
        fewer_than: The number of parameters that the network must stay below; None for no limit.
    """
    title = _name_of(build) or "Network"
    if is_open(build):
        return _open(title, "replace each ... in it")
    try:
        model = build_network(build)
    except Exception as error:
        return _wrong(title, f"it can't be built: {first_line(error)}.")
    problem = first_problem(model, num_classes, fewer_than)
    if problem is not None:
        return _wrong(title, problem)
    limit = "" if fewer_than is None else f", fewer than {fewer_than:,}"
    return _right(
        title,
        f"{num_classes} logits per image, {count_parameters(model):,} parameters{limit}, a "
        "gradient for each of them, and a structure of your own.",
    )


def check_overfits(build: Any, images: ImageSet, *, loss: float = 0.1) -> bool:
    """Check that a network can overfit a few images: it has a mistake where it can't.

    Args:
        build: The class or function that builds the network, or the network.
        images: A few training images.
        loss: The cross-entropy to get below.
    """
    title = _name_of(build) or "Network"
    if is_open(build):
        return _open(title, "replace each ... in it")
    try:
        lowest, steps = lowest_loss(build, images, loss)
    except Exception as error:
        return _wrong(title, f"it can't be trained: {first_line(error)}.")
    if lowest < loss:
        return _right(
            title, f"overfits {len(images)} images: the loss is {lowest:.3f} after {steps} steps."
        )
    return _wrong(
        title,
        f"the loss on {len(images)} images only falls to {lowest:.3f}; expected below {loss:g}.",
        "Look for a softmax or a ReLU behind the last layer, strong dropout, or a layer that "
        "forward leaves out.",
    )


def check_equal(title: str, yours: Any, library: Any) -> bool:
    """Check that a student's result equals the library's, to the last bit.

    Args:
        title: The name of the result, with which the printed line begins.
        yours: The student's number or tensor, or `...`.
        library: The library's number or tensor.
    """
    if is_open(yours):
        return _open(title, "replace each ... in the exercise")
    try:
        mine, theirs = (
            torch.as_tensor(each, dtype=torch.float64).detach().cpu() for each in (yours, library)
        )
    except (TypeError, ValueError, RuntimeError):
        return _wrong(title, f"yours is a {type(yours).__name__}; expected a number or a tensor.")
    if mine.shape != theirs.shape:
        return _wrong(title, f"yours has shape {tuple(mine.shape)}, not {tuple(theirs.shape)}.")
    if torch.equal(mine, theirs):
        return _right(title, "yours and the library's are the same, to the last bit.")
    difference = (mine - theirs).abs().max().item()
    values = f"yours is {yours}, the library's {library}" if mine.ndim == 0 else "they differ"
    return _wrong(title, f"{values}; the largest difference is {difference:.1e}.")


def _name_of(answer: Any) -> str:
    named = type(answer) if isinstance(answer, nn.Module) else answer
    return str(getattr(named, "__name__", ""))


def _right(title: str, text: str) -> bool:
    say(f"{RIGHT} {title}: {text}")
    return True


def _wrong(title: str, text: str, hint: str = "") -> bool:
    say(f"{WRONG} {title}: {text}" + (f" {hint}" if hint else ""))
    return False


def _open(title: str, text: str) -> bool:
    say(f"{OPEN} {title}: still to do: {text}.")
    return False
