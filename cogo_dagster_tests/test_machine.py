"""The default number of slots follows the cores and the memory of the machine."""

from pathlib import Path

import pytest

from cogo_dagster import machine
from cogo_dagster.machine import default_slots, slots_of_this_machine, usable_cores, usable_memory_bytes

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("cores", "memory_bytes", "slots"),
    [
        (2, 24 * GB, 4),
        (2, None, 4),
        (1, 2 * GB, 1),
        (4, 4 * GB, 4),
        (8, 16 * GB, 16),
        (8, 8 * GB, 9),
        (64, 512 * GB, 32),
        (0.5, 4 * GB, 1),
        (0.1, 4 * GB, 1),
        (2, 500_000_000, 1),
    ],
)
def test_slots_follow_cores_and_memory(cores: float, memory_bytes: int | None, slots: int) -> None:
    """There are two slots per core if there are 750 MB for each, at least one and at most 32."""
    assert default_slots(cores, memory_bytes) == slots


def test_the_limits_of_a_container_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lower one of the limit and of what the machine has counts; `max` is no limit."""
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "meminfo").write_text("MemTotal:       8000000 kB\nMemFree:        1 kB\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_MEMORY_LIMITS", (tmp_path / "memory.max", tmp_path / "none"))
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    assert (usable_cores(), usable_memory_bytes()) == (0.5, 2_000_000_000)
    assert slots_of_this_machine() == 1
    for name in ("memory.max", "cpu.max"):
        (tmp_path / name).write_text("max 100000\n" if name == "cpu.max" else "max\n")
    assert usable_cores() >= 1
    assert usable_memory_bytes() == 8_000_000 * 1024
    (tmp_path / "meminfo").unlink()
    assert usable_memory_bytes() is None
