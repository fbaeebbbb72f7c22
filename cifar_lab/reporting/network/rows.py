"""The rows of a block diagram: operations merged into layers and blocks, repeats counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from cifar_lab.reporting.network.names import APPENDED
from cifar_lab.reporting.network.operations import IMAGE, Call, Operation, Trace

LONGEST_PERIOD = 12  # rows of a group that is repeated


@dataclass
class Row:
    """A layer with what directly follows it, or a block.

    Attributes:
        label: The text that names it.
        kind: Its kind, which decides the colour; "block" for a block.
        name: The name of its first module; "" for a function.
        shape: The shape of its output.
        parameters: The number of its parameters, those of all repeats together.
        macs: Its multiply-accumulate operations, those of all repeats together.
        shares: Whether an earlier row, or an earlier repeat, has its weights.
        operations: The numbers of its operations.
        sources: The rows that feed it; -1 for the level's input.
        inside: A block's rows; None for a layer.
        repeats: How many times the row follows itself.
    """

    label: str
    kind: str
    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    shares: bool
    operations: list[int]
    sources: list[int] = field(default_factory=list)
    inside: Level | None = None
    repeats: int = 1


@dataclass
class Level:
    """The rows of a network, or of one block of it.

    Attributes:
        class_name: The class of the network or block.
        rows: The rows, in the order in which they are computed.
        groups: The first row, the last row and the number of repeats of rows that are repeated
            together.
        input_shape: The shape of what goes in.
    """

    class_name: str
    rows: list[Row]
    groups: list[tuple[int, int, int]]
    input_shape: tuple[int, ...]

    @property
    def blocks(self) -> Iterator[Level]:
        """The blocks in the rows, and the blocks in these."""
        inside = [row.inside for row in self.rows if row.inside is not None]
        yield from inside
        for level in inside:
            yield from level.blocks


def build_levels(trace: Trace) -> Level:
    """Return the rows of a network, with those of its blocks inside them.

    Blocks of one class that differ in more than sizes get a letter.
    """
    numbers = list(range(len(trace.operations)))
    level = _Builder(trace).level(numbers, 0, trace.class_name)
    kinds: dict[str, dict[Any, str]] = {}
    for block in level.blocks:
        known = kinds.setdefault(block.class_name, {})
        known.setdefault(_signature(block), "abcdefghijklmnopqrstuvwxyz"[min(len(known), 25)])
    for holder in [level, *level.blocks]:
        for row in holder.rows:
            if row.inside is not None and len(kinds[row.inside.class_name]) > 1:
                letter = kinds[row.inside.class_name][_signature(row.inside)]
                row.label = f"{row.inside.class_name} ({letter})"
    return level


def layer_rows(trace: Trace) -> list[Row]:
    """Return a row for each layer, with those inside blocks in the blocks' places."""
    return list(_layers(_Builder(trace, compress=False).level(
        list(range(len(trace.operations))), 0, trace.class_name
    )))  # fmt: skip


def _layers(level: Level) -> Iterator[Row]:
    for row in level.rows:
        if row.inside is None:
            yield row
        else:
            yield from _layers(row.inside)


