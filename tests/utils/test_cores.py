from __future__ import annotations

import os
from pathlib import Path

import pytest

from cifar_lab.utils.cores import available_cores


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("150000 100000", 1.5), ("max 100000", 8), ("900000 100000", 8), (None, 8)],
)
def test_the_cores_are_those_of_the_process_or_the_container_s_part(
    limit: str | None, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, encoding: str) -> str:
        assert str(path) == "/sys/fs/cgroup/cpu.max"
        if limit is None:
            raise FileNotFoundError(path)
        return limit + "\n"

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", read)
    assert available_cores() == expected


def test_where_a_process_has_no_cores_of_its_own_all_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert available_cores() <= 1
