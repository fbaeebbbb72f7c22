"""Likeness of code cells: digests that white space, comments and names of variables don't change.

The text is read by one regular expression, not by Python's parser: it is a student's, may be
anything, and is read in the grader's own process. Equal digests are a hint and no proof.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from cifar_lab.utils.address import without_address

GIVEN = Path(__file__).with_name("given_cells.txt")  # digests, one a line
FEWEST_LINES = 3
TOKENS_OF_A_LINE = 20  # a statement over several lines counts as several, however it is wrapped
LONGEST_CELL = 50_000  # characters that are looked at
MOST_CELLS, MOST_CODE = 500, 400_000  # cells, and characters, of a notebook
# Not taken from the running Python: a digest is the same everywhere.
_NAMES = """
    abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr
    classmethod compile complex delattr dict dir display divmod enumerate eval exec exit
    filter float format frozenset get_ipython getattr globals hasattr hash help hex id input
    int isinstance issubclass iter len list locals map max memoryview min next object oct
    open ord pow print property quit range repr reversed round set setattr slice sorted
    staticmethod str sum super tuple type vars zip
"""
BUILTINS = frozenset(_NAMES.split())
KEYWORDS = frozenset(keyword.kwlist)
TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
    |(?P<text>[rbuftRBUFT]{0,2}
        (?:"{3}(?:[^"\\]|\\.?|"(?!""))*(?:"{3}|\Z)
        |'{3}(?:[^'\\]|\\.?|'(?!''))*(?:'{3}|\Z)
        |"(?:[^"\\\n]|\\.?)*"?
        |'(?:[^'\\\n]|\\.?)*'?))
    |(?P<name>[^\W\d]\w*)
    |(?P<number>\d[\w.]*|\.\d\w*)
    |(?P<joined>\\\r?\n)
    |(?P<newline>\n)
    |(?P<space>[^\S\n]+)
    |(?P<sign>:=|[=!<>]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
MAGIC = re.compile(r"^[ \t]*[%!?][^\n]*$", re.MULTILINE)  # IPython's, and commands of the shell
PLACEHOLDER = re.compile(r"\{[^{}]*\}")
NAME = re.compile(r"(?<![.\w])[^\W\d]\w*")
OPENING, CLOSING = "([{", ")]}"
Token = tuple[str, str]  # kind and text


def code_cell_digest(source: str) -> str | None:
    """Return the digest of a cell's code without white space, comments and names of variables.

    Names are numbered in the order in which they appear. Kept are keywords, Python's own names,
    names in imports, attributes that the cell doesn't set, keyword arguments, and names with a
    capital that are not the cell's own, such as `DataLoader`. Quotes may be of either kind.

    Returns:
        A SHA-256 in hexadecimal digits; None for cells with fewer than three lines of code, where
        imports, comments and IPython's commands don't count.
    """
    statements = list(_statements(_tokens(without_address(source[:LONGEST_CELL]))))
    statements = [one for one in statements if one[0][1] not in ("import", "from")]
    lines = sum(max(1, len(one) // TOKENS_OF_A_LINE) for one in statements)
    if lines < FEWEST_LINES:
        return None
    text = " ".join(_Renaming(statements).words())
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def own_cell_digests(sources: Iterable[str], template: Path | None = None) -> list[str]:
    """Return the digests of code cells, each once, without those that students were given.

    Args:
        sources: Texts of the code cells.
        template: Notebook that the course handed out, besides those of this package.
    """
    given, left = given_cell_digests(template), MOST_CODE
    found: dict[str, None] = {}
    for source in sources:
        left -= len(source)
        if left < 0 or len(found) == MOST_CELLS:
            break
        digest = code_cell_digest(source)
        if digest is not None and digest not in given:
            found[digest] = None
    return list(found)


@lru_cache(maxsize=8)
def given_cell_digests(template: Path | None = None) -> frozenset[str]:
    """Return the digests of the code cells of this package's notebooks and documentation.

    Args:
        template: A further notebook that the course handed out; other files have no cells.
    """
    given = set(GIVEN.read_text(encoding="utf-8").split()) if GIVEN.is_file() else set()
    if template is not None and template.suffix.lower() == ".ipynb":
        digests = map(code_cell_digest, code_of(template.read_bytes()))
        given.update(filter(None, digests))
    return frozenset(given)


def code_of(notebook: bytes) -> list[str]:
    """Return the code cells' texts in a notebook's file; none where it is no notebook."""
    try:
        cells = json.loads(notebook.decode("utf-8-sig"))["cells"]
        sources = [one["source"] for one in cells if one["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return ["".join(map(str, one)) if isinstance(one, list) else str(one) for one in sources]


def _tokens(source: str) -> Iterator[Token]:
    """Yield what is code; a line's end inside of brackets is white space."""
    depth = 0
    for found in TOKEN.finditer(MAGIC.sub("", source.replace("\r\n", "\n").replace("\r", "\n"))):
        kind, text = str(found.lastgroup), found[0]
        if kind in ("comment", "joined", "space") or (kind == "newline" and depth > 0):
            continue
        if kind == "sign":
            depth = max(0, depth + (text in OPENING) - (text in CLOSING))
        yield ("newline", "") if text == ";" and depth == 0 else (kind, text)


