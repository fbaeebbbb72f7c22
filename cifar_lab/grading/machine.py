"""What a class needs of the machine that grades it, looked at before the class is."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cifar_lab.grading.isolation.sandbox import Limits, isolation_reason, run_isolated
from cifar_lab.grading.outcomes import test_images
from cifar_lab.grading.packages import DISTRIBUTIONS, LIST, installed_packages
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.folder import NOTEBOOK_SUFFIX, files_below
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.utils.cores import available_cores
from cifar_lab.utils.files import read_text

FINE, LOOK, LACKING = "fine", "worth a look", "lacking"
SIGNS = {FINE: "✓", LOOK: "?", LACKING: "✗"}
MODULES = {  # what grading a class imports, and the package that has it
    "pytest": "pytest",
    "xdist": "pytest-xdist",
    "nbformat": "nbformat",
    "IPython": "ipykernel",
    "safetensors": "safetensors",
}
# What notebooks on image classification import most, of the packages that Colab has.
USUAL = (
    "pandas",
    "scikit-learn",
    "seaborn",
    "scipy",
    "opencv-python",
    "plotly",
    "tensorboard",
    "torchinfo",
    "torchsummary",
    "torchmetrics",
    "lightning",
    "timm",
    "albumentations",
    "einops",
    "ipywidgets",
    "wandb",
)
FROM = re.compile(r"^\s*from\s+([A-Za-z_]\w*)[\w.]*\s+import\b", re.MULTILINE)
IMPORT = re.compile(
    r"^\s*import\s+([A-Za-z_][\w.]*(?:[ \w.,]*[\w.])?)\s*(?:#.*|;.*)?$", re.MULTILINE
)
LARGEST_MIB = 64  # of a notebook that is looked through
PROBE = "import child, torch\nchild.answer({})"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is about.
        state: "fine"; "worth a look" (grading goes, with what `remedy` says); "lacking" (it
            does not, or checks could not be made).
        seen: Sentence on what there is.
        remedy: Sentence on what to do; "" where nothing is.
    """

    subject: str
    state: str
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        lines = [f"{SIGNS[self.state]} {self.subject}: {self.seen}"]
        return "\n".join([*lines, f"    {self.remedy}"] if self.remedy else lines)


def machine_report(
    settings: Settings, jobs: int = 1, submissions: Iterable[Path] = ()
) -> list[Finding]:
    """Return what this machine has and lacks for a class; nothing of a student's is run.

    Args:
        settings: Settings that the class is to be graded with.
        jobs: Number of submissions that are to be graded at the same time.
        submissions: Folders of the students, as far as they are there, whose imports are read.

    Raises:
        ValueError: `jobs` is less than 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected at least 1.")
    findings = [_grading_packages(), _isolation(), _data(settings), _usual_packages()]
    findings += _imports(submissions)
    findings += [_memory(settings, jobs), _cores(jobs), _disk(settings, jobs)]
    return findings


def _grading_packages() -> Finding:
    missing = [package for module, package in MODULES.items() if find_spec(module) is None]
    if not missing:
        return Finding("Grading's own packages", FINE, "all installed")
    return Finding(
        "Grading's own packages",
        LACKING,
        f"{', '.join(missing)} not installed",
        f"pip install {' '.join(missing)}",
    )


def _isolation() -> Finding:
    """Return how far students' code is isolated, as a run of something harmless tells."""
    reason = isolation_reason()
    try:
        outcome = run_isolated(PROBE, arguments={}, limits=Limits(wall_seconds=120))
    except OSError as error:
        return Finding(
            "Isolation", LACKING, f"nothing can be run: {error}", "Grade on Linux, macOS or in WSL."
        )
    if outcome.status != "ok":
        return Finding(
            "Isolation",
            LACKING,
            f"an empty run ended as {outcome.status!r}: {outcome.reason}",
            "A run like this must be possible: free memory, or grade on another machine.",
        )
    if not reason:
        return Finding("Isolation", FINE, "bubblewrap: students' code sees nothing but its own")
    return Finding(
        "Isolation",
        LOOK,
        f"process, since {reason}: students' code could read and write what you can",
        _way_to_bubblewrap(reason),
    )


def _way_to_bubblewrap(reason: str) -> str:
    if sys.platform != "linux":
        return "Grade people whom you don't know on Linux or in a virtual machine."
    if "not installed" in reason:
        return "Debian, Ubuntu: sudo apt install bubblewrap. Fedora: sudo dnf install bubblewrap."
    return (
        "The kernel, or the container that this is, permits no user namespaces. Ubuntu from 23.10 "
        "on: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0. Docker: "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined."
    )


def _data(settings: Settings) -> Finding:
    try:
        images = test_images(settings)
    except NotMadeError as error:
        return Finding(
            "Dataset",
            LACKING,
            error.seen,
            f"Without it no accuracy is measured. To download it to data/: python -c 'import "
            f"""cifar_lab; cifar_lab.load("{settings.dataset}")'""",
        )
    return Finding("Dataset", FINE, f"{settings.dataset}'s {len(images):,} test images")


