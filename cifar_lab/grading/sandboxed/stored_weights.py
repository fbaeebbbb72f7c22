"""The tensors in a file of weights, of whatever kind it is, read so that no code in it runs."""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.training.plain_files import allowed

MIB = 2**20
MOST_KEPT_MIB = 32  # of a file whose tensors stay in memory until they are asked for again
MOST_CHARACTERS = 400  # of why a file can't be read
MOST_FILES, MOST_STATES, MOST_LEVELS, MOST_TYPES = 10, 100, 3, 100

# Types in checkpoints that hold numpy's numbers besides tensors.
NUMPY_TYPES = {"numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"}
NUMPY_TYPES |= {"_codecs.encode"}  # of their bytes, for PyTorch before 2.6
USUAL_KEYS = ("model_state_dict", "state_dict", "model", "net", "network", "weights")
AVERAGED, NO_MODEL = ("ema", "swa", "average", "best"), ("optim", "sched")
LIGHTNING = "pytorch-lightning_version"


class Aside:
    """An object of a type that is not read, in a file that is read for its tensors."""

    def __new__(cls, *arguments: Any, **options: Any) -> Aside:
        """Take whatever the type would be made with."""
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **options: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def states_in(path: Path) -> list[dict[str, Tensor]]:
    """Return every state_dict in a file, the likeliest first.

    The file may come from `torch.save` (a state_dict, or a checkpoint with one inside, up to three
    levels deep), from `torch.jit.save` or from safetensors.

    Raises:
        TypeError: It holds no tensors by their names.
        Exception: Whatever a damaged file makes the libraries raise.
    """
    status = path.stat()
    read = _kept_states if status.st_size <= MOST_KEPT_MIB * MIB else _states
    return read(path, status.st_mtime_ns)


def _states(path: Path, changed: int) -> list[dict[str, Tensor]]:
    content = _content(path)
    found = list(islice(_states_of(content), MOST_STATES))
    if not found:
        keys = f" with {', '.join(map(str, list(content)[:5]))}" if _has_items(content) else ""
        raise TypeError(
            f"it holds a {type(content).__name__}{keys}, not the tensors of a state_dict"
        )
    return found


_kept_states = lru_cache(maxsize=MOST_FILES)(_states)


def _content(path: Path) -> Any:
    with path.open("rb") as file:
        beginning = file.read(9)
    if not beginning:
        raise ValueError("the file is empty")
    if _is_safetensors(beginning, path.stat().st_size):
        return _read_safetensors(path)
    if not beginning.startswith((b"PK", b"\x80")):  # an archive, or a pickle
        raise ValueError("the file is damaged, or is none of torch.save or safetensors")
    if _is_torchscript(path):
        return torch.jit.load(str(path), map_location="cpu").state_dict()
    try:
        with _others_aside(path):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its text advises to let the file run code
        reason = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error)
        raise pickle.UnpicklingError(reason.partition("\n")[0][:MOST_CHARACTERS]) from error


def _is_safetensors(beginning: bytes, size: int) -> bool:
    """Return whether it begins with the length of a JSON object, and with the object."""
    return beginning[8:] == b"{" and int.from_bytes(beginning[:8], "little") + 8 <= size


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise ImportError(
            "this is a safetensors file, and the package safetensors is not installed here"
        ) from error
    with safe_open(str(path), framework="pt", device="cpu") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tied = file.metadata() or {}  # of tensors with several names, one is stored
    for name, stored in tied.items():
        if stored in tensors:
            tensors.setdefault(name, tensors[stored])
    return tensors


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


@contextmanager
def _others_aside(path: Path) -> Iterator[None]:
    """Let `torch.load` read an empty object in the place of everything that is no plain data."""
    names = set(NUMPY_TYPES)
    with suppress(Exception):  # a damaged file, or one of the format before 1.6
        names |= _types_in(path)
    if len(names) > MOST_TYPES:
        names = set()
    with allowed([_stand_in(name) for name in sorted(names)]):
        yield


def _types_in(path: Path) -> set[str]:
    """Return the full names of the types and functions that a file of `torch.save` names."""
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        steps = list(pickletools.genops(archive.read(pickled)))
    pairs = [tuple(str(text).split(" ", 1)) for step, text, _ in steps if step.name == "GLOBAL"]
    # The format has Python 2's names, which `torch.load` turns into today's.
    today = [
        NAME_MAPPING.get(pair, (IMPORT_MAPPING.get(pair[0], pair[0]), pair[1])) for pair in pairs
    ]
    return {".".join(pair) for pair in today}


def _stand_in(full_name: str) -> type[Aside]:
    """Return an empty type with another one's name, which `torch.load` goes by."""
    module, _, name = full_name.rpartition(".")
    return type(name, (Aside,), {"__module__": module, "__qualname__": name})


def _states_of(content: Any, level: int = 0) -> Iterator[dict[str, Tensor]]:
    """Yield every mapping from names to tensors, the outer before the inner."""
    if not _has_items(content) or level > MOST_LEVELS:
        return
    items = dict(content if isinstance(content, Mapping) else enumerate(content))
    state = {name: one for name, one in items.items() if isinstance(name, str) and _is_plain(one)}
    if state:
        yield state
    for name in sorted(items, key=_place):
        if any(word in str(name).lower() for word in NO_MODEL):
            continue
        for state in _states_of(items[name], level + 1):
            yield state
            if LIGHTNING in items:  # which writes its module's name for the network in front
                yield _without_first_part(state)


def _place(name: Any) -> tuple[bool, int]:
    key = str(name).lower()
    usual = USUAL_KEYS.index(key) if key in USUAL_KEYS else len(USUAL_KEYS)
    return any(word in key for word in AVERAGED), usual


def _without_first_part(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    first = {name.partition(".")[0] for name in state}
    return {name.partition(".")[2] if len(first) == 1 else name: state[name] for name in state}


def _has_items(content: Any) -> bool:
    return isinstance(content, Mapping | list | tuple)


def _is_plain(value: Any) -> bool:
    """Return whether it is a contiguous tensor on the CPU, which every model can load."""
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )
