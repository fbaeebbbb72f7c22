"""The part of a class's grading that runs on a Dask worker: one submission, from bytes to a grade.

The worker's thread only waits for the processes of the sandbox, which end with the worker's own
process. Nothing here needs a main thread.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_lab.grading.isolation import files
from cifar_lab.grading.isolation.sandbox import isolation_level, isolation_reason
from cifar_lab.grading.isolation.scratch import scratch_below, scratch_folder
from cifar_lab.grading.machine import FINE, Finding, machine_report
from cifar_lab.grading.sessions.fingerprint import Environment, environment
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.sessions.keeping import BEST_ISOLATION
from cifar_lab.grading.sessions.packing import unpack
from cifar_lab.grading.settings import Settings

MOST_NAMED = 8


@dataclass(frozen=True)
class SentSettings:
    """Settings on their way to a worker, where no file of the instructor's is.

    Attributes:
        settings: Settings without the template; the folder of the datasets, where one is given, is
            a path on the worker.
        template: The template's suffix and content; None for the package's own.
    """

    settings: Settings
    template: tuple[str, bytes] | None

    @classmethod
    def of(cls, settings: Settings) -> SentSettings:
        """Return the settings as they are sent."""
        data, template = settings.data_folder, settings.template
        return cls(
            replace(settings, template=None, data_folder=data and data.absolute()),
            None if template is None else (template.suffix, template.read_bytes()),
        )

    def unpacked(self, folder: Path) -> Settings:
        """Return the settings, with the template as a file in the folder."""
        if self.template is None:
            return self.settings
        suffix, content = self.template
        path = folder / f"template{suffix}"
        path.write_bytes(content)
        return replace(self.settings, template=path)


def reason_to_refuse(wanted: Environment, sent: SentSettings) -> str | None:
    """Return why the grades of this worker would be others than those of the class's machine.

    Args:
        wanted: What the class's machine grades with.
        sent: Settings of the class.
    """
    here = environment(sent.settings)
    reasons = [*_isolation(here, wanted), *_test_images(here, wanted, sent.settings)]
    if here.checks != wanted.checks:
        reasons.append("its files of the checks are others: install the same commit of cifar_lab")
    if here.torch != wanted.torch:
        reasons.append(f"it has PyTorch {here.torch}, not {wanted.torch}: install the same")
    lacking = sorted(set(wanted.packages) - set(here.packages))
    more = sorted(set(here.packages) - set(wanted.packages))
    if lacking:
        reasons.append(f"it lacks packages: pip install {_some(lacking)} there")
    if more:
        reasons.append(f"it has packages that the class's machine lacks: {_some(more)}")
    return "; ".join(reasons) or None


def _isolation(here: Environment, wanted: Environment) -> Iterator[str]:
    if here.isolation not in (wanted.isolation, BEST_ISOLATION):
        yield (
            f"it isolates students' code by {here.isolation!r} alone, since {isolation_reason()}; "
            f"the class's machine does by {wanted.isolation!r}"
        )


def _test_images(here: Environment, wanted: Environment, settings: Settings) -> Iterator[str]:
    where = settings.data_folder or "the folder that $CIFAR_LAB_DATA names"
    if wanted.has_test_images and not here.has_test_images:
        yield f"it has no test images of {settings.dataset}: put its files into {where} there"
    if here.has_test_images and not wanted.has_test_images:
        yield (
            f"it has test images of {settings.dataset}, which the class's machine lacks: name "
            "their folder on that by --data or $CIFAR_LAB_DATA"
        )


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return " ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def look_at_worker(settings: Settings, jobs: int) -> list[Finding]:
    """Return what is worth a look on this worker."""
    return [one for one in machine_report(settings, jobs) if one.state != FINE]


def grade_packed(content: bytes, sent: SentSettings) -> str:
    """Grade a submission that `packed` packed; nothing of it stays on this machine.

    Returns:
        JSON: an object with the `grade`, or with the grader's own `error`.
    """
    try:
        with _own_folder() as folder:
            unpack(content, folder / "submission")
            grade = grade_submission(folder / "submission", sent.unpacked(folder))
        return json.dumps({"grade": grade.to_dict()})
    except Exception:
        return json.dumps({"error": traceback.format_exc()})


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Make a folder for one submission where Dask itself removes what a killed worker leaves."""
    from distributed import get_worker

    of_worker = Path(get_worker().local_directory)
    folder = scratch_folder("cifar-lab-", of_worker)
    try:
        # The sandbox's own files as well. Without bubblewrap students' code sees their paths, which
        # would be too long for its sockets.
        with scratch_below(of_worker if isolation_level() == BEST_ISOLATION else None):
            yield folder
    finally:
        files.remove(folder)
