"""Values for a notebook's parameters: the names that its cells tagged "parameters" assign."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Lines that IPython takes and Python doesn't: %magic, !command, ?help, help?, a = !command.
IPYTHON_LINE = re.compile(r"\s*[%!?]|[^#]*=\s*[%!]|\s*[\w.*]+\?\??\s*$")
OTHER_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class UnknownParameterError(ValueError):
    """A value is given for a name that no parameters cell assigns.

    Attributes:
        name: The name that the notebook doesn't have.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def set_parameters(
    notebook: NotebookNode,
    values: Mapping[str, Any],
    optional: Mapping[str, Any] | None = None,
) -> dict[int, str]:
    """Write values into the code cells tagged "parameters".

    Args:
        notebook: The notebook, which is changed.
        values: A value for each name; the notebook must have them all.
        optional: Values for names that the notebook may have or not.

    Returns:
        The source that each parameters cell had before, by the cell's index.

    Raises:
        UnknownParameterError: The notebook doesn't have one of the names in `values`.
        ValueError: A parameters cell is not Python, or a value can't be written as a literal.
    """
    cells = _parameter_cells(notebook)
    originals = {index: cell.source for index, cell in cells.items()}
    wanted = {**(optional or {}), **values}
    if not wanted:  # such a notebook runs whatever stands in the cell
        return originals
    try:
        parsed = {index: ParametersCell.read(source) for index, source in originals.items()}
    except ValueError:
        if values:
            raise
        return originals
    known = list(dict.fromkeys(name for cell in parsed.values() for name in cell.names))
    for name in values:
        if name not in known:
            raise UnknownParameterError(name, _unknown(name, known, bool(cells)))
    for index, cell in parsed.items():
        cells[index].source = cell.with_values(
            {name: _literal(name, wanted[name]) for name in cell.names if name in wanted}
        )
    return originals


def parameter_of(notebook: NotebookNode, name: str) -> Any:
    """Return the value that the parameters cells give a name; None if none is certain."""
    value = None
    for cell in _parameter_cells(notebook).values():
        with suppress(ValueError):  # no Python, or no literal
            for statement in _parse(cell.source).body:
                if _is_plain(statement) and _assigned_names(statement) == [name]:
                    value = ast.literal_eval(statement.value) if statement.value else None
    return value


def _parameter_cells(notebook: NotebookNode) -> dict[int, NotebookNode]:
    return {
        index: cell
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and "parameters" in (cell.metadata.get("tags") or [])
    }


def _unknown(name: str, known: Iterable[str], has_cell: bool) -> str:
    if not has_cell:
        return f"The notebook has no cell tagged 'parameters' to set {name!r} in."
    return f"The notebook has no parameter {name!r}; it has {', '.join(known) or 'none'}."


def _literal(name: str, value: Any) -> str:
    """Return the Python text for a value."""
    text = repr(value)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):  # infinity, or an object of some class
        raise ValueError(
            f"The parameter {name!r} is {text}; expected what Python can write as a literal: "
            "a finite number, a text, None, True, False, or a list, tuple, dict or set of them."
        ) from None
    return text


@dataclass(frozen=True)
class Assignment:
    """One place where a cell assigns a name, and how a value is put there.

    Attributes:
        name: The assigned name.
        start: The offset in the source's bytes where the value's text goes.
        end: The offset behind what that text replaces; `start` where nothing is replaced.
        prefix: What is written before the value.
        certain: Whether the assignment runs whenever the cell does; one under `if` may not.
    """

    name: str
    start: int
    end: int
    prefix: str
    certain: bool


@dataclass(frozen=True)
class ParametersCell:
    """The source of a parameters cell, with the places where it assigns names."""

    source: str
    assignments: list[Assignment]

    @classmethod
    def read(cls, source: str) -> ParametersCell:
        """Find the assignments in a cell's source.

        Raises:
            ValueError: The source is not Python, not even without IPython's own lines.
        """
        source = source.replace("\r\n", "\n").replace("\r", "\n")
        tree = _parse(source)
        # `ast` counts columns in bytes of UTF-8.
        lengths = (len(line.encode()) + 1 for line in source.split("\n"))
        starts = [0, *accumulate(lengths)]
        return cls(source, list(_assignments(tree, starts)))

    @property
    def names(self) -> list[str]:
        """The names that the cell assigns, in its order."""
        return list(dict.fromkeys(each.name for each in self.assignments))

    def with_values(self, literals: Mapping[str, str]) -> str:
        """Return the source with these values, as Python text; comments behind them stay."""
        source = self.source.encode()
        for each in sorted(self.assignments, key=lambda each: each.start, reverse=True):
            if each.name in literals:
                text = f"{each.prefix}{literals[each.name]}".encode()
                source = source[: each.start] + text + source[each.end :]
        certain = {each.name for each in self.assignments if each.certain}
        lines = [f"\n{name} = {text}" for name, text in literals.items() if name not in certain]
        return source.decode() + "".join(lines)


def _assignments(tree: ast.Module, starts: list[int]) -> Iterator[Assignment]:
    def span(node: ast.stmt | ast.expr) -> tuple[int, int]:
        last_line, last_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return starts[node.lineno - 1] + node.col_offset, starts[last_line - 1] + last_column

    for statement in _statements(tree):
        certain = statement in tree.body
        whole, end = span(statement)
        for name in _assigned_names(statement):
            if _is_plain(statement):
                value = statement.value
                start, end, prefix = (*span(value), "") if value else (end, end, " = ")
                yield Assignment(name, start, end, prefix, certain)
            elif isinstance(statement, ast.AugAssign):
                yield Assignment(name, whole, end, f"{name} = ", certain)
            else:  # a, b = ..., a = b = ...: the name gets its value right behind
                yield Assignment(name, end, end, f"; {name} = ", certain)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Return the statements that run in the cell's own scope, in their order."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.expr, *OTHER_SCOPES)):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from _statements(child)


def _assigned_names(statement: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    nodes = (node for target in targets for node in ast.walk(target))
    return [
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]


def _is_plain(statement: ast.stmt) -> TypeGuard[ast.Assign | ast.AnnAssign]:
    """Return whether it is `name = value`, `name: type = value` or `name: type`."""
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name)
    return (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Name)
    )


def _parse(source: str) -> ast.Module:
    """Parse a cell; a line of IPython's own counts as `pass`, so that line numbers stay."""
    lines = source.split("\n")
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the kernel shows them when the cell runs
                return ast.parse("\n".join(lines), filename="that cell")
        except (SyntaxError, ValueError) as error:
            # Only where Python stops: such a line may also stand in a text over several lines.
            number = (getattr(error, "lineno", None) or len(lines) + 1) - 1
            if number >= len(lines) or not IPYTHON_LINE.match(lines[number]):
                raise ValueError(
                    f"The notebook's cell tagged 'parameters' is not Python: {error}."
                ) from error
            _leave_out(lines, number)


def _leave_out(lines: list[str], number: int) -> None:
    """Put `pass` for an IPython line, and nothing for the lines that a backslash adds to it."""
    line = lines[number]
    lines[number] = line[: len(line) - len(line.lstrip())] + "pass"
    while line.endswith("\\") and number + 1 < len(lines):
        number += 1
        line, lines[number] = lines[number], ""
