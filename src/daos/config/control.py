"""`daos_control.yml`, for `dmg`.

Source: DAOS's public administration guide, on the configuration of `dmg`, and the sample it comes with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.config._hosts import Host, expand_hosts
from daos.config._types import CONTROL_PORT, SYSTEM, AdminTransport, Port, Problem, Section, SystemName, Texts
from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ControlConfig(Section):
    """What `dmg` needs to know."""

    name: SystemName = SYSTEM
    """The system."""
    port: Port = CONTROL_PORT
    """The control port of hosts that name none."""
    hostlist: Texts = ("localhost",)
    """The servers, as host sets: `host1`, `node[1-3,7]:10001`."""
    transport_config: AdminTransport = AdminTransport()
    """TLS."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The servers, ranges counted out, each once."""
        return tuple(dict.fromkeys(host for text in self.hostlist for host in expand_hosts(text, self.port)))


def check_control(config: ControlConfig) -> Iterator[Problem]:
    """Yield all that is wrong with a configuration whose fields are right each by itself."""
    if not config.hostlist:
        yield Problem(("hostlist",), "is empty", "name a server")
    for index, text in enumerate(config.hostlist):
        try:
            expand_hosts(text, config.port)
        except InvalidError as error:
            yield Problem(("hostlist", index), error.message, error.hint or "")
