"""Which releases of the parts of a system go together. Pure."""

from __future__ import annotations

import re
from importlib.metadata import version

from daos.errors import DER, UnavailableError
from daos.mgmt.roles import Role

_RELEASE = re.compile(r"(\d{1,6})\.(\d{1,6})\b")
_DISTANCE_MAX = {Role.ADMIN: 0, Role.AGENT: 1, Role.SERVER: 1}
"""By how many the second number may differ: agents and servers of a system are brought to a new release one by one."""


def check_release(role: Role, theirs: str, ours: str) -> None:
    """Return if a server may answer a caller.

    Args:
        role: The caller's.
        theirs: The caller's release, such as `1.2.0`; empty where it does not tell, which is no reason to refuse it.
        ours: The server's.

    Raises:
        UnavailableError: `DER.CONTROL_INCOMPAT`.
    """
    if not theirs or theirs == ours:
        return
    their, our = _RELEASE.match(theirs), _RELEASE.match(ours)
    if their is not None and our is not None and their[1] == our[1]:
        distance = abs(int(their[2]) - int(our[2]))
        if distance <= _DISTANCE_MAX[role]:
            return
    raise UnavailableError(
        f"the {role} is of release {theirs[:32]}, this server of {ours}",
        code=DER.CONTROL_INCOMPAT,
        hint="use the one that belongs to the servers",
        context={"release": ours},
    )


def own_release() -> str:
    """Return the release of this software."""
    # As it is installed; `daos._build` would load the native core, which no tool of administrators needs.
    return version("daos")
