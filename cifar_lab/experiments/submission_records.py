"""Records of training, in the many forms in which people keep them, as rows of plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

from cifar_lab.experiments.results import Result
from cifar_lab.utils.plain import as_number, plain, to_json

HISTORY_EXPECTED = (
    "expected one record per epoch: what fit returned, mappings such as "
    '{"epoch": 1, "seconds": 30.0, "train_loss": 1.5}, a mapping of lists, or a list of losses'
)
ITERATIONS_EXPECTED = (
    "expected one record per network: results, or mappings such as "
    '{"title": "ConvNet", "parameters": 42362, "test_accuracy": 61.5}'
)
COUNTED = ("title", "parameters", "test_accuracy")


def history_records(history: Any) -> list[dict[str, Any]]:
    """Return one plain record per epoch, with its number.

    Args:
        history: Epochs as records, mappings or losses; or columns, as a mapping of lists, a
            DataFrame or the result of its `to_dict`; None for no epochs.

    Raises:
        TypeError: The history is something else, or holds a value that is no plain data.
        ValueError: Its columns have different lengths.
    """
    if isinstance(history, Result):
        history = history.history
    records = []
    for number, (_, row) in enumerate(_rows("history", history, HISTORY_EXPECTED), 1):
        record = _record(row)
        if record is None:
            loss = _cell(row)
            if isinstance(loss, bool) or not isinstance(loss, int | float):
                raise _unexpected("history", number, row, HISTORY_EXPECTED)
            record = {"train_loss": loss}
        records.append({"epoch": number} | record)
    return _checked("history", records, HISTORY_EXPECTED)


def iteration_records(iterations: Any) -> list[dict[str, Any]]:
    """Return one plain record per network: title, parameters, test accuracy, and anything else.

    Args:
        iterations: Results or mappings, also by name in a mapping; or columns, as in a history.

    Raises:
        TypeError: The iterations are something else, or hold a value that is no plain data.
        ValueError: Their columns have different lengths.
    """
    records = []
    for number, (name, row) in enumerate(_rows("iterations", iterations, ITERATIONS_EXPECTED), 1):
        if isinstance(row, Result):
            record: dict[str, Any] | None = {each: _cell(getattr(row, each)) for each in COUNTED}
        else:
            record = _record(row)
        if record is None:
            raise _unexpected("iterations", number, row, ITERATIONS_EXPECTED)
        if isinstance(name, str):
            record = {"title": name} | record
        missing = [each for each in COUNTED if record.get(each) is None]
        if missing:
            print(
                f"Entry {number} of iterations has no {' and no '.join(missing)}; "
                f"{ITERATIONS_EXPECTED}."
            )
        records.append(record)
    return _checked("iterations", records, ITERATIONS_EXPECTED)


def _rows(kind: str, table: Any, expected: str) -> list[tuple[Any, Any]]:
    """Return the rows, each with its name where the table has names for them."""
    if table is None:
        return []
    if hasattr(table, "to_dict") and not isinstance(table, Mapping):  # pandas
        table = table.to_dict()
    if isinstance(table, Mapping):
        return _rows_of_mapping(kind, table, expected)
    if is_dataclass(table):
        return [(None, table)]
    if isinstance(table, Tensor | np.ndarray):
        table = plain(table)
    if isinstance(table, str | bytes) or not isinstance(table, Iterable):
        raise TypeError(f"{kind} is a {type(table).__name__}; {expected}.")
    return [(None, row) for row in table]


def _rows_of_mapping(kind: str, table: Mapping[Any, Any], expected: str) -> list[tuple[Any, Any]]:
    """Return rows by their names, or columns by theirs, or one row."""
    if table and all(_is_row(value) for value in table.values()):
        return list(table.items())
    columns = {name: _column(value) for name, value in table.items()}
    lengths = {name: len(column) for name, column in columns.items() if column is not None}
    if not lengths and all(isinstance(name, str) for name in table):
        return [(None, table)] if table else []
    if not lengths:  # one value by each epoch's number
        return [(None, value) for value in table.values()]
    if len(lengths) < len(columns) or len(set(lengths.values())) > 1:
        found = ", ".join(
            f"{name} {'a single value' if column is None else len(column)}"
            for name, column in columns.items()
        )
        raise ValueError(f"{kind} has columns of different lengths ({found}); {expected}.")
    rows = zip(*(column for column in columns.values() if column is not None), strict=True)
    return [(None, dict(zip(columns, row, strict=True))) for row in rows]


def _is_row(value: Any) -> bool:
    """Return whether it is a record, and not a column that pandas gives by its index."""
    if isinstance(value, Mapping):
        return all(isinstance(name, str) for name in value)
    return is_dataclass(value)


def _column(value: Any) -> list[Any] | None:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, Tensor | np.ndarray):
        value = plain(value)
    return list(value) if isinstance(value, list | tuple) else None


def _record(row: Any) -> dict[str, Any] | None:
    """Return a record as plain data; None for anything else."""
    if is_dataclass(row) and not isinstance(row, type):
        row = asdict(row)
    if hasattr(row, "to_dict") and not isinstance(row, Mapping):  # a row of a DataFrame
        row = row.to_dict()
    if not isinstance(row, Mapping):
        return None
    return {str(name): _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    try:
        return as_number("", value)
    except ValueError:
        return plain(value)


def _checked(kind: str, records: list[dict[str, Any]], expected: str) -> list[dict[str, Any]]:
    for number, record in enumerate(records, 1):
        for name, value in record.items():
            try:
                to_json(value)
            except (TypeError, ValueError):
                raise TypeError(
                    f"Entry {number} of {kind} has a {type(value).__name__} as its {name}; "
                    f"{expected}."
                ) from None
    return records


def _unexpected(kind: str, number: int, row: Any, expected: str) -> TypeError:
    return TypeError(f"Entry {number} of {kind} is a {type(row).__name__}; {expected}.")
