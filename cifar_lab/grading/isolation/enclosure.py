"""Enclosing a process as far as the kernel permits it to anybody, where bubblewrap does not.

This file is copied into the sandbox's folder and used there by the child, before any code of the
student's runs; it needs the standard library alone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000
SHARED_MEMORY = Path("/dev/shm")
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enclose(parent: int, *, namespaces: bool, shared_mib: int = 256) -> bool:
    """Continue in a grandchild; return whether the kernel permits it namespaces of its own.

    This process stays as the one that the parent waits for. It takes in processes that
    others left behind, ends with the driver's exit code, and leaves nothing running.

    Args:
        parent: Number of the process that started this one.
        namespaces: Asks the kernel for namespaces.
        shared_mib: Size of the folder for shared memory in them, which ends with them.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    own_users = namespaces and _may_unshare()
    if own_users:
        _unshare()
        with suppress(OSError):  # not permitted everywhere: then it is the host's folder
            _cover_shared_memory(shared_mib)
        _stay_behind_unless_child(os.fork())  # the child is process 1 of the new namespace
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _stay_behind_unless_child(os.fork())
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    return own_users


def _stay_behind_unless_child(pid: int) -> None:
    """Return in the child. In the parent, wait for it, end all it left behind, and end."""
    if pid == 0:
        return
    os.closerange(0, 3)  # the driver's: nobody shall wait for this process to close them
    code = 1
    for ended, status in _ended():
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            break
    _kill_children()
    os._exit(code if code >= 0 else 128 - code)


def _ended() -> Iterator[tuple[int, int]]:
    while True:
        try:
            yield os.wait()
        except ChildProcessError:
            return


def _kill_children() -> None:
    """Kill what is left, generation by generation: orphans become children of this process."""
    tasks = Path(f"/proc/self/task/{os.getpid()}/children")
    while tasks.exists():  # not in a namespace, which the kernel clears when its process 1 ends
        children = [int(pid) for pid in tasks.read_text().split()]
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _may_unshare() -> bool:
    """Try it in a process of its own: half of it, where the rest is refused, can't be undone."""
    if sys.platform != "linux":
        return False
    pid = os.fork()
    if pid == 0:
        try:
            _unshare()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _unshare() -> None:
    """Leave the host's users, processes (for children), network, mounts and shared memory."""
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _bring_up_loopback()


def _bring_up_loopback() -> None:
    """Start the loopback interface: notebook kernels speak with their clients over it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def _cover_shared_memory(mib: int) -> None:
    """Put a file system of this namespace alone, which takes so much memory, over the host's."""
    if SHARED_MEMORY.is_dir():
        _mount("none", "/", "none", MS_REC | MS_PRIVATE, "")
        options = f"size={mib}m,mode=1777"
        _mount("tmpfs", str(SHARED_MEMORY), "tmpfs", MS_NOSUID | MS_NODEV, options)


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    names = (source.encode(), target.encode(), kind.encode())
    if libc.mount(*names, ctypes.c_ulong(flags), options.encode() or None):
        raise OSError(ctypes.get_errno(), "mount")
