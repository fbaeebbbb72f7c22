from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from cifar_lab.allocator import keep_freed_memory

# Page faults of a process that has used and freed 64 MiB before, and does so four times more.
FAULTS = """
import resource, torch
from cifar_lab.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def use():
    torch.ones(16 * 2**20)
use(), use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    command = [sys.executable, "-c", FAULTS.format(keep=keep)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_that_was_freed_is_used_again() -> None:
    pages = 4 * 64 * 2**20 // 4096
    assert faults(keep=False) > pages / 2
    assert faults(keep=True) < pages / 100


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed_memory.cache_clear()
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()
    keep_freed_memory.cache_clear()
