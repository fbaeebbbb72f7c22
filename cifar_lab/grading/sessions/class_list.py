"""What a class's session is to grade, as files that its workers read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cifar_lab.grading.settings import Settings
from cifar_lab.utils.files import write_text


@dataclass(frozen=True)
class ClassList:
    """The submissions that a session goes through.

    Attributes:
        folders: Folder of each submission, by its name in the results.
        again: Whether they are graded even where they have a grade.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)
    again: bool = False

    def write(self, path: Path) -> None:
        """Write the list to a file."""
        folders = {name: str(folder) for name, folder in self.folders.items()}
        write_text(path, json.dumps({"folders": folders, "again": self.again}))

    @classmethod
    def read(cls, path: Path) -> ClassList:
        """Return the list that `write` wrote.

        Raises:
            OSError, ValueError, KeyError: It can't be read.
        """
        content = json.loads(path.read_text(encoding="utf-8"))
        folders = {name: Path(folder) for name, folder in content["folders"].items()}
        return cls(folders, content["again"])


def write_settings(settings: Settings, path: Path) -> None:
    """Write the settings, with absolute paths, as a file that `read_settings` reads."""
    content = asdict(settings) | {"points": dict(settings.points)}
    for name in ("data_folder", "template"):
        given = getattr(settings, name)
        if given is None:
            del content[name]
        else:
            content[name] = str(given.resolve())
    write_text(path, json.dumps(content))
