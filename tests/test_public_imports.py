"""Notebooks and the README use public names only, so that moves in the package break none."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

import cifar_lab

CHECKOUT = Path(__file__).parents[1]
STUB = ast.parse(Path(cifar_lab.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
(PUBLIC,) = [ast.literal_eval(node.value) for node in STUB.body if isinstance(node, ast.Assign)]
PAGES = [*sorted((CHECKOUT / "notebooks").glob("*.ipynb")), CHECKOUT / "README.md"]


def code_of(page: Path) -> str:
    """Return the Python code of a notebook or a Markdown page."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def used_names(code: str) -> list[tuple[str, ...]]:
    """Return what the code takes from the package: the path of names below `cifar_lab`."""
    used: list[tuple[str, ...]] = []
    names = {"cifar_lab"}  # those that stand for the package
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            package = [each for each in node.names if each.name == "cifar_lab"]
            names |= {each.asname for each in package if each.asname}
            paths = [tuple(each.name.split(".")) for each in node.names]
            used += [path[1:] for path in paths if path[0] == "cifar_lab" and path[1:]]
        if isinstance(node, ast.ImportFrom):
            package, *rooms = (node.module or "").split(".")
            if package == "cifar_lab":
                used += [(*rooms, each.name) for each in node.names]
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in names
        ):
            used.append((node.attr,))
    return used


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_takes_only_public_names_from_the_package(page: Path) -> None:
    used = used_names(code_of(page))
    assert used, "it uses the package"
    assert [".".join(path) for path in used if path[1:] or path[0] not in PUBLIC] == []


def test_names_below_the_public_ones_are_seen() -> None:
    code = "import cifar_lab.data\nfrom cifar_lab.models.convnet import ConvNet\ncifar_lab.load"
    assert used_names(code) == [("data",), ("models", "convnet", "ConvNet"), ("load",)]
    assert used_names("import cifar_lab as lab\nlab.data") == [("data",)]
