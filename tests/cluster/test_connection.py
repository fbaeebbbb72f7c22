"""Connections to a scheduler, and workers that are refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from dask_processes import cluster

import cifar_lab
from cifar_lab.cluster.connection import connected, usable_workers
from cifar_lab.cluster.worker_facts import facts

PACKAGE = Path(cifar_lab.__file__).parent


def test_without_distributed_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ImportError, match=r"pip install 'cifar-lab\[cluster\]'"),
        connected("tcp://127.0.0.1:1"),
    ):
        pass


def test_an_address_where_nobody_listens_is_an_error_that_says_what_to_start() -> None:
    pytest.importorskip("distributed")
    with (
        pytest.raises(ConnectionError, match=r"tcp://127\.0\.0\.1:9.*dask scheduler --port 9"),
        connected("tcp://127.0.0.1:9", timeout=0.5),
    ):
        pass
    with pytest.raises(ValueError, match="'lab-7:8786' is no scheduler's"), connected("lab-7:8786"):
        pass


def test_tls_without_certificates_says_where_they_are_given() -> None:
    pytest.importorskip("distributed")
    with (
        pytest.raises(ConnectionError, match=r"distributed\.comm\.tls\.ca-file"),
        connected("tls://127.0.0.1:9", timeout=0.5),
    ):
        pass


def copied(folder: Path) -> Path:
    shutil.copytree(PACKAGE, folder / "cifar_lab", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "cifar_lab"


@pytest.mark.slow
def test_workers_with_other_versions_are_named_with_what_differs(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    edited = copied(tmp_path / "edited")
    (edited / "experiments" / "catalog.py").open("a").write("\n")
    older = copied(tmp_path / "older")
    text = (older / "__init__.py").read_text()
    (older / "__init__.py").write_text(text.replace(cifar_lab.__version__, "0.0.9"))
    torch = tmp_path / "torch" / "torch-1.2.3.dist-info"
    torch.mkdir(parents=True)
    (torch / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.2.3\n")
    python = tmp_path / "python"
    python.mkdir()
    (python / "sitecustomize.py").write_text(
        "import platform\nplatform.python_version_tuple = lambda: ('3', '9', '1')\n"
    )
    with cluster(tmp_path / "dask", workers=0) as made:
        names = ("edited", "older", "torch", "python")
        for name in names:
            made.start_worker(name, environment={"PYTHONPATH": str(tmp_path / name)})
        made.start_worker("right")
        made.wait_for(5)
        with connected(made.address) as client:
            usable, refused = usable_workers(client)
            called = {
                address: each["name"]
                for address, each in client.scheduler_info()["workers"].items()
            }
    reasons = {called[address]: reason for address, reason in refused.items()}
    here = facts()
    assert [called[address] for address in usable] == ["right"] and set(reasons) == set(names)
    assert f"cifar_lab 0.0.9 (here {cifar_lab.__version__})" in reasons["older"]
    assert "other files than here" in reasons["edited"] and "same commit" in reasons["edited"]
    assert f"torch 1.2.3 (here {here['torch']})" in reasons["torch"]
    assert f"Python 3.9 (here {here['python']})" in reasons["python"]


def test_an_edited_file_of_the_package_changes_its_digest_but_a_cache_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = copied(tmp_path)
    monkeypatch.setattr(cifar_lab, "__file__", str(package / "__init__.py"))
    before = facts()["digest"]
    (package / "cache.pyc").write_bytes(b"x")
    assert facts()["digest"] == before
    (package / "models" / "mlp.py").open("a").write("\n")
    assert facts()["digest"] != before