def _usual_packages() -> Finding:
    installed = {_plain(name) for name in installed_packages()}
    listed = [
        line
        for line in LIST.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    missing = [name for name in listed if _plain(name) not in installed]
    usual = [name for name in USUAL if _plain(name) not in installed]
    seen = f"{len(missing)} of the {len(listed)} that Colab has are missing here"
    if not usual:
        return Finding("Packages of notebooks", FINE, f"{seen}, none of the usual ones")
    return Finding(
        "Packages of notebooks",
        LOOK,
        f"{seen}. Of those that such notebooks use most: {', '.join(usual)}",
        f"What needs one is not made, unless you install it here: pip install {' '.join(usual)}",
    )


def _imports(submissions: Iterable[Path]) -> Iterator[Finding]:
    """Yield what the submissions import and is not here."""
    wanted: Counter[str] = Counter()
    total = 0
    for folder in submissions:
        total += 1
        wanted.update(_missing_modules(folder))
    if not total:
        return
    if not wanted:
        yield Finding("Imports of the submissions", FINE, f"all there, in {total} submissions")
        return
    times = ", ".join(f"{name} ({count})" for name, count in wanted.most_common(20))
    packages = " ".join(DISTRIBUTIONS.get(name, (name,))[0] for name, _ in wanted.most_common(20))
    yield Finding(
        "Imports of the submissions",
        LOOK,
        f"not here, with the number of submissions out of {total}: {times}",
        f"Install those that you know and trust: pip install {packages}. The others may be files "
        "that were not handed in, or names of nothing.",
    )


def _missing_modules(folder: Path) -> set[str]:
    """Return the modules that a submission's files import and neither it nor this machine has."""
    try:
        files = files_below(folder)
    except SubmissionError:
        return set()
    own = {part for path in files for part in (path.stem, *path.relative_to(folder).parts[:-1])}
    modules = {name for path in files for name in _imported(_code_of(path))}
    return {name for name in modules - own if not _is_here(name)}


def _imported(code: str) -> Iterator[str]:
    yield from FROM.findall(code)
    for names in IMPORT.findall(code):
        for name in names.split(","):
            yield re.split(r"[\s.]", name.strip())[0]


def _code_of(path: Path) -> str:
    """Return the code in a notebook or a module; nothing of what is neither, or can't be read."""
    name = path.name.lower()
    if not name.endswith((NOTEBOOK_SUFFIX, ".py")):
        return ""
    try:
        if path.stat().st_size > LARGEST_MIB * 2**20:
            return ""
        text = read_text(path)
        if name.endswith(".py"):
            return text
        cells = json.loads(text)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        return "\n".join(one if isinstance(one, str) else "".join(one) for one in sources)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ""


def _is_here(module: str) -> bool:
    if module in sys.stdlib_module_names or module == "google":  # which Colab shares out
        return True
    with suppress(ImportError, ValueError):
        return find_spec(module) is not None
    return False


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _memory(settings: Settings, jobs: int) -> Finding:
    total, most = memory_mib(), max(settings.run.memory_mib, settings.look.memory_mib)
    if total is None:
        return Finding("Memory", LOOK, "this system does not tell how much there is")
    seen = f"{jobs} at a time may take {jobs * most:,} MiB; there are {total:,}"
    if jobs * most <= total:
        return Finding("Memory", FINE, seen)
    fitting = total // most
    less = f"--jobs {fitting}, or a" if fitting else "A"
    return Finding(
        "Memory",
        LOOK,
        seen,
        f"{less} smaller memory_mib in the settings' tables [run] and [look]: {total // jobs:,} "
        "fit.",
    )


def memory_mib() -> int | None:
    """Return the memory that processes here may have together, in MiB; None if it is not known."""
    found = []
    with suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of a container
        with suppress(OSError, ValueError):
            found.append(int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
    return min(found) // 2**20 if found else None


def _cores(jobs: int) -> Finding:
    cores = available_cores()
    seen = f"{jobs} at a time, one core each; there are {cores:g}"
    if jobs <= cores:
        return Finding("Cores", FINE, seen)
    return Finding(
        "Cores",
        LOOK,
        seen,
        f"--jobs {max(1, int(cores))}: with more, runs wait for each other, and nothing is faster.",
    )


def _disk(settings: Settings, jobs: int) -> Finding:
    place = Path(tempfile.gettempdir())
    needed = jobs * (settings.run.file_mib + 1024)  # 1 GiB: the largest submission, copied
    free = shutil.disk_usage(place).free // 2**20
    seen = f"{free:,} MiB free in {place}; {jobs} at a time may take {needed:,}"
    if free >= needed:
        return Finding("Disk", FINE, seen)
    return Finding("Disk", LOOK, seen, f"Free some, or set TMPDIR to a folder that has {needed:,}.")
