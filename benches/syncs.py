"""How often a system really syncs: its puts under a trace of the kernel's calls, in a short run of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from benches.frame import MARK_BEGIN, MARK_END

if TYPE_CHECKING:
    from pathlib import Path

    from benches.frame import Task

CALLS = "fsync,fdatasync,msync,sync_file_range,syncfs,sync,pwritev2,pwritev,pwrite64,writev,write,openat,access"
OPENED_SYNC = re.compile(r"openat\(.*O_D?SYNC.*= (\d+)$")
WRITE = re.compile(r"(?:pwritev2|pwritev|pwrite64|writev|write)\((\d+),")
SYNC = re.compile(r"\b(?:fsync|fdatasync|syncfs|sync)\(|msync\(.*MS_SYNC|pwritev2\(.*RWF_D?SYNC")


def syncs_in(trace: str) -> int:
    """Return the syncs between the marks: calls that sync, and writes to files that were opened to sync."""
    count, inside, opened = 0, False, set[str]()
    for line in trace.splitlines():
        if MARK_BEGIN in line:
            inside = True
        elif MARK_END in line:
            inside = False
        elif found := OPENED_SYNC.search(line):
            opened.add(found[1])
        elif inside:
            write = WRITE.search(line)
            count += bool(SYNC.search(line)) or (write is not None and write[1] in opened)
    return count


def count_syncs(task: Task, directory: Path) -> float | None:
    """Return syncs per call of a task's puts in a fresh store, or None where the machine cannot trace."""
    if shutil.which("strace") is None:
        return None
    trace = directory / "trace"
    traced = replace(task, directory=str(directory / "traced"), first=0, entries=0)
    command = [sys.executable, "-m", "benches.child", msgspec.json.encode(traced).decode()]
    strace = ["strace", "-f", "-qq", "-s", "80", "-e", f"trace={CALLS}", "-o", str(trace)]
    done = subprocess.run([*strace, *command], check=False, capture_output=True, text=True, timeout=120)
    shutil.rmtree(traced.directory, ignore_errors=True)
    if done.returncode != 0:
        return None
    calls = traced.count / (traced.batch if traced.workload == "put_many" else 1)
    return syncs_in(trace.read_text(errors="replace")) / calls
