"""Whether a machine is fit to hold a system: facts gathered thinly, judged purely."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from daos._build import BuildInfo, build_info
from daos.model.sizes import format_size

__all__ = ["Finding", "diagnose"]

PYTHON_MIN = (3, 11)
KERNEL_MIN = (4, 7)
"""The first Linux with `pwritev2` and `RWF_DSYNC`."""
KERNEL_BEST = (5, 14)
"""The first Linux with `MADV_POPULATE_WRITE`, which makes a first write to new memory cheap."""
SPACE_MIN = 64 << 20
"""Free bytes below which a new system cannot be made."""
SPACE_LOW = 1 << 30
MEMORY_LOW = 512 << 20
"""Available bytes below which a memtable and its page cache are cramped."""
VOLATILE = frozenset({"tmpfs", "ramfs"})
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "fuse.sshfs", "fuse.s3fs"})


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        status: `ok`; `warn`: it works, with a drawback; `fail`: a system cannot be held here.
        detail: What is there.
        fix: What to do about it, where something is to be done.
    """

    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str | None = None


def judge_python(version: tuple[int, ...]) -> Finding:
    """Judge the interpreter."""
    detail = ".".join(map(str, version[:3]))
    if version[:2] < PYTHON_MIN:
        return Finding("python", "fail", detail, "use Python 3.11 or newer")
    return Finding("python", "ok", detail)


def judge_core(info: BuildInfo) -> Finding:
    """Judge the native module."""
    detail = f"{info.version} for {info.target}"
    if info.debug:
        return Finding("core", "warn", f"{detail}, not optimised", "build it by `make build` or `pip install .`")
    return Finding("core", "ok", detail)


def judge_kernel(release: str) -> Finding:
    """Judge the kernel by its release, such as `6.1.0-18-amd64`."""
    match = re.match(r"(\d+)\.(\d+)", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version < KERNEL_MIN:
        return Finding("kernel", "fail", release, "use Linux 4.7 or newer, best 5.14 or newer")
    if version < KERNEL_BEST:
        return Finding("kernel", "warn", release, "Linux 5.14 or newer makes first writes to new memory cheaper")
    return Finding("kernel", "ok", release)


def judge_filesystem(kind: str, where: str) -> Finding:
    """Judge the type of the filesystem of a directory."""
    detail = f"{kind} at {where}"
    if kind in VOLATILE:
        return Finding(
            "filesystem", "warn", f"{detail} is memory", "choose a directory on a disk: a power cut empties it"
        )
    if kind in REMOTE:
        fix = "choose a local disk: locks and syncs over a network are as good as its server"
        return Finding("filesystem", "warn", f"{detail} is not local", fix)
    return Finding("filesystem", "ok", detail)


def judge_sync(error: OSError | None) -> Finding:
    """Judge a synchronous write that was tried."""
    if error is None:
        return Finding("sync", "ok", "RWF_DSYNC works")
    fix = "choose a directory that you can write to, on ext4, xfs or btrfs"
    return Finding("sync", "fail", f"a synchronous write fails: {error.strerror or error}", fix)


def judge_space(free: int) -> Finding:
    """Judge free bytes."""
    detail = f"{format_size(free)} free"
    if free < SPACE_MIN:
        return Finding("space", "fail", detail, "free at least 64 MiB, or choose another disk")
    if free < SPACE_LOW:
        return Finding("space", "warn", detail, "a gigabyte leaves room for logs and for merging")
    return Finding("space", "ok", detail)


def judge_memory(available: int | None) -> Finding:
    """Judge available bytes of memory, None where the system does not tell."""
    if available is None:
        return Finding("memory", "warn", "unknown", "/proc/meminfo cannot be read")
    detail = f"{format_size(available)} available"
    if available < MEMORY_LOW:
        return Finding("memory", "warn", detail, "half a gigabyte or more keeps the index in memory")
    return Finding("memory", "ok", detail)


def filesystem_of(mountinfo: str, path: str) -> tuple[str, str]:
    """Return type and mount point of the filesystem of an absolute path, from the text of `/proc/self/mountinfo`."""
    best = ("unknown", "")
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), left.split()[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two at one point, the later hides the earlier.
        if inside and len(point) >= len(best[1]):
            best = (right.split()[0], point)
    return best


def available_memory(meminfo: str) -> int | None:
    """Return the available bytes that the text of `/proc/meminfo` tells."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(match[1]) << 10 if match else None


def nearest(path: Path) -> Path:
    """Return the directory that is there: the path's, or its nearest parent."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())


def try_sync(directory: Path) -> OSError | None:
    """Try a synchronous write to a file without a name; return its error."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            os.pwritev(file.fileno(), [b"x"], 0, os.RWF_DSYNC)
    except OSError as error:
        return error
    return None


def read(path: str) -> str:
    """Return the text of a file of the kernel's, empty if it is not there."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def diagnose(path: str | os.PathLike[str]) -> list[Finding]:
    """Return a finding of each check of this machine, and of the place where a system is or shall be.

    Writes a file without a name there; leaves nothing.
    """
    directory = nearest(Path(path))
    usage = os.statvfs(directory)
    return [
        judge_python(sys.version_info[:3]),
        judge_core(build_info()),
        judge_kernel(os.uname().release),
        judge_filesystem(*filesystem_of(read("/proc/self/mountinfo"), str(directory.resolve()))),
        judge_sync(try_sync(directory)),
        judge_space(usage.f_bavail * usage.f_frsize),
        judge_memory(available_memory(read("/proc/meminfo"))),
    ]
