"""Who holds a lease: the identity of this process, and whether the holder of another one is gone for good.

A process is known to be gone only by one that runs under the same kernel and sees the same process ids; for all others
its lease has to expire.
"""

import contextlib
import os
import platform
import uuid
from functools import cache
from pathlib import Path

__all__ = ["identity", "is_gone"]


def identity() -> str:
    """A name for one holder of leases in this process, different at each call."""
    return f"{_place()}/{os.getpid()}/{_started(os.getpid())}/{uuid.uuid4().hex[:12]}"


def is_gone(worker: str) -> bool:
    """Whether the process of an `identity` is known to have ended; "" (nobody) is.

    >>> is_gone(identity())
    False
    """
    if not worker:
        return True
    place, pid, started, _ = worker.rsplit("/", 3)
    return place == _place() and _started(int(pid)) != started


@cache
def _place() -> str:
    """The host, and what tells apart its boots and its containers."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):  # only Linux has them
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return ":".join(parts)


def _started(pid: int) -> str:
    """When a process started, in whatever unit there is; "" for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _started_elsewhere(pid)
    return "" if fields[0] in {"Z", "X"} else fields[19]  # a zombie does nothing any more


def _started_elsewhere(pid: int) -> str:
    """As `_started`, without /proc: it is only known whether a process of this id runs."""
    if os.name == "nt":
        return "unknown"  # os.kill would end it; its lease has to expire
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "unknown"
