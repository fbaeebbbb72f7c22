"""A notebook's own modules may have the names of other modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cifar_lab.grading.sandboxed import own_modules

FILES = {
    "profile.py": "WHOSE = 'own'",
    "calendar.py": "import random\nWHOSE, DRAWN = 'own', random.WHOSE",
    "random.py": "WHOSE = 'own'",
    "helper.py": "import calendar\nWHOSE = calendar.WHOSE",
    "cifar_lab.py": "WHOSE = 'own'",
}
LIBRARY = """
def use():
    import calendar
    import cProfile
    import random
    return random.Random(0).random() + calendar.monthrange(2024, 2)[1] + bool(cProfile.run)
"""
NOTEBOOK = """
import random
import runpy
import sys
from pathlib import Path

import cifar_lab

runpy.run_path(sys.argv[1])["prefer"](Path.cwd())
assert library.use() > 29
import calendar, helper, profile
import random
assert {module.WHOSE for module in (calendar, helper, profile, random)} == {"own"}
assert calendar.DRAWN == "own"
assert library.use() > 29
import random as again
assert again is random and again.WHOSE == "own"
import cifar_lab as package
assert package is cifar_lab
"""


@pytest.mark.parametrize("imported_before", ["import calendar, profile", ""])
def test_a_notebook_gets_its_own_module_and_a_library_the_one_that_it_means(
    tmp_path: Path, imported_before: str
) -> None:
    work, installed = tmp_path / "work", tmp_path / "installed"
    work.mkdir()
    installed.mkdir()
    for name, content in FILES.items():
        (work / name).write_text(content)
    (installed / "library.py").write_text(LIBRARY)
    (installed / "cifar_lab.py").write_text("")
    script = f"import sys\nsys.path.insert(0, {str(installed)!r})\nimport library\n"
    ended = subprocess.run(
        [sys.executable, "-I", "-c", script + imported_before + NOTEBOOK, own_modules.__file__],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
