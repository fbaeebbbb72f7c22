"""Commands on a terminal of their own, where Ctrl-C reaches every process."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

CTRL_C = b"\x03"


def press_ctrl_c(
    command: list[str],
    *,
    after: str,
    times: int = 1,
    folder: Path | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[int, str]:
    """Run `cifar-lab` and press Ctrl-C when a text appears; return its status and its output.

    Args:
        command: The arguments.
        after: The text.
        times: How often it is pressed, a tenth of a second apart.
        folder: Where the command runs.
        size: The terminal's lines and columns.
    """
    import fcntl  # not on Windows
    import pty
    import termios

    ours, theirs = pty.openpty()
    if size is not None:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-m", "cifar_lab", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    output, left = b"", times
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux: every process has closed it
            break
        if not chunk:
            break
        output += chunk
        while left and after.encode() in output:
            os.write(ours, CTRL_C)
            time.sleep(0.1)
            left -= 1
    os.close(ours)
    return process.wait(), output.decode(errors="replace").replace("\r\n", "\n")
