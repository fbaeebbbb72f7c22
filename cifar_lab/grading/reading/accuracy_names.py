"""The words around an accuracy: its images, one class or all, and which number of several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cifar_lab.data.cifar import CIFAR100_SUPERCLASSES
from cifar_lab.grading.reading.numerals import NUMBER

ACCURACY = re.compile(
    r"(?:(?:(?<![a-z])|(?<=test)|(?<=train)|(?<=val))acc(?:uracy)?|(?<![a-z])prec(?:ision)?(?=@))"
    r"(?:(?![a-z\d])(?:\s?@\s?(?P<at>\d{1,2}))?|(?P<attached>\d{1,2})(?!\w))"
    r"|(?<![a-z])top[-_ ]?(?P<top>\d{1,2})(?!\d)",
    re.IGNORECASE,
)
IMAGES = re.compile(
    r"(?<![a-z])(test(?!\w{0,3}[\s_-]?time)|train|val(?:id|[\W_]|$))", re.IGNORECASE
)
TEST_AT_ONCE = re.compile(
    r"(?<![a-z])test\w{0,3}(?:\W+(?:set|data|images?))?[\W_]*$", re.IGNORECASE
)
OTHERS_AT_ONCE = re.compile(r"(?<![a-z])(?:train(?:ing)?|val(?:id(?:ation)?)?)[\s_-]*$", re.I)
ONE_CLASS = re.compile(
    r"\b(?:of|for|on|per|in|each|by)[ -]+class\b|\bclass[\W_]{0,3}\d|\bclass-?wise\b", re.IGNORECASE
)
OTHER_MEASURE = r"std|sd|deviation|gap|gain|drop|diff(?:erence)?|delta|improvement|(?:in|de)crease"
NO_RESULT_BEFORE = re.compile(
    rf"(?<![a-z])(?:{OTHER_MEASURE}|target|required|minimum|goal|chance)\W+(?:(?:of|in|for)\W+)?"
    r"(?:the\W+)?(?:test\W*)?(?:set\W*)?$|[Δ∆]\s*(?:test\W*)?$",
    re.IGNORECASE,
)
NO_RESULT_AFTER = re.compile(rf"[\s_-]{{0,3}}(?:{OTHER_MEASURE}|err(?:or)?|loss)\b", re.IGNORECASE)

CIFAR10 = "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck, plane, car"
CLASSES = frozenset(
    name.replace("_", " ")
    for names in (CIFAR10.split(", "), *CIFAR100_SUPERCLASSES.values())
    for name in names
)
ALSO_OTHER_WORDS = frozenset({"train", "plain"})  # "plain test accuracy" is of a plain network
FILLER = re.compile(
    r"(?:an?|the|of|for|on|in|at|is|was|class|category|label|test(?:ing)?|set|data|images?)"
)

WORD = (
    r"(?:(?:avg|average|mean|final|best|train(?:ing)?|test(?:ing)?|val(?:id(?:ation)?)?|set|loss|"
    r"(?:acc(?:uracy)?|prec)(?:@[15])?|err(?:or)?|top[-_ ]?[15])(?![a-z])[\s_.:]{0,3})"
)
BETWEEN = r"\s{0,3}(?:[/,&|+;]|\band\b)\s{0,3}"
SEVERAL = re.compile(
    rf"(?<![a-z])({WORD}{{1,6}}(?:{BETWEEN}{WORD}{{1,6}}){{1,4}})(\([^()\d]{{0,40}}\))?[^\w()]*"
    r"[(\[]?$",
    re.IGNORECASE,
)
LONGEST_LABEL, MOST_WORDS_TOGETHER = 120, 4


class Place(NamedTuple):
    """Which number of several is the test accuracy: "train/test accuracy: 98.1/57.3".

    Attributes:
        position: Position of the test accuracy, from 0; -1 where it is none of them.
        length: Number of the numbers that are named.
    """

    position: int
    length: int


@dataclass(frozen=True)
class Name:
    """Words that name an accuracy, up to its number.

    Attributes:
        start, end: Place of "accuracy", or of several such words without a number between them.
        label: Text before the words, with them.
        befores: Text before each of the words.
        ranks: Values of k in top-k accuracies.
        inherited: Images that the accuracy before it in the line is of.
        is_first: Whether there is no other before it in the line.
    """

    start: int
    end: int
    label: str
    befores: tuple[str, ...]
    ranks: frozenset[int]
    inherited: str
    is_first: bool

    def is_of_test_images(self, after: str, above: str) -> bool:
        """Return whether it is the (top-1) accuracy on all test images.

        Args:
            after: Text between the name and its number.
            above: Images that lines above it name.
        """
        first = self.befores[0]
        if self.ranks - {1} or self._is_of_one_class(after):
            return False
        if NO_RESULT_BEFORE.search(first) or NO_RESULT_AFTER.match(after):
            return False
        if _is_at_once_of_test(self.befores):
            return True
        named = named_images(after[-60:]) or named_images(first[-60:])[-1:]
        if not named:
            named = [self.inherited if self.ranks and self.inherited else above]
        return "test" in named

    def _is_of_one_class(self, after: str) -> bool:
        before = re.split(r"[\d,;|]", self.befores[0])[-1]
        if _class_in(before) and _class_in(before) not in ALSO_OTHER_WORDS:
            return True
        found = _class_in(re.split(r"[=,]", after)[0])
        is_attributed = re.match(r"\W*(?:of|for)\b", after) is not None
        return bool(found) and (found not in ALSO_OTHER_WORDS or is_attributed)


def named_images(text: str) -> list[str]:
    """Return the kinds of images that a text names: "test", "train" or "val"."""
    found = (match[1].lower() for match in IMAGES.finditer(text))
    return ["val" if name.startswith("val") else name for name in found]


def names_in(text: str) -> Iterator[Name]:
    """Yield the names of accuracies in a text."""
    groups: list[list[re.Match[str]]] = []
    for match in ACCURACY.finditer(text):
        if groups and not NUMBER.search(text, groups[-1][-1].end(), match.start()):
            groups[-1].append(match)
        else:
            groups.append([match])
    previous, inherited = 0, ""
    for group in groups:
        name = _name(text, group, previous, inherited)
        previous = name.end
        inherited = (named_images(name.label) or [inherited])[-1]
        yield name


def _name(text: str, group: Sequence[re.Match[str]], previous: int, inherited: str) -> Name:
    start, end = group[0].start(), group[-1].end()
    ranks = {_rank(match) for match in group[:MOST_WORDS_TOGETHER]} - {None}
    return Name(
        start,
        end,
        text[max(previous, end - LONGEST_LABEL) : end],
        tuple(
            text[max(previous, match.start() - LONGEST_LABEL) : match.start()]
            for match in group[:MOST_WORDS_TOGETHER]
        ),
        frozenset(rank for rank in ranks if rank is not None),
        inherited,
        is_first=previous == 0,
    )


def _rank(match: re.Match[str]) -> int | None:
    """Return k of "top-k" or "acc@k"; "acc2" is more often of the second network."""
    if match["attached"]:
        return 5 if match["attached"] == "5" else None
    rank = match["at"] or match["top"]
    return int(rank) if rank else None


def _is_at_once_of_test(befores: Sequence[str]) -> bool:
    """Return whether "test" is the first kind of images just before one of the words."""
    for before in befores:
        if TEST_AT_ONCE.search(before[-60:]):
            return True
        if OTHERS_AT_ONCE.search(before[-60:]):
            return False
    return False


def is_about_one_class(line: str) -> bool:
    """Return whether a line says that it is about one class, however that is called."""
    return ONE_CLASS.search(line) is not None


def _class_in(phrase: str) -> str:
    """Return the class that a phrase consists of, but for small words; "" if it has others."""
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", phrase)]
    name = " ".join(word for word in words if not FILLER.fullmatch(word))
    return next((one for one in (name, name.removesuffix("s")) if one in CLASSES), "")


def place_of_test_accuracy(label: str, above: str) -> Place | None:
    """Return which number is the test accuracy in "test loss / test accuracy: 0.85 / 57.3".

    Args:
        label: Text before the first number.
        above: Images that lines above it name.
    """
    match = SEVERAL.search(label[-LONGEST_LABEL:])
    if match is None:
        return None
    parts = re.split(BETWEEN, match[1])
    images = _filled([(named_images(part) or [""])[-1] for part in parts])
    measures = _filled([_measure(part) for part in reversed(parts)])[::-1]
    measures = _filled(measures)
    of_all = (named_images(label[-LONGEST_LABEL:]) or [above])[-1]
    for position, (image, measure) in enumerate(zip(images, measures, strict=True)):
        if measure == "accuracy" and (image or of_all) == "test":
            return Place(position, len(parts))
    return Place(-1, len(parts))


def _measure(part: str) -> str:
    if re.search(r"loss|err", part, re.IGNORECASE):
        return "loss"
    match = ACCURACY.search(part)
    ranks = {_rank(one) for one in ACCURACY.finditer(part)} - {None, 1}
    return "" if match is None else "top-5" if ranks else "accuracy"


def _filled(names: Sequence[str]) -> list[str]:
    """Return the names, and in place of an empty one that before it."""
    filled: list[str] = []
    for name in names:
        filled.append(name or (filled[-1] if filled else ""))
    return filled
