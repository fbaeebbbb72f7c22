"""What course sites export, made up: a class's files in each site's layout, and its gradebook.

Canvas: lib/content_zipper.rb and lib/gradebook_exporter.rb of instructure/canvas-lms. Moodle:
mod/assign/classes/downloader.php. Gradescope and Brightspace: as their downloads look.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Someone:
    """A student: the name in two parts, the number on the site, and the files."""

    first: str
    last: str
    number: int
    files: Mapping[str, bytes] = field(default_factory=dict)
    late: bool = False

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def login(self) -> str:
        return f"{self.first[:1]}{self.last}{self.number}".lower()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def zip_of(folder: Path, path: Path) -> Path:
    """All of a folder, packed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(folder.rglob("*")):
            archive.write(one, one.relative_to(folder))
    return path


def zip_bytes(files: Mapping[str, bytes], scratch: Path) -> bytes:
    path = scratch / "packed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    content = path.read_bytes()
    path.unlink()
    return content


def canvas(folder: Path, class_: Sequence[Someone]) -> Path:
    """One folder of files: all that is no letter or digit is gone from the names."""
    folder.mkdir(parents=True)
    for someone in class_:
        person = re.sub(r"\W", "", f"{someone.last}{someone.first}").lower()
        who = f"{person}_LATE_{someone.number}" if someone.late else f"{person}_{someone.number}"
        for place, (name, content) in enumerate(someone.files.items()):
            (folder / f"{who}_{70_000 + 100 * someone.number + place}_{name}").write_bytes(content)
    return folder


def moodle(folder: Path, class_: Sequence[Someone]) -> Path:
    for someone in class_:
        name = f"{someone.name}_{someone.number}_assignsubmission_file_"
        (folder / name).mkdir(parents=True)
        write(folder / name, someone.files)
    return folder


def moodle_flat(folder: Path, class_: Sequence[Someone]) -> Path:
    for someone in class_:
        start = f"{someone.name}_{someone.number}_assignsubmission_file_"
        write(folder, {start + name: content for name, content in someone.files.items()})
    return folder


def brightspace(folder: Path, class_: Sequence[Someone]) -> Path:
    for someone in class_:
        name = f"{someone.number}-4711 - {someone.name} - Sep 24, 2026 926 PM"
        (folder / name).mkdir(parents=True)
        write(folder / name, someone.files)
    (folder / "index.html").write_text("<html>")
    return folder


def gradescope(folder: Path, class_: Sequence[Someone]) -> Path:
    lines = ["---"]
    for someone in class_:
        name = f"submission_{900_000 + someone.number}"
        (folder / name).mkdir(parents=True)
        write(folder / name, someone.files)
        quoted = someone.name.replace("'", "''")
        lines += [f"{name}:", "  :submitters:", f"  - :name: '{quoted}'"]
        lines += [f"    :sid: '00{someone.number}'", f"    :email: {someone.login}@example.edu"]
        lines += ["  :created_at: 2026-09-24 21:26:00 Z", "  :score: 0.0", "  :results:"]
        lines += ["    tests:", "    - output: |", "        :sid: '1'", "  :history: []"]
    (folder / "submission_metadata.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def zips(folder: Path, class_: Sequence[Someone], scratch: Path) -> Path:
    """One archive for each, as they came by mail."""
    folder.mkdir(parents=True)
    for someone in class_:
        content = zip_bytes({f"work/{name}": one for name, one in someone.files.items()}, scratch)
        (folder / f"{someone.login}.zip").write_bytes(content)
    return folder


def packed(folder: Path) -> Path:
    """The same as one archive, as sites give it; the folder is gone."""
    path = zip_of(folder, folder.with_suffix(".zip"))
    shutil.rmtree(folder)
    return path


def canvas_gradebook(class_: Sequence[Someone], *others: str) -> bytes:
    """With a byte order mark, rows that are no students', and the site's own test student."""
    columns, empty = ",".join(["Assignment A (4711)", *others]), "," * len(others)
    rows = [f"Student,ID,SIS User ID,SIS Login ID,Section,{columns},Final Score"]
    rows += [f",,,,,Manual Posting{empty},"]
    rows += [f"    Points Possible,,,,,100.00{',100.00' * len(others)},(read only)"]
    rows += [
        f'"{one.last}, {one.first}",{one.number},00{one.number},{one.login},"CV, Monday",{empty}'
        ",12.50"
        for one in class_
    ]
    rows.append(f'"Student, Test",99999,,8f2,"CV, Monday",{empty},')
    return ("\ufeff" + "\r\n".join(rows) + "\r\n").encode()


def moodle_worksheet(class_: Sequence[Someone]) -> bytes:
    rows = [
        'Identifier,"Full name","Email address",Status,Grade,"Maximum grade",'
        '"Grade can be changed","Last modified (submission)","Feedback comments"'
    ]
    rows += [
        f'"Participant {one.number}","{one.name}",{one.login}@example.edu,"Submitted for grading",'
        f',100.00,Yes,"Thursday, 24 September 2026, 9:26 PM","<p>So far,\nnothing.</p>"'
        for one in class_
    ]
    return ("\ufeff" + "\n".join(rows) + "\n").encode()


def brightspace_grades(class_: Sequence[Someone]) -> bytes:
    item = "Assignment A Points Grade <Numeric MaxPoints:100 Weight:10>"
    rows = [f"OrgDefinedId,Username,Last Name,First Name,{item},End-of-Line Indicator"]
    rows += [f"#a{one.number},#{one.login},{one.last},{one.first},,#" for one in class_]
    return "\r\n".join(rows).encode()
