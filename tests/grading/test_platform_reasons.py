"""A cell that fails for a reason of the platform is nobody's fault; one that fails itself is."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.grading import platform_reasons
from cifar_lab.grading.platform_reasons import (
    ANSWER,
    COMMAND,
    GPU,
    LOGIN,
    NETWORK,
    SCREEN,
    reason_of,
    remedy,
    seen,
)


def failure(kind: str, text: str, **more: Any) -> dict[str, Any]:
    return {"cell": 3, "cells": 9, "kind": kind, "text": text, "source": "", **more}


LIBRARY: dict[str, Any] = {"in_library": True}
PYTHON: dict[str, Any] = {"in_python": True}
REASONS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "an address that is not found": (
        failure("URLError", "<urlopen error [Errno -3] Temporary failure>", network=True, **PYTHON),
        "",
        NETWORK,
    ),
    "an own error because of the network": (
        failure("RuntimeError", "no data", network=True),
        "raise RuntimeError('no data') from error",
        NETWORK,
    ),
    "a pretrained network of transformers": (
        failure("OSError", "We couldn't connect to 'https://huggingface.co' to load", **LIBRARY),
        "",
        NETWORK,
    ),
    "the hub, told that it is offline": (
        failure("LocalEntryNotFoundError", "Cannot find the requested files", **LIBRARY),
        "",
        NETWORK,
    ),
    "a module that was downloaded": (
        failure("ModuleNotFoundError", "No module named 'our_utils'"),
        "!wget -q https://raw.githubusercontent.com/a/b/main/our_utils.py\nimport our_utils",
        NETWORK,
    ),
    "a module of a repository that was cloned": (
        failure("ModuleNotFoundError", "No module named 'their_repo'"),
        "!git clone https://github.com/someone/their_repo\nfrom their_repo import net",
        NETWORK,
    ),
    "a file that was downloaded": (
        failure("FileNotFoundError", "[Errno 2] No such file or directory: 'extra/labels.csv'"),
        "gdown.download(id=x, output='extra.zip')\n!unzip extra.zip",
        NETWORK,
    ),
    "an installation that is there already, of another version": (
        failure(
            "CalledProcessError",
            "Command '['/usr/bin/python', '-m', 'pip', 'install', 'torch==1.9']' returned non-zero "
            "exit status 1.",
            command=True,
        ),
        "",
        NETWORK,
    ),
    "kaggle's key": (failure("OSError", "Could not find kaggle.json. Make", **LIBRARY), "", LOGIN),
    "a key in the environment": (
        failure("KeyError", "'WANDB_API_KEY'", environment=True, **PYTHON),
        "os.environ['WANDB_API_KEY']",
        LOGIN,
    ),
    "an answer": (failure("KeyError", "'1'", asks=True), "{'a': 1}[input()]", ANSWER),
    "a window": (
        failure("TclError", "no display name and no $DISPLAY environment variable", **PYTHON),
        "",
        SCREEN,
    ),
    "a program": (
        failure("FileNotFoundError", "[Errno 2] No such file or directory: 'nvcc'", program=True),
        "subprocess.run(['nvcc', '--version'])",
        COMMAND,
    ),
    "a GPU": (
        failure("RuntimeError", "Found no NVIDIA driver on your system.", **LIBRARY),
        "",
        GPU,
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_the_platform_lacks_is_told_by_its_name(name: str) -> None:
    error, source, expected = REASONS[name]
    assert reason_of(error, [source]) == expected
    told = f"{seen(expected, error)} {remedy(expected)}"
    assert "Cell 3 of 9" in told and "Student: " in told and "Instructor: " in told


def test_a_package_that_an_installation_could_not_bring_is_named() -> None:
    text = "Command '['python', '-m', 'pip', 'install', '-q', 'a-package-of-nobody']' returned non-"
    error = failure("CalledProcessError", f"{text}zero exit status 1.", command=True)
    reason = reason_of(error, [""])
    assert reason is not None
    assert "needs the package a-package-of-nobody" in seen(reason, error)
    assert "pip install a-package-of-nobody" in remedy(reason)


OWN: dict[str, tuple[dict[str, Any], str]] = {
    "an error of the notebook's own words": (
        failure("ConnectionError", "network is unreachable"),
        "raise ConnectionError('network is unreachable')",
    ),
    "a package that is there": (
        failure("ModuleNotFoundError", "No module named 'torch'"),
        "raise ModuleNotFoundError(\"No module named 'torch'\")",
    ),
    "a file that was not handed in": (
        failure("FileNotFoundError", "[Errno 2] No such file or directory: 'mine.csv'", **LIBRARY),
        "urlretrieve('https://a/b/other.csv', 'other.csv')\nopen('mine.csv')",
    ),
    "a helper that was not handed in": (
        failure("ModuleNotFoundError", "No module named 'helpers'"),
        "import helpers",
    ),
    "a key of a dictionary": (failure("KeyError", "'WANDB_API_KEY'"), "{}['WANDB_API_KEY']"),
    "a folder of the environment's that holds no secret": (
        failure("KeyError", "'WORKDIR'", environment=True, **PYTHON),
        "os.environ['WORKDIR']",
    ),
    "a device that is none": (
        failure(
            "RuntimeError",
            "Expected one of cpu, cuda, mps device type at start of device string: gpu",
            **LIBRARY,
        ),
        "model.to('gpu')",
    ),
    "an attribute that a GPU's module lacks": (
        failure("AttributeError", "module 'torch.cuda' has no attribute 'reset_all'", **LIBRARY),
        "torch.cuda.reset_all()",
    ),
    "a typo": (failure("NameError", "name 'tset' is not defined"), "tset"),
    "a device in an own error": (failure("ValueError", "cuda is missing"), "raise ValueError"),
}


@pytest.mark.parametrize("name", OWN)
def test_what_the_notebook_does_itself_is_no_reason(name: str) -> None:
    error, source = OWN[name]
    assert reason_of(error, [source]) is None


@pytest.mark.parametrize("line", ["run(" * 200_000, "!wget " * 200_000, '"git' * 200_000])
def test_long_lines_are_read_in_time(line: str) -> None:
    error = failure("ModuleNotFoundError", "No module named 'some'")
    assert platform_reasons.reason_of(error, [line] * 5) is None
