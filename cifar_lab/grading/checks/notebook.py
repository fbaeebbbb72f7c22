"""Checks of the notebook itself: it can be read, was run in order, and runs again."""

from __future__ import annotations

import re

from cifar_lab.grading.checks.check import check
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

SUBMITS = re.compile(r"^(?!\s*(?:#|def )).*\bsubmit\(", re.MULTILINE)


@check(
    "The submission can be read",
    expectation=(
        "a folder with one Jupyter notebook (format 4) that has code cells, and where "
        "there is a submission.json, one that cifar_lab.submit wrote"
    ),
    points={"a": 2, "b": 2},
    needs_own_network=False,
)
def submission_readable(evidence: Evidence) -> str:
    """Check that the notebook and the manifest can be read."""
    evidence.submission.refuse_damaged_manifest()
    manifest = evidence.submission.manifest
    assignment = manifest.get("assignment", evidence.settings.assignment)
    if assignment != evidence.settings.assignment:
        raise SubmissionError(
            "submission_readable",
            f"It is a submission for assignment {str(assignment)[:20]!r}.",
            f"Submit again with assignment={evidence.settings.assignment!r}.",
        )
    return f"a notebook of {len(evidence.cells())} cells"


@check(
    "The notebook was run from top to bottom",
    expectation=(
        "execution counts 1, 2, 3, ... down the notebook, every code cell run, no error shown"
    ),
    points={"a": 4, "b": 4},
    needs_own_network=False,
)
def cells_in_order(evidence: Evidence) -> str:
    """Check that the cells were executed once, from top to bottom."""
    remedy = "Kernel > Restart and run all cells; then save, and hand that notebook in."
    cells = [cell for cell in evidence.cells() if cell.runs]
    handing_in = False
    for place, cell in enumerate(cells, 1):
        first = cell.source.strip().splitlines()[0][:80]
        if cell.count is None:
            handing_in = handing_in or (place > 1 and SUBMITS.search(cell.source) is not None)
            if handing_in:  # the file is from the middle of that cell
                continue
            if evidence.notebook_missing_is_open:
                raise NotMadeError(
                    "The notebook's file is older than this run: save it and check again."
                )
            raise SubmissionError(
                "cells_in_order", f"Code cell {place} was not run: {first}", remedy
            )
        if cell.count != place:
            raise SubmissionError(
                "cells_in_order",
                f"Code cell {place} was run as number {cell.count}: {first}",
                remedy,
            )
        errors = [one for one in cell.outputs if one.get("output_type") == "error"]
        if errors and not cell.may_fail:
            kind = str(errors[0].get("ename"))[:80]
            raise SubmissionError(
                "cells_in_order", f"Code cell {place} ended with {kind}: {first}", remedy
            )
    return f"{len(cells)} code cells, in order"


@check(
    "The notebook runs",
    expectation=(
        "every cell runs without an error on a small set of fake images, all of them "
        "together within {run_minutes:.0f} minutes"
    ),
    points={"a": 6, "b": 6},
    needs_own_network=False,
)
def notebook_runs(evidence: Evidence) -> str:
    """Check that all cells run."""
    evidence.ran_to_the_end()
    return f"all {sum(cell.runs for cell in evidence.cells())} code cells ran"
