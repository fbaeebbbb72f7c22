"""Answers from a sandbox, read as the work of somebody who may wish to do harm."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0, which numpy writes for numbers
KINDS = "biufc"
LENGTH_BYTES = 8


class BadAnswerError(Exception):
    """A fault of an answer, as the rest of a sentence that begins "The answer"."""


@dataclass(frozen=True)
class Report:
    """A driver's report: its answer, or how it failed.

    Attributes:
        answer: Answer as JSON; None where the driver failed.
        arrays: Arrays of the answer.
        failure: Failure of the driver, if it failed: `kind` ("exception", "exit", "memory" or
            "disk"), `error` (the exception) and `where` (a line of a file, or nothing).
    """

    answer: dict[str, Any] | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    failure: dict[str, str] = field(default_factory=dict)


def parse(content: bytes, token: bytes) -> Report | None:
    """Return what a driver told; None where it told nothing.

    Args:
        content: Bytes that came from the child.
        token: Bytes with which the driver's report begins.

    Raises:
        BadAnswerError: what came is not a driver's report.
    """
    if not content:
        return None
    try:
        return _parse(content, token)
    except BadAnswerError:
        raise
    except Exception as error:  # whatever it is that came, it is the answer that is bad
        raise BadAnswerError(
            f"can't be read ({type(error).__name__}: {str(error)[:200]})"
        ) from error


def _parse(content: bytes, token: bytes) -> Report:
    if not content.startswith(token):
        raise BadAnswerError("does not come from the check itself")
    start = len(token) + LENGTH_BYTES
    length = int.from_bytes(content[len(token) : start], "big")
    if len(content) < start + length:
        raise BadAnswerError("breaks off")
    text = content[start : start + length].decode("utf-8")
    report = json.loads(text)
    json.dumps(report, ensure_ascii=False).encode("utf-8")  # refuses half characters
    if not isinstance(report, dict):
        raise BadAnswerError("is not an object")
    if report.get("status") != "ok":
        failure = {name: report.get(name) for name in ("kind", "error", "where")}
        if not all(isinstance(value, str) for value in failure.values()):
            raise BadAnswerError("is neither an answer nor a failure")
        return Report(failure={name: str(value) for name, value in failure.items()})
    if not isinstance(report.get("answer"), dict):
        raise BadAnswerError("is not an object")
    arrays, position = {}, start + length
    for name, size in report["arrays"]:
        if not isinstance(name, str) or not isinstance(size, int) or size < 0:
            raise BadAnswerError("names its arrays in an unknown way")
        if len(content) < position + size:
            raise BadAnswerError("breaks off")
        arrays[name] = read_array(content[position : position + size])
        position += size
    if position != len(content):
        raise BadAnswerError("continues after its end")
    return Report(report["answer"], arrays)


def read_array(content: bytes) -> np.ndarray:
    """Return an array of numbers or booleans from the bytes of a .npy file.

    Unlike `np.load` this takes no memory for what a header merely claims to follow.

    Raises:
        BadAnswerError: it is something else.
    """
    if not content.startswith(MAGIC):
        raise BadAnswerError("has an array that is not in numpy's format")
    start = len(MAGIC) + 2
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    header = ast.literal_eval(content[start:end].decode("latin1").strip())
    shape = header["shape"]
    if not isinstance(header["descr"], str) or np.dtype(header["descr"]).kind not in KINDS:
        raise BadAnswerError("has an array of something else than numbers")
    dtype = np.dtype(header["descr"])
    if any(not isinstance(size, int) or size < 0 for size in shape):
        raise BadAnswerError("has an array of an impossible shape")
    if math.prod(shape) * dtype.itemsize != len(content) - end:
        raise BadAnswerError("has an array that is shorter or longer than its shape")
    values = np.frombuffer(content, dtype, offset=end)
    if header["fortran_order"]:
        return values.reshape(shape[::-1]).T.copy()
    return values.reshape(shape).copy()
