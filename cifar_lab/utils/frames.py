"""Tables of figures as pandas DataFrames, where pandas is installed: nothing else needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def data_frame(rows: Sequence[Mapping[str, Any]], index: Sequence[Any] | None = None) -> Any:
    """Return a DataFrame with one row for each mapping of columns to values.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "A DataFrame needs pandas, which is not installed. Install it: pip install pandas"
        ) from error
    return pandas.DataFrame(list(rows), index=index)
