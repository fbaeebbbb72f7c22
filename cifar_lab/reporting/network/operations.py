"""The record of a network's operations, without what no output depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace

IMAGE = -1  # the number of the network's input, among those of operations


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module that has modules inside."""

    name: str
    class_name: str


@dataclass(frozen=True)
class Operation:
    """A layer, or a function between layers.

    Attributes:
        label: The text that names it, such as "Conv2d 3×3".
        kind: Its kind, such as "convolution", see `names`.
        name: The module's name in the network; "" for a function.
        path: The calls that it is inside, the outermost first.
        inputs: The numbers of the operations that feed it.
        shape: The shape of its output, without the number of images.
        parameters: The number of its parameters that no earlier operation has.
        macs: Its multiply-accumulate operations.
        shares: Whether an earlier operation has its parameters.
    """

    label: str
    kind: str
    name: str
    path: tuple[Call, ...]
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    macs: int
    shares: bool


@dataclass(frozen=True)
class Trace:
    """The operations of a network, in the order in which they are computed."""

    class_name: str
    image_shape: tuple[int, ...]
    operations: list[Operation]
    outputs: frozenset[int]
    parameters: int
    macs: int


def without_dead_ends(trace: Trace) -> Trace:
    """Return the trace without operations that no output depends on, such as a check of values.

    Those that have parameters or cost something stay.
    """
    needed = set(trace.outputs)
    for number in reversed(range(len(trace.operations))):
        operation = trace.operations[number]
        if number in needed or operation.parameters or operation.macs:
            needed |= {number, *operation.inputs}
    kept = [number for number in range(len(trace.operations)) if number in needed]
    places = {number: place for place, number in enumerate(kept)} | {IMAGE: IMAGE}
    operations = [
        replace(
            trace.operations[number],
            inputs=tuple(places[each] for each in trace.operations[number].inputs),
        )
        for number in kept
    ]
    outputs = frozenset(places[number] for number in trace.outputs)
    return replace(trace, operations=operations, outputs=outputs)
