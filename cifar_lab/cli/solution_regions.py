"""Solutions in a notebook's cells, between nbgrader's marks, and what students find in their place.

    ### BEGIN SOLUTION
    values_per_image = 3 * 32 * 32
    ### END SOLUTION

A line with these words is a mark, as nbgrader has it. nbgrader's placeholder raises an error, which
ends a notebook that runs from top to bottom; so that stands inside functions only, which nobody has
to call. Elsewhere the names that later cells need are `...`, or an empty class or function.
"""

from __future__ import annotations

import ast
import copy
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
ALMOST = re.compile(r"\s*(?:#|//|%|<!--).*\b(?:begin|end)[\s_-]*solutions?\b", re.IGNORECASE)
CODE, RAISES, TEXT = "# YOUR CODE HERE", "raise NotImplementedError()", "YOUR ANSWER HERE"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
HEADED = (*FUNCTIONS, ast.ClassDef)
Headed = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
COMPREHENSIONS = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Region:
    """The lines of a solution, from 0, marks included.

    Attributes:
        begin, end: Lines of the marks.
    """

    begin: int
    end: int

    def holds(self, line: int) -> bool:
        """Return whether a line is in it."""
        return self.begin <= line <= self.end


def regions_in(source: str) -> list[Region]:
    """Return the solutions in a cell's source.

    Raises:
        ValueError: A mark has no other, or a line looks as if it were meant to be a mark.
    """
    found, begin = [], None
    for number, line in enumerate(source.split("\n")):
        if BEGIN in line:
            if begin is not None:
                raise ValueError(f"line {number + 1} begins a solution inside another one")
            begin = number
        elif END in line:
            if begin is None:
                raise ValueError(f"line {number + 1} ends a solution that no line before it begins")
            found.append(Region(begin, number))
            begin = None
        elif ALMOST.match(line):
            raise ValueError(
                f"line {number + 1} is {line.strip()!r}; a mark was expected to read "
                f"'### {BEGIN}' or '### {END}'"
            )
    if begin is not None:
        raise ValueError(f"the solution that line {begin + 1} begins has no '### {END}'")
    return found


def take_out_solutions(nodes: Mapping[int, NotebookNode], *, raising: bool = False) -> int:
    """Put placeholders where a notebook's solutions are; return how many there were.

    Args:
        nodes: Cells by their numbers, in order; they are changed.
        raising: Puts nbgrader's placeholder into all code: the run of the notebook ends there.

    Raises:
        ValueError: A cell's marks can't be understood; the message names the cell.
    """
    cells = [_Cell.read(node, number) for number, node in nodes.items()]
    given: set[str] = set()
    for index, cell in enumerate(cells):
        cell.given_before = set(given)
        cell.needed = {name for later in cells[index + 1 :] for name in later.needs()}
        if cell.regions:
            cell.node.source = cell.handed_out(raising)
        given |= cell.gives()
    return sum(len(cell.regions) for cell in cells)


