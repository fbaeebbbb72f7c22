"""Running the modules of `sandboxed`, our own code, together with a student's code or model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.grading import sandboxed
from cifar_lab.grading.isolation.sandbox import Limits, Outcome, run_isolated
from cifar_lab.grading.submissions.submission import is_left_out

SANDBOXED = Path(sandboxed.__file__).parent
PACKAGE = "cifar_lab_sandboxed"  # the name under which `sandboxed` is imported there
SCRIPT = """
import sys, child
sys.path.insert(0, str(child.readable("cifar_lab_sandboxed").parent))
from cifar_lab_sandboxed import {name}
sys.path.pop(0)
{name}.main()
"""


def run_in_sandbox(
    name: str,
    arguments: Mapping[str, Any],
    *,
    arrays: Mapping[str, np.ndarray],
    readable: Mapping[str, Path],
    hidden: Sequence[Path],
    limits: Limits,
) -> Outcome:
    """Run a module of `sandboxed` in the sandbox.

    Args:
        name: Name of the module, whose `main` is called.
        arguments: Arguments of the module, which JSON can hold.
        arrays: Arrays of numbers, by name.
        readable: Files and folders that it may read, by name, without what is no part of a
            submission.
        hidden: Folders that it must not see.
        limits: Limits at which it is stopped.
    """
    return run_isolated(
        SCRIPT.format(name=name),
        arguments=arguments,
        arrays=arrays,
        readable={PACKAGE: SANDBOXED, **readable},
        hidden=hidden,
        limits=limits,
        left_out=is_left_out,
    )
