"""Questions to the page in the browser, of which one is answered: what the notebook holds now."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def blocking_request(
    request_type: str, request: Any = "", timeout_sec: float | None = 5, parent: Any = None
) -> Any:
    """Return the page's answer; None where the real one would wait in vain."""
    if request_type != "get_ipynb":
        return None
    notebook = json.loads(Path(os.environ["COLAB_STAND_IN_NOTEBOOK"]).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:  # Colab writes the format of before the cells' ids
        cell["metadata"]["id"] = cell.pop("id", "")
    return {"ipynb": {**notebook, "nbformat_minor": 0}}
