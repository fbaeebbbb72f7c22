"""The archive that an instructor uploads to Gradescope, as its documentation describes it.

https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cifar_lab.data.download import missing_files
from cifar_lab.data.mirrors import spec_for
from cifar_lab.grading.autograder.on_gradescope import (
    COURSE,
    DATA,
    OVERRIDES,
    SETTINGS,
    TEMPLATES,
)
from cifar_lab.grading.autograder.wheel import OWN_NAME, requirements, wheel
from cifar_lab.grading.course_file import read_course_file
from cifar_lab.grading.machine import USUAL
from cifar_lab.grading.overrides import read_overrides
from cifar_lab.grading.settings import LIMITS, Settings
from cifar_lab.grading.settings_file import read_settings
from cifar_lab.utils.files import read_text, write_atomically

HERE = Path(__file__).parent
MOST_MINUTES = 40  # that an instructor may set on Gradescope
RUNS = 6  # within that time, each as long as a run may take
MEMORY_MIB = 4096  # of a run: the grader itself needs the rest of the largest container's 6 GB
PATIENCE = 2.0  # times as long on a busy machine: the container's time goes on
# Packages whose usual build needs a screen.
WITHOUT_SCREEN = {"opencv-python": "opencv-python-headless"}
EXECUTABLE, PLAIN = 0o755, 0o644


@dataclass(frozen=True)
class Course:
    """What an archive is made of.

    Attributes:
        assignment: Assignment, "a" or "b".
        dataset: Dataset of the reported accuracies; None for the assignment's.
        settings: TOML or JSON file with points and limits.
        overrides: TOML or JSON file with the instructor's word; students are named by their e-mail
            address or name on Gradescope.
        data_folder: Folder of the datasets, to take CIFAR's files along; None to download them
            when the image is built.
        packages: File with the packages that notebooks may import, one a line as pip takes them;
            None for those that such notebooks use most.
        minutes: Time that Gradescope gives a submission, as set there.
    """

    assignment: str
    dataset: str | None = None
    settings: Path | None = None
    overrides: Path | None = None
    data_folder: Path | None = None
    packages: Path | None = None
    minutes: int = MOST_MINUTES


@dataclass
class Contents:
    """The files of an archive, by name: their contents, or where they lie."""

    files: dict[str, bytes | Path] = field(default_factory=dict)

    def add_text(self, name: str, text: str) -> None:
        """Add a text."""
        self.files[name] = text.encode()

    def add_json(self, name: str, content: Any) -> None:
        """Add data."""
        self.add_text(name, json.dumps(content, indent=1))


def write_archive(course: Course, out: Path) -> None:
    """Write the archive.

    Raises:
        ValueError: A setting, an override or a package can't be used, or CIFAR's files are not in
            the folder that was given.
        OSError: The archive can't be written.
    """
    contents = contents_of(course)

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.files.items():
                entry = zipfile.ZipInfo(name)
                entry.create_system = 3  # Unix, which alone knows permissions
                mode = EXECUTABLE if name in ("setup.sh", "run_autograder") else PLAIN
                entry.external_attr = (0o100000 | mode) << 16
                data = content.read_bytes() if isinstance(content, Path) else content
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)

    write_atomically(out, write)


def contents_of(course: Course) -> Contents:
    """Return the archive's files.

    Raises:
        ValueError: As `write_archive`.
    """
    if not 2 <= course.minutes <= MOST_MINUTES:
        raise ValueError(
            f"minutes is {course.minutes}; expected 2 to {MOST_MINUTES}, the most that Gradescope "
            "gives a submission."
        )
    settings = read_settings(course.settings, assignment=course.assignment, dataset=course.dataset)
    contents = Contents()
    for name in ("setup.sh", "run_autograder"):
        source = HERE / (name if name.endswith(".sh") else f"{name}.py")
        contents.add_text(name, read_text(source).replace("\r\n", "\n"))
    name, content = wheel()
    contents.files[name] = content
    contents.add_text("requirements.txt", "\n".join([*requirements("grading"), ""]))
    contents.add_text("packages.txt", "\n".join([*_packages(course.packages), ""]))
    about = {"assignment": course.assignment, "dataset": settings.dataset}
    contents.add_json(COURSE, about | {"minutes": course.minutes})
    given = {} if course.settings is None else read_course_file(course.settings, "settings")
    contents.add_json(SETTINGS, _settings(given, settings, course.minutes))
    if settings.template is not None:
        notebook = settings.template.suffix.lower() == ".ipynb"
        contents.files[TEMPLATES[0] if notebook else TEMPLATES[1]] = settings.template
    if course.overrides is not None:
        read_overrides(course.overrides, settings)  # refuses what is wrong in it
        contents.add_json(OVERRIDES, read_course_file(course.overrides, "overrides"))
    if course.data_folder is not None:
        contents.files |= _dataset(settings.dataset, course.data_folder)
    return contents


def _packages(path: Path | None) -> list[str]:
    """Return the packages that notebooks may import.

    Raises:
        ValueError: One is this package, whose name on an index is not the course's.
    """
    if path is None:
        return [WITHOUT_SCREEN.get(name, name) for name in USUAL]
    lines = [line.partition("#")[0].strip() for line in read_text(path).splitlines()]
    for line in lines:
        if OWN_NAME.match(line):
            raise ValueError(
                f"{path} names {line!r}. Leave it out: the archive holds this package, and what "
                "an index has under its name may be anybody's."
            )
        if line.startswith("-"):
            raise ValueError(f"{path} has {line!r}; expected the names of packages alone.")
    return [line for line in lines if line]


def _settings(given: dict[str, Any], settings: Settings, minutes: int) -> dict[str, Any]:
    """Return the settings that were given, with limits for which a container there is enough."""
    content = {
        name: value
        for name, value in given.items()
        if name not in ("assignment", "dataset", "data_folder", "template")
    }
    for name in LIMITS:
        own = content.get(name) or {}
        usual = asdict(getattr(settings, name))
        fitting = {
            "wall_seconds": min(usual["wall_seconds"], minutes * 60 // RUNS),
            "memory_mib": min(usual["memory_mib"], MEMORY_MIB),
            "patience": PATIENCE,
        }
        content[name] = fitting | own
    return content


def _dataset(dataset: str, folder: Path) -> dict[str, bytes | Path]:
    """Return CIFAR's files.

    Raises:
        ValueError: Some are not in the folder.
        CorruptedDataError: One is not the official one.
    """
    if dataset == "synthetic":
        return {}
    spec = spec_for(dataset)
    missing = missing_files(spec, folder)
    if missing:
        raise ValueError(
            f"{folder / spec.folder} lacks {', '.join(sorted(missing))}. Name the folder that has "
            "all of them, or leave it out: then they are downloaded when Gradescope builds the "
            "image."
        )
    return {f"{DATA}/{spec.folder}/{name}": folder / spec.folder / name for name, _ in spec.files}