class _Cell:
    """A cell with its solutions, and what the other cells say of its names.

    Attributes:
        given_before: Names that the cells above give values.
        needed: Names that the cells below use.
    """

    def __init__(self, node: NotebookNode, regions: list[Region], name: str) -> None:
        self.node, self.regions, self.name = node, regions, name
        self.lines = node.source.split("\n")
        self.tree = _parsed(node.source) if node.cell_type == "code" else None
        self.given_before: set[str] = set()
        self.needed: set[str] = set()

    @classmethod
    def read(cls, node: NotebookNode, number: int) -> _Cell:
        name = f"Cell {number}" + (f" ({node.id})" if "id" in node else "")
        try:
            return cls(node, regions_in(node.source), name)
        except ValueError as error:
            raise ValueError(f"{name}: {error}.") from error

    def needs(self, after: int = -1) -> set[str]:
        """Return the names that are used outside of the solutions, below a line."""
        if self.node.cell_type != "code":
            return set()
        if self.tree is None:  # no Python: any word may be a name
            kept = [line for number, line in enumerate(self.lines) if not self._in_region(number)]
            return set(re.findall(r"\w+", "\n".join(kept)))
        return {
            node.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and node.lineno - 1 > after
            and not self._in_region(node.lineno - 1)
        }

    def gives(self) -> set[str]:
        """Return the names that the cell gives values as it is handed out."""
        tree = _parsed(self.node.source) if self.node.cell_type == "code" else None
        return set() if tree is None else set(_bound(tree.body))

    def _in_region(self, line: int) -> bool:
        return any(region.holds(line) for region in self.regions)

    def handed_out(self, raising: bool) -> str:
        """Return the source with placeholders.

        Raises:
            ValueError: What is left is no Python.
        """
        own = [self.lines[region.begin : region.end + 1] for region in self.regions]
        chosen = []
        for index, region in enumerate(self.regions):
            choices = [self._indented(region, stub) for stub in self._stubs(region, raising)]
            if self.tree is not None and not raising:
                choices = [
                    one
                    for one in choices
                    if _parsed(self._with([*own[:index], one, *own[index + 1 :]])) is not None
                ]
            if not choices:
                raise ValueError(
                    f"{self.name}: without the solution in line {region.begin + 1} it is no "
                    "Python. Put the marks around whole statements."
                )
            chosen.append(choices[0])
        return self._with(chosen)

    def _with(self, stubs: Sequence[list[str]]) -> str:
        """Return the source with these lines in the places of the solutions."""
        lines: list[str] = []
        last = 0
        for region, stub in zip(self.regions, stubs, strict=True):
            lines += [*self.lines[last : region.begin], *stub]
            last = region.end + 1
        return "\n".join([*lines, *self.lines[last:]])

    def _indented(self, region: Region, stub: list[str]) -> list[str]:
        mark = self.lines[region.begin]
        indent = mark[: len(mark) - len(mark.lstrip())]
        return [indent + line for line in stub]

    def _stubs(self, region: Region, raising: bool) -> list[list[str]]:
        """Return the placeholders that may stand for a solution, the best one first."""
        if self.node.cell_type != "code":
            return [[TEXT]]
        if raising:
            return [[CODE, RAISES]]
        if self.tree is None:
            return [[CODE]]
        statements, scopes = self._statements(region)
        if any(isinstance(scope, FUNCTIONS) for scope in scopes):
            return [[CODE, RAISES]]
        if scopes:  # the body of a class, which runs
            return [[CODE, "..."]]
        if statements:  # a block may need one
            return [self._values(region, statements), [CODE, "..."]]
        code = (line.strip() for line in self.lines[region.begin + 1 : region.end])
        if all(line.startswith("#") or not line for line in code):
            return [[CODE], [CODE, "..."]]
        return [[CODE, "...,"], [CODE, "..."], [CODE]]  # in the midst of an expression

    def _statements(self, region: Region) -> tuple[list[ast.stmt], list[ast.AST]]:
        """Return a solution's outermost statements, and the functions and classes around them."""
        assert self.tree is not None
        statements: list[ast.stmt] = []
        around: list[ast.AST] = []

        def look(node: ast.AST, scopes: list[ast.AST]) -> None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt) and region.holds(_first_line(child)):
                    if not statements:
                        around.extend(scopes)
                    statements.append(child)
                    continue
                look(child, [*scopes, child] if isinstance(child, HEADED) else scopes)

        look(self.tree, [])
        return statements, around

    def _values(self, region: Region, statements: list[ast.stmt]) -> list[str]:
        """Return lines for the names that a solution gives and that are needed and given nowhere.

        A class or function keeps its first line, by which other cells know it.
        """
        assert self.tree is not None
        given = self.given_before | set(_bound(self.tree.body, above=region.begin))
        needed = self.needed | self.needs(after=region.end)
        bound = _bound(statements)
        plain, headed = [], []
        for name, node in bound.items():
            if name not in needed or name in given:
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                plain.append(ast.unparse(node))
            elif isinstance(node, HEADED) and not bound.keys() & _used_in_header(node):
                headed += _header(node)
            else:
                plain.append(f"{name} = ...")
        return [*([CODE] if plain or not headed else []), *plain, *headed]


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min(one.lineno for one in (node, *decorators)) - 1


def _parsed(source: str) -> ast.Module | None:
    """Return the tree of a cell's source, line by line; None where it is no Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the kernel shows them when the cell runs
        with suppress(SyntaxError, ValueError, RecursionError):
            return ast.parse(source)
        with suppress(SyntaxError, ValueError, RecursionError):
            python = TransformerManager().transform_cell(source)  # without IPython's own lines
            if python.count("\n") == source.count("\n") + 1:  # some take several lines together
                return ast.parse(python)
    return None


def _bound(statements: Iterable[ast.stmt], above: float = math.inf) -> dict[str, ast.AST]:
    """Return the names that statements give values in their own scope, with what gives them.

    Args:
        statements: Statements.
        above: Line, from 0, above which they are looked at.
    """
    found: dict[str, ast.AST] = {}

    def look(node: ast.AST) -> None:
        if getattr(node, "lineno", 1) - 1 >= above:
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = (alias.asname or alias.name).partition(".")[0]
                found[name] = _import_of(node, alias)
        elif isinstance(node, HEADED):
            found[node.name] = node
        elif not isinstance(node, COMPREHENSIONS):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found[node.id] = node
            for child in ast.iter_child_nodes(node):
                look(child)

    for statement in statements:
        look(statement)
    return found


def _header(node: Headed) -> list[str]:
    """Return a class or a function that is still to be written."""
    empty = copy.copy(node)
    empty.decorator_list, empty.body = [], [ast.Expr(ast.Constant(...))]
    *header, _ = ast.unparse(empty).splitlines()
    return [*header, f"    {CODE}", f"    {'...' if isinstance(node, ast.ClassDef) else RAISES}"]


def _used_in_header(node: Headed) -> set[str]:
    parts: list[ast.AST] = (
        [*node.bases, *node.keywords]
        if isinstance(node, ast.ClassDef)
        else [node.args, *([node.returns] if node.returns else [])]
    )
    return {each.id for part in parts for each in ast.walk(part) if isinstance(each, ast.Name)}


def _import_of(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.Import([alias])
    return ast.ImportFrom(node.module, [alias], node.level)
