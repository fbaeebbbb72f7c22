"""Running the drivers, our own code in the sandbox beside a student's code or model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.grading import sandboxed
from cifar_lab.grading.isolation.sandbox import Limits, Outcome, run_isolated
from cifar_lab.grading.submissions.submission import is_left_out

DRIVERS = Path(sandboxed.__file__).parent
DRIVER_PACKAGE = "cifar_lab_sandboxed"  # as which the drivers are imported beside a student's files
DRIVER = """
import sys, child
sys.path.insert(0, str(child.readable("cifar_lab_sandboxed").parent))
from cifar_lab_sandboxed import {name}
sys.path.pop(0)
{name}.main()
"""


def drive(
    name: str,
    arguments: Mapping[str, Any],
    *,
    arrays: Mapping[str, np.ndarray],
    readable: Mapping[str, Path],
    hidden: Sequence[Path],
    limits: Limits,
) -> Outcome:
    """Run a driver in the sandbox.

    Args:
        name: of its file.
        arguments: what it is told, as JSON can hold it.
        arrays: what it is given in numbers.
        readable: files and folders that it may read, by name; of folders what is no part of a
            submission is left out.
        hidden: folders that it must not see.
        limits: where it is stopped.
    """
    return run_isolated(
        DRIVER.format(name=name),
        arguments=arguments,
        arrays=arrays,
        readable={DRIVER_PACKAGE: DRIVERS, **readable},
        hidden=hidden,
        limits=limits,
        left_out=is_left_out,
    )
