"""A session in Colab: runs a notebook from top to bottom, and ends with 1 where a cell fails.

    python colab_session.py NOTEBOOK EXECUTED

The notebook's file is not in the session's folder, as in Colab. The executed copy is saved after
each cell.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELL_TIMEOUT_SECONDS = 1800


class ColabKernel(KernelSpecManager):
    """Knows Colab's kernel alone."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return how the kernel is started."""
        command = [sys.executable, "-m", "colab_kernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def main(source: str, executed: str) -> int:
    """Run the notebook and save it; return the exit status."""
    notebook = nbformat.read(source, as_version=4)

    def save(**_: Any) -> None:
        nbformat.write(notebook, executed)

    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT_SECONDS, on_cell_executed=save, kernel_name="python3"
    )
    client.create_kernel_manager().kernel_spec_manager = ColabKernel()
    save()
    os.environ["COLAB_STAND_IN_NOTEBOOK"] = executed
    try:
        client.execute()
    except CellExecutionError as error:
        print(error)
        return 1
    finally:
        save()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
