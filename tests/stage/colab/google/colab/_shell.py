"""The shell, which `get_ipython()` returns."""

from __future__ import annotations

import sys
from typing import Any

from ipykernel import jsonutil, zmqshell
from IPython.core import interactiveshell


class Shell(zmqshell.ZMQInteractiveShell):
    """IPython's shell, with Colab's own way to send errors."""

    def _showtraceback(self, etype: type, evalue: BaseException, stb: Any) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        content = {"traceback": stb, "ename": str(etype.__name__), "evalue": str(evalue)}
        topic = self.displayhook.topic
        self.displayhook.session.send(
            self.displayhook.pub_socket,
            "error",
            jsonutil.json_clean(content),
            self.displayhook.parent_header,
            ident=topic.replace(b"execute_result", b"err") if topic else None,
        )
        self._last_traceback = stb


interactiveshell.InteractiveShellABC.register(Shell)
