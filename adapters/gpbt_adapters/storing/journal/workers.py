"""The holders of leases: the identity of this process, and whether the process that holds another lease has ended.

Only a process that runs under the same kernel and sees the same process ids can know that the holder has ended. All
others must wait until the lease expires.
"""

import contextlib
import os
import platform
import uuid
from functools import cache
from pathlib import Path

__all__ = ["identity", "is_gone"]


def identity() -> str:
    """A name for a holder of leases in this process; each call returns a new one."""
    return f"{_place()}/{os.getpid()}/{_started(os.getpid())}/{uuid.uuid4().hex[:12]}"


def is_gone(worker: str) -> bool:
    """Whether the process of an `identity` is known to have ended; True for "" (nobody).

    >>> is_gone(identity())
    False
    """
    if not worker:
        return True
    place, pid, started, _ = worker.rsplit("/", 3)
    return place == _place() and _started(int(pid)) != started


@cache
def _place() -> str:
    """The host, with identifiers of its current boot and of the container."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):  # they exist only on Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return ":".join(parts)


def _started(pid: int) -> str:
    """The start time of a process, in a platform-specific unit; "" if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _started_elsewhere(pid)
    return "" if fields[0] in {"Z", "X"} else fields[19]  # a zombie process has ended


def _started_elsewhere(pid: int) -> str:
    """As `_started`, without /proc: this only determines whether a process with this id is running."""
    if os.name == "nt":
        return "unknown"  # os.kill would end the process; wait until its lease expires
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "unknown"
