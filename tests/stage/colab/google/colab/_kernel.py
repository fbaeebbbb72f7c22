"""The kernel."""

from __future__ import annotations

from google.colab import _shell
from ipykernel import ipkernel


class Kernel(ipkernel.IPythonKernel):
    """IPython's kernel with Colab's shell."""

    def _shell_class_default(self) -> type[_shell.Shell]:
        return _shell.Shell
