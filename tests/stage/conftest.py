"""The package's wheel, built once for all tests of the stage."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from environments import build_wheel
from filelock import FileLock


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The wheel, next to the folder `checkout` from which it was built."""
    pytest.importorskip("build", reason="building a wheel needs build: pip install build")
    setuptools = importlib.metadata.version("setuptools")
    if tuple(map(int, setuptools.split(".")[:2])) < (70, 1):
        pytest.skip(f"building a wheel without a network needs setuptools 70.1; here: {setuptools}")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "wheel"  # of all workers
    with FileLock(f"{folder}.lock"):
        built = list(folder.glob("dist/*.whl"))
        return built[0] if built else build_wheel(folder)
