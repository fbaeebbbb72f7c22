"""The client that runs a notebook's cells; it needs Jupyter's packages, so it is imported late."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.util import run_sync
from nbformat import NotebookNode

from cifar_lab.cli.interruption import signals_held, terminating_interrupts
from cifar_lab.cli.notebook_page import heading_of
from cifar_lab.utils.console import echo, say

CELL_TIMEOUT_SECONDS = 4 * 3600
STARTUP_TIMEOUT_SECONDS = 300  # a machine that does much else takes its time
LOOK_SECONDS = 0.2  # Windows notices Ctrl-C only between waits
# Newer kernels warn that they talk to this process over the machine's own network.
QUIET = "--IPKernelApp.log_level=ERROR"


class ThisPython(KernelSpecManager):
    """The kernel of the Python that runs now, whatever is installed as "python3"."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return how the kernel is started."""
        command = [*make_ipkernel_cmd(), QUIET]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


class EchoingClient(NotebookClient):
    """Repeats in the terminal what cells print, as it comes, and saves after each cell.

    The cells are run by a second thread. So Ctrl-C reaches the first one as in any other program,
    and nbclient's own handlers, which fail at a running cell, stay out of it.

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
        self._begun = threading.Event()
        self._task: asyncio.Task[Any] | None = None

    def create_kernel_manager(self) -> KernelManager:
        """Make a manager that starts the Python that runs now."""
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = ThisPython()
        return manager

    def run(self, environment: dict[str, str]) -> BaseException | None:
        """Execute all cells, and return what ended that early; None if nothing did.

        Args:
            environment: The environment variables of the kernel.
        """
        failures: list[BaseException] = []

        def execute() -> None:
            try:
                self.execute(env=environment)
            except BaseException as error:
                failures.append(error)
            finally:
                self._begun.set()

        thread = threading.Thread(target=execute, daemon=True)
        with terminating_interrupts():
            try:
                thread.start()
                while thread.is_alive():
                    thread.join(LOOK_SECONDS)
            except KeyboardInterrupt:
                self.interrupted = True
                with signals_held():
                    self._begun.wait()
                    self._end()
                    thread.join()
        return failures[0] if failures else None

    def _end(self) -> None:
        """Let the other thread end the kernel at once, wherever the cells are."""
        self.shutdown_kernel = "immediate"
        if self._task is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def async_execute(self, *arguments: Any, **options: Any) -> NotebookNode:
        """Execute all cells; however that ends, no kernel and no task is left."""
        self._task = asyncio.current_task()
        self._begun.set()
        try:
            return await super().async_execute(*arguments, **options)
        finally:
            await self._async_cleanup_kernel()
            rest = asyncio.all_tasks() - {self._task}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    execute = run_sync(async_execute)

    async def _async_cleanup_kernel(self) -> None:
        # nbclient does it twice for a kernel that died while it started, and fails at the second.
        if self.km is not None:
            await super()._async_cleanup_kernel()

    _cleanup_kernel = run_sync(_async_cleanup_kernel)

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, *arguments: Any, **options: Any
    ) -> NotebookNode:
        """Execute a cell, and save the notebook also where the cell fails."""
        heading = heading_of(cell)
        if heading is not None:
            say(f"[{cell_index + 1}/{len(self.nb.cells)}] {heading}")
        try:
            return await super().async_execute_cell(cell, cell_index, *arguments, **options)
        finally:
            self._save()

    def process_message(self, message: dict[str, Any], *arguments: Any) -> Any:
        """Repeat printed text, then take the message as nbclient does."""
        if message["msg_type"] == "stream":
            _repeat(message["content"]["text"], is_error=message["content"]["name"] == "stderr")
        return super().process_message(message, *arguments)


def _repeat(text: str, *, is_error: bool) -> None:
    """Print what a cell printed; progress bars go to the error stream, as in any program."""
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        bar, redrawn, rest = line.rpartition("\r")
        echo(bar + redrawn, sys.stderr)
        echo(rest, sys.stderr if is_error or (redrawn and rest[-1:] != "\n") else sys.stdout)
