"""`cifar-lab adopt`: the address from which notebooks open and install the package."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cifar_lab.utils.files import read_text, write_together

if TYPE_CHECKING:
    from cifar_lab.cli.options import Commands

PROJECT = "pyproject.toml"
# Every file of a checkout in which the address may stand.
PLACES = (PROJECT, "README.md", "notebooks/*.md", "notebooks/*.ipynb", "cifar_lab/*/*.md")
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
BRANCH = r"[A-Za-z0-9][A-Za-z0-9._/-]*"


class Address(NamedTuple):
    """A branch of a repository on GitHub, the only host from which Colab opens notebooks.

    Attributes:
        repository: OWNER/REPO.
        branch: Name of the branch.
    """

    repository: str
    branch: str

    @property
    def url(self) -> str:
        """The repository's page."""
        return f"https://github.com/{self.repository}"

    def texts(self) -> tuple[str, ...]:
        """Return each form in which the address stands in files, the longest first."""
        return (
            f"github/{self.repository}/blob/{self.branch}",  # Colab's badge
            f"{self.url}/blob/{self.branch}",  # Kaggle's badge
            f"git+{self.url}@{self.branch}",  # the set-up cell
            self.url,
        )


def add_command(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "adopt",
        help="set the address from which the notebooks open and install the package",
        description="Set the address of a published copy of this repository in pyproject.toml, in "
        "every notebook's badges and set-up cell, and on the pages. Outputs stay as they are.",
        epilog="example: cifar-lab adopt https://github.com/my-university/cifar-course",
    )
    parser.add_argument("address", metavar="https://github.com/OWNER/REPO", type=repository_of)
    parser.add_argument("--branch", default="main", type=_branch, help="default: main")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> None:
    """Set the address in the checkout that the current folder is in."""
    changed = adopt(checkout(Path.cwd()), Address(options.address, options.branch))
    for path in changed:
        print(path)
    print(
        "Commit and push these files; then every badge opens its notebook."
        if changed
        else "This address is set already."
    )


def repository_of(address: str) -> str:
    """Return OWNER/REPO of a repository's address on GitHub.

    Raises:
        argparse.ArgumentTypeError: It is no address of that kind.
    """
    found = re.fullmatch(
        rf"(?:https?://|git@)?(?:www\.)?github\.com[/:]({NAME}/{NAME}?)(?:\.git)?/?",
        address.strip(),
    )
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{address!r} is no repository on GitHub; expected https://github.com/OWNER/REPO "
            "(Colab opens notebooks from no other host. Elsewhere, hand out a wheel.)"
        )
    return found[1].removesuffix(".git")


def _branch(name: str) -> str:
    if re.fullmatch(BRANCH, name) is None:
        raise argparse.ArgumentTypeError(f"{name!r} is no name of a branch; expected one as main.")
    return name


def checkout(place: Path) -> Path:
    """Return the checkout of this package that a folder is in.

    Raises:
        FileNotFoundError: It is in none.
    """
    for folder in (place, *place.parents):
        project = folder / PROJECT
        if project.is_file() and 'name = "cifar-lab"' in read_text(project):
            return folder
    raise FileNotFoundError(
        f"{place} is in no checkout of cifar-lab. Clone the repository, and call this inside it."
    )


def current_address(root: Path) -> Address:
    """Return the address that a checkout has.

    Raises:
        ValueError: There is none in its files.
    """
    notebooks = sorted(root.glob("notebooks/*.ipynb"))
    found = re.search(
        rf"git\+https://github\.com/({NAME}/{NAME})@({BRANCH})",
        "".join(read_text(path) for path in notebooks[:1]),
    )
    if found is None:
        raise ValueError(
            f"No notebook in {root / 'notebooks'} has an address in its set-up cell. Take the "
            "notebooks from the original repository again."
        )
    return Address(found[1], found[2])


def adopt(root: Path, address: Address) -> list[Path]:
    """Set the address in all files of a checkout, in all of them or none; return the changed."""
    before = current_address(root)
    contents: dict[Path, bytes | None] = {}
    for path in sorted(one for place in PLACES for one in root.glob(place)):
        text = content = path.read_bytes().decode()
        for old, new in zip(before.texts(), address.texts(), strict=True):
            # Not the beginning of a longer name: OWNER/REPO is not OWNER/REPO-2.
            content = re.sub(rf"{re.escape(old)}(?![\w-])", new, content)
        if content != text:
            contents[path] = content.encode()
    write_together(contents)
    return list(contents)
