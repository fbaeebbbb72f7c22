"""The client that runs a notebook's cells; it needs Jupyter's packages, so it is imported late."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.util import ensure_async, run_sync
from nbformat import NotebookNode

from cifar_lab.utils.console import echo

CELL_TIMEOUT_SECONDS = 4 * 3600
STARTUP_TIMEOUT_SECONDS = 300  # a machine that does much else takes its time


class ThisPython(KernelSpecManager):
    """The kernel of the Python that runs now, whatever is installed as "python3"."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return how the kernel is started."""
        return KernelSpec(argv=make_ipkernel_cmd(), display_name="Python 3", language="python")


class EchoingClient(NotebookClient):
    """Repeats in the terminal what cells print, as it comes, and saves after each cell.

    Attributes:
        interrupted: Whether Ctrl-C, or the signal to terminate, ended the kernel.
    """

    def __init__(self, notebook: NotebookNode, folder: str, save: Callable[[], None]) -> None:
        super().__init__(
            notebook,
            timeout=CELL_TIMEOUT_SECONDS,
            startup_timeout=STARTUP_TIMEOUT_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        )
        self.interrupted = False
        self._save = save

    def create_kernel_manager(self) -> KernelManager:
        """Make a manager that starts the Python that runs now."""
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = ThisPython()
        return manager

    async def async_start_new_kernel(self, **options: Any) -> None:
        """Start the kernel; from then on Ctrl-C ends it.

        nbclient's own handlers forget the kernel before its cell has ended, and fail at that.
        """
        await super().async_start_new_kernel(**options)
        loop = asyncio.get_running_loop()
        with suppress(RuntimeError):  # Windows, or not the main thread: Python's own handler stays
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._interrupt)

    def _interrupt(self) -> None:
        """End the kernel at once; the client finds it dead within a second."""
        self.interrupted = True
        if self.km is not None:
            # Kept, since a task that nobody refers to may vanish before it has run.
            self._ending = asyncio.ensure_future(ensure_async(self.km.shutdown_kernel(now=True)))

    async def _async_cleanup_kernel(self) -> None:
        # nbclient does it twice for a kernel that died while it started, and fails at the second.
        if self.km is not None:
            await super()._async_cleanup_kernel()

    _cleanup_kernel = run_sync(_async_cleanup_kernel)

    async def async_execute_cell(self, *arguments: Any, **options: Any) -> NotebookNode:
        """Execute a cell, and save the notebook also where the cell fails."""
        try:
            return await super().async_execute_cell(*arguments, **options)
        finally:
            self._save()

    def process_message(self, message: dict[str, Any], *arguments: Any) -> Any:
        """Repeat printed text, then take the message as nbclient does."""
        if message["msg_type"] == "stream":
            content = message["content"]
            echo(content["text"], sys.stderr if content["name"] == "stderr" else sys.stdout)
        return super().process_message(message, *arguments)
