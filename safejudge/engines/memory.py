"""How much memory is free here: of the machine, and of a GPU.

Pure but for what the system tells. Numbers of bytes; a limit that a container or a job sets counts
as the machine's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_GROUPS = Path("/proc/self/cgroup")


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


def free_host(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP, groups: Path = _GROUPS) -> int:
    """Bytes that this machine, or a container or job around this process, has free."""
    return min([_machine(meminfo), *_limits(cgroup, groups)])


def _machine(meminfo: Path) -> int:
    """What new programs can have without swapping; where nobody tells, all that is built in."""
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits(cgroup: Path, groups: Path) -> Iterator[int]:
    """What each limit of Linux's control groups around this process leaves."""
    for root, path, limit, used in (
        (cgroup, _group(groups, ""), "memory.max", "memory.current"),
        (
            cgroup / "memory",
            _group(groups, "memory"),
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
        ),
    ):
        for part in (path, *path.parents):
            folder = root / part
            try:
                most = int((folder / limit).read_text(encoding="ascii"))
                taken = int((folder / used).read_text(encoding="ascii"))
            except (OSError, ValueError):  # no such file; or `max`, which is no limit
                continue
            yield max(0, most - taken + _reclaimable(folder / "memory.stat"))


def _group(groups: Path, controller: str) -> Path:
    """The group of this process, of version 2 (no controller) or 1, as a path below the root."""
    try:
        for line in groups.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return Path(path.strip("/"))
    except (OSError, ValueError):
        pass
    return Path()


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
