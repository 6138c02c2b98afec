"""`daos dev status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.cli._base import command as make
from daos.cli._dev import DIRECTORY, dev_system
from daos.cli._output import Reply, table
from daos.errors import DaosError

if TYPE_CHECKING:
    from daos.dev import DevSystem


@make("status", DIRECTORY)
def command(directory: str) -> Reply:
    """Tell which processes run, and what the system says of its ranks."""
    system = dev_system(directory)
    processes = [(process.name, process.pid) for process in system.processes()]
    ranks, error = _ranks(system)
    lines = table(["Process", "Pid"], [(name, "-" if pid is None else str(pid)) for name, pid in processes])
    if ranks:
        lines += ["", *table(["Rank", "State", "Engine"], [(str(rank), state, pid) for rank, state, pid in ranks])]
    return Reply(
        lines,
        lambda: {
            "processes": [{"name": name, "pid": pid} for name, pid in processes],
            "ranks": [{"rank": rank, "state": state} for rank, state, _ in ranks],
        },
        error=error,
    )


def _ranks(system: DevSystem) -> tuple[list[tuple[int, str, str]], str | None]:
    """Return rank, state and process of each engine, or why they cannot be told."""
    from daos.mgmt.proto import daos_mgmt_pb2 as pb

    try:
        members = system.members()
    except DaosError as error:
        return [], f"{error.message}: {error.code}"
    ports = system.layout.load().ports
    found = []
    for member in members:
        word = pb.MemberState.Name(member.state).removeprefix("MEMBER_STATE_").title()
        pid = system.engine_pid(ports.index(int(member.address.rpartition(":")[2])))
        found.append((member.rank, word, "-" if pid is None else str(pid)))
    return found, None