def _statements(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each statement, without commas before a closing bracket."""
    statement: list[Token] = []
    for kind, text in tokens:
        if kind == "newline":
            if statement:
                yield statement
            statement = []
            continue
        if text in CLOSING and kind == "sign" and statement[-1:] == [("sign", ",")]:
            statement.pop()
        statement.append((kind, text))
    if statement:
        yield statement


class _Renaming:
    """The words of a cell with its variables numbered.

    Args:
        statements: The statements' tokens.
    """

    def __init__(self, statements: list[list[Token]]) -> None:
        self.statements = statements
        self.numbers: dict[str, int] = {}
        self.set_attributes, self.own = self._set_in_cell()

    def _set_in_cell(self) -> tuple[set[str], set[str]]:
        """Return the attributes that the cell sets, and the classes and names with a capital."""
        attributes, own = set(), set()
        for tokens in self.statements:
            texts = ["", "", *[text for _, text in tokens], ""]
            for place, (kind, text) in enumerate(tokens, start=2):
                if kind != "name":
                    continue
                before, after = texts[place - 1], texts[place + 1]
                if before == "." and after in ("=", ":") and texts[place - 2] == "self":
                    attributes.add(text)
                elif before in ("class", "def", "for", "as", "lambda") or (
                    after == "=" and before != "." and place == 2
                ):
                    own.add(text)
        return attributes, own

    def words(self) -> Iterator[str]:
        """Yield the words, a semicolon after each statement."""
        for tokens in self.statements:
            yield from self._of_statement(tokens)
            yield ";"

    def _of_statement(self, tokens: list[Token]) -> Iterator[str]:
        brackets: list[str] = []  # "call" where names before an equals sign are parameters' names
        signature = tokens[0][1] in ("def", "async", "class")
        before = ("", "")
        for place, (kind, text) in enumerate(tokens):
            after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
            if kind == "sign" and text in OPENING:
                called = text == "(" and (before[0] == "name" or before[1] in (")", "]"))
                outermost = signature and not brackets
                brackets.append("call" if called and not outermost else "other")
            elif kind == "sign" and text in CLOSING and brackets:
                brackets.pop()
            in_call = bool(brackets) and brackets[-1] == "call"
            if kind == "name":
                yield self._name(text, before[1], is_keyword=in_call and after == "=")
            elif kind == "text":
                yield self._text(text)
            else:
                yield text
            before = (kind, text)

    def _name(self, name: str, before: str = "", *, is_keyword: bool = False) -> str:
        if name in KEYWORDS or is_keyword:
            return name
        if before == ".":
            return self._number(f".{name}") if name in self.set_attributes else name
        if name in BUILTINS or (name[0].isupper() and name not in self.own):
            return name
        return self._number(name)

    def _number(self, name: str) -> str:
        return f"v{self.numbers.setdefault(name, len(self.numbers))}"

    def _text(self, text: str) -> str:
        """Return a string's content, and of a formatted one with the variables numbered."""
        prefix = re.match(r"[A-Za-z]*", text)
        letters = sorted(prefix[0].lower()) if prefix else []
        content = text[len(letters) :].strip("\"'")
        if "f" in letters:
            content = PLACEHOLDER.sub(
                lambda place: NAME.sub(lambda name: self._name(name[0]), place[0]), content
            )
        return f"{''.join(letters)}'{content}'"
