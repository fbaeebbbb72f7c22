"""The table of all checks, collected from the modules in which they are declared."""

from __future__ import annotations

from cifar_lab.grading.checks import model, notebook, report, results, training, words
from cifar_lab.grading.checks.check import Check
from cifar_lab.grading.settings import Settings
from cifar_lab.utils.errors import unknown_name

# Reports list the checks in this order, and those of one module as they stand in it.
MODULES = (notebook, model, training, results, report, words)
CHECKS: dict[str, Check] = {
    one.name: one for module in MODULES for one in vars(module).values() if isinstance(one, Check)
}


def checks_of(settings: Settings) -> dict[Check, float]:
    """Return the assignment's checks with their points, in the table's order.

    A check with 0 points is left out.

    Raises:
        ValueError: The settings give points to a check that does not exist.
    """
    for name in settings.points:
        if name not in CHECKS:
            raise unknown_name("check", name, CHECKS)
    points = {
        check: float(settings.points.get(check.name, check.points[settings.assignment]))
        for check in CHECKS.values()
        if settings.assignment in check.points
    }
    return {check: value for check, value in points.items() if value > 0}
