"""Which releases of the parts of a system go together. Pure."""

from __future__ import annotations

import re
from importlib.metadata import version

from daos.errors import DER, UnavailableError
from daos.mgmt.roles import Role

_RELEASE = re.compile(r"(\d{1,6})\.(\d{1,6})\b")
_DISTANCE_MAX = {Role.ADMIN: 0, Role.AGENT: 1, Role.SERVER: 1}
"""By how many the second number may differ: agents and servers of a system are brought to a new release one by one."""
CLIENT_DISTANCE_MAX = 1
"""The same of a program and the agent of its host."""
_HINTS = {
    Role.ADMIN: "use the one that belongs to the servers",
    Role.AGENT: "install the servers' release on the agent's host, and start daos_agent again",
    Role.SERVER: "install the same release on all servers; one by one they may be a release apart",
}


def check_release(role: Role, theirs: str, ours: str) -> None:
    """Return if a server may answer a caller.

    Args:
        role: The caller's.
        theirs: The caller's release, such as `1.2.0`; empty where it does not tell, which is no reason to refuse it.
        ours: The server's.

    Raises:
        UnavailableError: `DER.CONTROL_INCOMPAT`.
    """
    if not _go_together(theirs, ours, _DISTANCE_MAX[role]):
        raise UnavailableError(
            f"the {role} is of release {theirs[:32]}, this server of {ours}",
            code=DER.CONTROL_INCOMPAT,
            hint=_HINTS[role],
            context={"release": ours},
        )


def check_client(theirs: str, ours: str) -> None:
    """Return if an agent may answer a program of its host.

    Args:
        theirs: The program's release; empty where it does not tell, which is no reason to refuse it.
        ours: The agent's.

    Raises:
        UnavailableError: `DER.CONTROL_INCOMPAT`.
    """
    if not _go_together(theirs, ours, CLIENT_DISTANCE_MAX):
        raise UnavailableError(
            f"the client is of release {theirs[:32]}, the agent of this host of {ours}",
            code=DER.CONTROL_INCOMPAT,
            hint="give the program the agent's release of daos; or bring the agent to that one, and start it again",
            context={"release": ours},
        )


def _go_together(theirs: str, ours: str, distance_max: int) -> bool:
    if not theirs or theirs == ours:
        return True
    their, our = _RELEASE.match(theirs), _RELEASE.match(ours)
    if their is None or our is None or their[1] != our[1]:
        return False
    return abs(int(their[2]) - int(our[2])) <= distance_max


def own_release() -> str:
    """Return the release of this software."""
    # As it is installed; `daos._build` would load the native core, which no tool of administrators needs.
    return version("daos")
