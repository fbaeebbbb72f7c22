from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from cifar_lab.training.allocator import keep_freed_memory

# Page faults of a process that has used and freed 64 MiB before, and does so 32 times more.
USES = 32
FAULTS = """
import resource, torch
from cifar_lab.training.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def use():
    torch.ones(16 * 2**20)
for _ in range(4):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({uses}):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


# MiB by which a process grows that trains and evaluates on 200 batches of 6 MiB.
GROWTH = """
import resource, torch
from torch import nn
from cifar_lab.training.allocator import keep_freed_memory
from cifar_lab.evaluation import predict
from cifar_lab.training import train_epoch
assert keep_freed_memory()
class Batches:
    def __init__(self, count):
        self.count = count
    def __iter__(self):
        for _ in range(self.count):
            yield torch.zeros(500, 3, 32, 32), torch.zeros(500, dtype=torch.int64)
model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
def peak(count):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    train_epoch(model, Batches(count), optimizer, nn.CrossEntropyLoss())
    predict(model, Batches(count))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(-peak(2) + peak(200))
"""


def faults(keep: bool) -> int:
    command = [sys.executable, "-c", FAULTS.format(keep=keep, uses=USES)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_that_was_freed_is_used_again() -> None:
    pages = USES * 64 * 2**20 // 4096
    assert faults(keep=False) > pages / 2
    # In a rare process a small block lands in the freed one, and the next use takes new pages.
    assert any(faults(keep=True) < pages / 4 for _ in range(3))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_is_kept_of_each_batch_does_not_split_the_memory_for_the_next() -> None:
    command = [sys.executable, "-c", GROWTH]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert float(answer) < 300


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed_memory.cache_clear()
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()
    keep_freed_memory.cache_clear()