class _Builder:
    def __init__(self, trace: Trace, compress: bool = True) -> None:
        self._trace = trace
        self._compress = compress
        self._uses = Counter(
            source for operation in trace.operations for source in operation.inputs
        )
        self._uses.update(trace.outputs)

    def level(self, numbers: Sequence[int], depth: int, class_name: str) -> Level:
        """Return the level of these operations, which are inside `depth` blocks."""
        rows: list[Row] = []
        for call, group in groupby(numbers, lambda number: self._call(number, depth)):
            members = list(group)
            if call is None:
                for number in members:
                    self._add(rows, self._row(number))
            else:
                self._add(rows, self._block(call, members, depth))
        if len(rows) <= 2:  # a network that is one or two blocks: these are no detail
            rows = [
                each
                for row in rows
                for each in (row.inside.rows if row.inside and not row.inside.groups else [row])
            ]
        first = self._trace.operations[numbers[0]].inputs[0] if numbers else IMAGE
        operations = self._trace.operations
        input_shape = self._trace.image_shape if first == IMAGE else operations[first].shape
        level = Level(class_name, rows, [], input_shape)
        self._connect(level)
        return _without_repeats(level) if self._compress else level

    def _call(self, number: int, depth: int) -> Call | None:
        path = self._trace.operations[number].path
        return path[depth] if len(path) > depth else None

    def _row(self, number: int) -> Row:
        one: Operation = self._trace.operations[number]
        return Row(
            one.label, one.kind, one.name, one.shape, one.parameters, one.macs, one.shares, [number]
        )

    def _block(self, call: Call, numbers: list[int], depth: int) -> Row:
        inside = self.level(numbers, depth + 1, call.class_name)
        if len(inside.rows) == 1 and inside.rows[0].repeats == 1:
            row = inside.rows[0]
            short = f"{call.class_name}: {row.label}"
            return replace(row, label=short if len(short) < 30 else row.label)
        return Row(
            call.class_name,
            "block",
            call.name,
            self._trace.operations[numbers[-1]].shape,
            sum(self._trace.operations[number].parameters for number in numbers),
            sum(self._trace.operations[number].macs for number in numbers),
            any(self._trace.operations[number].shares for number in numbers),
            numbers,
            inside=inside,
        )

    def _add(self, rows: list[Row], row: Row) -> None:
        """Add a row, or write it into the one before, of which it only changes the values."""
        if rows and row.kind in APPENDED and rows[-1].inside is None:
            before = rows[-1]
            last, first = before.operations[-1], self._trace.operations[row.operations[0]]
            if first.inputs == (last,) and self._uses[last] == 1 and row.shape == before.shape:
                rows[-1] = replace(
                    before,
                    label=f"{before.label} · {row.label}",
                    parameters=before.parameters + row.parameters,
                    macs=before.macs + row.macs,
                    shares=before.shares or row.shares,
                    operations=before.operations + row.operations,
                )
                return
        rows.append(row)

    def _connect(self, level: Level) -> None:
        owner = {number: place for place, row in enumerate(level.rows) for number in row.operations}
        for place, row in enumerate(level.rows):
            sources = {
                owner.get(source, IMAGE)
                for number in row.operations
                for source in self._trace.operations[number].inputs
            }
            row.sources = sorted(sources - {place})


def _signature(level: Level) -> Any:
    """Return what two blocks of one kind have in common: all but sizes."""
    rows = tuple(
        (_row_signature(row), row.repeats, tuple(place - source for source in row.sources))
        for place, row in enumerate(level.rows)
    )
    return rows, tuple(level.groups)


def _row_signature(row: Row) -> Any:
    return row.kind if row.inside is not None else row.label, row.inside and (
        row.inside.class_name,
        _signature(row.inside),
    )


def _without_repeats(level: Level) -> Level:
    """Return the level with each run of equal groups of rows shown once."""
    rows, groups, place = level.rows, [], 0
    new_places = {IMAGE: IMAGE}
    kept: list[Row] = []
    while place < len(rows):
        period, count = _repeats(rows, place)
        for offset in range(period):
            each = [rows[place + turn * period + offset] for turn in range(count)]
            new_places |= {
                place + turn * period + offset: len(kept) + offset for turn in range(count)
            }
            each[0].operations = [number for row in each for number in row.operations]
            each[0].parameters = sum(row.parameters for row in each)
            each[0].macs = sum(row.macs for row in each)
            each[0].shares = any(row.shares for row in each)
        for row in rows[place : place + period]:
            row.sources = sorted({new_places[source] for source in row.sources})
        if period == 1:
            rows[place].repeats = count
        elif count > 1:
            groups.append((len(kept), len(kept) + period - 1, count))
        kept += rows[place : place + period]
        place += period * count
    return Level(level.class_name, kept, groups, level.input_shape)


def _repeats(rows: Sequence[Row], start: int) -> tuple[int, int]:
    """Return how many rows from `start` on are repeated, and how many times they are there."""
    for period in range(1, min(LONGEST_PERIOD, (len(rows) - start) // 2) + 1):
        count = 1
        while _is_again(rows, start, period, count):
            count += 1
        if count > 1 and _stands_alone(rows, start, period, count):
            return period, count
    return 1, 1


def _is_again(rows: Sequence[Row], start: int, period: int, turn: int) -> bool:
    """Return whether the group at `start` is there again, `turn` periods later."""
    shift = turn * period
    if start + shift + period > len(rows):
        return False
    for place in range(start, start + period):
        one, other = rows[place], rows[place + shift]
        same = one.shape == other.shape and _row_signature(one) == _row_signature(other)
        alike = one.parameters == other.parameters or other.shares
        if not (same and alike and [each + shift for each in one.sources] == other.sources):
            return False
    return True


def _stands_alone(rows: Sequence[Row], start: int, period: int, count: int) -> bool:
    """Return whether each repeat takes only the one before it, and gives only its last row."""
    end = start + period * count
    for place in range(start, len(rows)):
        turn = (place - start) // period if place < end else count
        for source in rows[place].sources:
            if place < end and source < start + turn * period - 1:
                return False  # takes more than its repeat, and the row before it
            from_inside = start <= source < end and (source - start) // period != turn
            if from_inside and (source - start) % period != period - 1:
                return False
            if place >= end and start <= source < end - 1:
                return False
    return True
