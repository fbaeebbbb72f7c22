"""A custom network from a file, as `--model FILE.py:CLASS` names it."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from cifar_lab.utils.files import user_path

if TYPE_CHECKING:
    from torch import nn


def build_custom(place: str) -> nn.Module:
    """Execute a Python file and build the network of the class or function that is named.

    Args:
        place: The file and the name, such as "my_net.py:MyNet".

    Raises:
        ValueError: The text names no file and class, or the file can't be executed.
        FileNotFoundError: There is no such file.
        TypeError: The class needs arguments, or builds something else than a network.
    """
    from torch import nn

    from cifar_lab.models.custom import built

    file, colon, name = place.rpartition(":")
    path = user_path(file)
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise ValueError(
            f"--model is {place!r}; expected a Python file and a class in it, such as "
            "my_net.py:MyNet. Copy a class from a notebook into such a file."
        )
    if not path.is_file():
        raise FileNotFoundError(f"No file at {path}, which --model names.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))  # as when the file is run: its neighbours
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} can't be executed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        raise ValueError(f"{path} has no {name}; --model names the class or function.")
    build = getattr(module, name)
    return build if isinstance(build, nn.Module) else built(build)
