"""One run in a process of its own: a task as JSON in the first argument, its outcome as one line of JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict

import msgspec

from benches.frame import Task
from benches.workloads import WORKLOADS


def main(argument: str) -> int:
    """Run the task."""
    task = msgspec.json.decode(argument, type=Task)
    print(msgspec.json.encode(asdict(WORKLOADS[task.workload](task))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
