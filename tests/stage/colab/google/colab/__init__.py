"""A stand-in for Colab's package: what notebooks of the course, and the library, can meet of it.

Written after github.com/googlecolab/colabtools. There is no browser: where the real one asks the
page, this one asks the files that the tests name in environment variables.
"""

from __future__ import annotations

from typing import Any

from google.colab import drive

__all__ = ["drive"]


def load_ipython_extension(shell: Any) -> None:
    """Nothing is registered; the kernel loads this when it starts, as Colab's does."""
