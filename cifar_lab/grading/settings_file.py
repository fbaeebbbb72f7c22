"""Settings from a file and from options, with every name in them checked."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.grading.checks.table import checks_of
from cifar_lab.grading.course_file import read_course_file
from cifar_lab.grading.settings import LIMITS, Settings
from cifar_lab.utils.errors import unknown_name

if TYPE_CHECKING:
    import pytest


def read_settings(path: Path | None, **given: Any) -> Settings:
    """Return the settings from a TOML or JSON file, and those that are given here.

    Args:
        path: File with the names of `Settings`, and tables (objects) `points`, `run` and `look`;
            None for the usual settings.
        **given: Settings that replace those of the file; None leaves the file's.

    Raises:
        ValueError: The file can't be read, or a name or value in it is none of the settings'.
    """
    content: dict[str, Any] = {} if path is None else read_course_file(path, "settings")
    content |= {name: value for name, value in given.items() if value is not None}
    known = {one.name for one in fields(Settings)}
    for name in content:
        if name not in known:
            raise unknown_name("setting", name, known)
    try:
        for name in LIMITS:
            if isinstance(content.get(name), dict):
                content[name] = replace(getattr(Settings, name), **content[name])
        for name in ("template", "data_folder"):
            if isinstance(content.get(name), str):
                content[name] = Path(content[name])
        settings = Settings(**content)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"The settings can't be used: {error}.") from error
    checks_of(settings)  # refuses a check that does not exist, before anything is graded
    return settings


def settings_of(config: pytest.Config) -> Settings:
    """Return the settings from the options of a pytest session.

    Raises:
        ValueError: As `read_settings`.
    """
    option = config.getoption
    file = option("settings")
    return read_settings(
        None if file is None else Path(file),
        assignment=option("assignment"),
        dataset=option("dataset"),
        data_folder=option("data"),
    )
