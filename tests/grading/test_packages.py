"""Packages that the grading machine lacks: when that is no fault of the student."""

from __future__ import annotations

import pytest

from cifar_lab.grading import packages
from cifar_lab.grading.packages import excuse, installed_packages, pip_installs

MISSING = "ModuleNotFoundError"


@pytest.mark.parametrize(
    ("module", "source", "distribution"),
    [
        ("torch_lr_finder", "!pip install -q torch-lr-finder\nimport torch_lr_finder", None),
        ("ema_pytorch", "%pip install -q ema-pytorch==0.1\nfrom ema_pytorch import EMA", None),
        ("pynvml", "import pynvml", "nvidia-ml-py"),
        ("cv2", "import cv2", "opencv-python"),
        ("sklearn", "from sklearn.metrics import accuracy_score", "scikit-learn"),
        ("torchsummary", "!uv pip install 'torch-summary[all]>=1'\nimport torchsummary", None),
        ("clip", "!pip install git+https://github.com/openai/CLIP.git@main\nimport clip", "CLIP"),
        (
            "madgrad",
            "subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'madgrad'])\n"
            "madgrad = importlib.import_module('madgrad')",
            "madgrad",
        ),
        ("tensorboard", "from torch.utils.tensorboard import SummaryWriter", "tensorboard"),
    ],
)
def test_a_package_that_this_machine_lacks_is_excused(monkeypatch, module, source, distribution):
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.setattr(packages, "installed_packages", lambda: ["torch"])
    sentence = excuse(MISSING, f"No module named '{module}'", [source])
    assert sentence is not None
    assert f"needs the package {module}, which the grading machine lacks" in sentence
    install = distribution or next(pip_installs(source))
    assert f"(pip install {install})" in sentence


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("No module named 'helper'", "import helper"),
        ("No module named 'utils'", "!pip install timm\nimport utils"),
        ("No module named 'pandsa'", "import pandsa as pd"),
        ("No module named 'numpy.made_up'", "import numpy.made_up"),
        ("No module named 'torch'", "!pip install torch\nimport torch"),
        ("No module named 'cv2'", "print('cv2')"),
        ("No module named 'cv2'", "import cv2\nraise ImportError(\"No module named 'cv2'\")"),
        ("cannot import name 'x' from 'torch'", "from torch import x"),
        ("Missing optional dependency 'numpy'", "import numpy"),
        ("attempted relative import with no known parent package", "from . import model"),
    ],
)
def test_a_module_that_nobody_installs_or_that_is_here_is_no_excuse(text, source):
    assert excuse(MISSING, text, [source]) is None


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("Missing optional dependency 'openpyxl'. Use pip or conda to install it.", "openpyxl"),
        ("Neither `tensorboard` nor `tensorboardX` is available.", "tensorboard"),
        ("render requires the graphviz library, which was not found.", "graphviz"),
        ("seaborn is not installed", "seaborn"),
    ],
)
def test_a_library_that_asks_for_another_one_is_understood(monkeypatch, text, needed):
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.setattr(packages, "installed_packages", lambda: [])
    assert f"the package {needed}," in str(excuse("ImportError", text, ["table.to_excel('t')"]))


def test_a_library_may_need_a_package_that_the_notebook_does_not_name(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.setattr(packages, "installed_packages", lambda: ["torch"])
    text, source = "No module named 'onnxscript'", "torch.onnx.export(model, images, 'a.onnx')"
    assert "the package onnxscript," in str(excuse(MISSING, text, [source], in_library=True))
    assert excuse(MISSING, text, [source]) is None


def test_only_import_errors_are_excused():
    assert excuse("ValueError", "No module named 'torch_lr_finder'", ["!pip install x"]) is None


def test_installed_packages_name_what_is_installed():
    assert {"torch", "numpy", "pytest"} <= set(installed_packages())
    assert "no-such-package" not in installed_packages()
