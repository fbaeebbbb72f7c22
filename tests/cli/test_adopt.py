"""`cifar-lab adopt`, tried on a copy of the checkout's files."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from cifar_lab.cli.adopt import PLACES, Address, adopt, current_address, repository_of
from cifar_lab.cli.main import main
from cifar_lab.cli.notebook_file import code_digest

CHECKOUT = Path(__file__).parents[2]
OTHER = Address("my-university/cifar.course-2", "spring/2027")


@pytest.fixture
def copy(tmp_path):
    for place in PLACES:
        for path in CHECKOUT.glob(place):
            target = tmp_path / path.relative_to(CHECKOUT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return tmp_path


def texts(folder):
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_new_address_stands_everywhere_and_the_old_one_nowhere(copy):
    before = texts(copy)
    old = current_address(copy).repository
    addresses = {path: text.count(f"github.com/{old}") for path, text in before.items()}
    badges = {path: text.count(f"/github/{old}/") for path, text in before.items()}
    changed = adopt(copy, OTHER)
    assert set(changed) == {path for path in before if addresses[path] + badges[path]}
    for path, text in texts(copy).items():
        assert f"/{old}" not in text
        assert text.count("my-university/cifar.course-2") == addresses[path] + badges[path]
    assert current_address(copy) == OTHER


def test_no_file_of_the_package_has_an_address_that_is_not_adopted():
    old = current_address(CHECKOUT).repository
    known = {path for place in PLACES for path in CHECKOUT.glob(place)}
    others = [
        path
        for folder in ("cifar_lab", "notebooks", "tests")
        for path in (CHECKOUT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".ipynb", ".toml", ".txt", ".json"}
    ]
    found = {path for path in others if f"{old}/blob" in path.read_text()}
    assert found <= known


def test_badges_and_set_up_cells_lead_to_the_notebook_at_the_new_address(copy):
    adopt(copy, OTHER)
    notebooks = sorted(copy.glob("notebooks/*.ipynb"))
    assert len(notebooks) == 4
    for path in notebooks:
        cells = nbformat.read(path, as_version=4).cells
        there = f"my-university/cifar.course-2/blob/spring/2027/notebooks/{path.name})"
        assert f"(https://colab.research.google.com/github/{there}" in cells[0].source
        assert f"src=https://github.com/{there}" in cells[0].source
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        expected = "git+https://github.com/my-university/cifar.course-2@spring/2027"
        assert re.findall(r'(?m)^ADDRESS = "([^"]*)"', code) == [expected]
    project = (copy / "pyproject.toml").read_text()
    assert 'Repository = "https://github.com/my-university/cifar.course-2"' in project


def test_outputs_and_the_digest_of_the_executed_code_stay(copy):
    def kept():
        notebooks = [nbformat.read(path, 4) for path in sorted(copy.glob("notebooks/*.ipynb"))]
        outputs = [cell.get("outputs") for notebook in notebooks for cell in notebook.cells]
        return outputs, [code_digest(notebook) for notebook in notebooks]

    before = kept()
    adopt(copy, OTHER)
    assert kept() == before


def test_adopting_back_restores_each_byte_and_twice_changes_nothing(copy):
    before, old = texts(copy), current_address(copy)
    adopt(copy, OTHER)
    assert adopt(copy, OTHER) == []
    adopt(copy, old)
    assert texts(copy) == before


def test_a_longer_name_that_begins_alike_is_left_alone(copy):
    adopt(copy, Address("a/course", "main"))
    page = copy / "README.md"
    page.write_text("See https://github.com/a/course-2 and https://github.com/a/course.\n")
    adopt(copy, OTHER)
    expected = "See https://github.com/a/course-2 and https://github.com/my-university/"
    assert page.read_text().startswith(expected)


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/a/b",
        "https://github.com/a/b/",
        "https://github.com/a/b.git",
        "http://www.github.com/a/b",
        "git@github.com:a/b.git",
        "github.com/a/b",
        " https://github.com/a/b ",
    ],
)
def test_an_address_is_read_in_each_of_its_forms(address):
    assert repository_of(address) == "a/b"


@pytest.mark.parametrize(
    "address", ["https://gitlab.com/a/b", "a", "https://github.com/a", "https://github.com/a/b/c"]
)
def test_another_address_is_refused_with_the_expected_form(address, capsys):
    with pytest.raises(SystemExit):
        main(["adopt", address])
    assert "expected https://github.com/OWNER/REPO" in capsys.readouterr().err


def test_the_command_works_from_a_folder_of_the_checkout_and_names_what_it_changed(
    copy, monkeypatch, capsys
):
    monkeypatch.chdir(copy / "notebooks")
    assert main(["adopt", "https://github.com/a/b", "--branch", "work"]) == 0
    assert current_address(copy) == Address("a/b", "work")
    said = capsys.readouterr().out
    assert said.count(".ipynb") == 4 and "Commit and push" in said


def test_outside_of_a_checkout_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["adopt", "https://github.com/a/b"]) == 1
    assert "is in no checkout of cifar-lab" in capsys.readouterr().err
