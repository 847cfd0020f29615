"""How much memory is free here: of the machine, and of a GPU.

Pure but for what the system tells. Numbers of bytes; a limit that a container sets counts as the
machine's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Memory:
    """What is free where a model is to run."""

    device: str
    """As torch calls it: `cpu`, `cuda`, `cuda:1`."""
    free: int
    """Bytes that the device has free."""
    total: int
    """Bytes that the device has."""
    host: int
    """Bytes that the machine has free; on a CPU the same as `free`."""

    @property
    def on_cpu(self) -> bool:
        """Whether the model runs on the processor."""
        return self.device == "cpu"


def measure(device: str) -> Memory:
    """Ask the system what is free for a model on this device.

    Raises `RuntimeError` (torch's own) for a GPU that is not there.
    """
    host = free_host()
    if device == "cpu":
        return Memory(device, host, host, host)
    import torch

    free, total = torch.cuda.mem_get_info(torch.device(device))
    return Memory(device, free, total, host)


def free_host(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Bytes that this machine, or the container around this process, has free."""
    return min([_machine(meminfo), *_container(cgroup)])


def _machine(meminfo: Path) -> int:
    """What new programs can have without swapping; where nobody tells, all that is built in."""
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _container(cgroup: Path) -> list[int]:
    """What a limit of version 2 or 1 of Linux's control groups leaves; empty where none is set."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = int((cgroup / limit).read_text(encoding="ascii"))
            taken = int((cgroup / used).read_text(encoding="ascii"))
        except (OSError, ValueError):  # no such file; or `max`, which is no limit
            continue
        return [max(0, most - taken + _reclaimable((cgroup / limit).with_name("memory.stat")))]
    return []


def _reclaimable(stat: Path) -> int:
    """Bytes of files that the kernel keeps as long as nobody needs the room."""
    try:
        for line in stat.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name in {"inactive_file", "total_inactive_file"}:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
