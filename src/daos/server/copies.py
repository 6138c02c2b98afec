"""Storage that was copied, uuid and all: whose rank it is."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from daos._packed import decode
from daos.control.system.members import Join
from daos.control.system.state import SystemState
from daos.errors import DaosError, ExistsError
from daos.server import superblock
from daos.server.engines import Engine

MOVED_S_MAX = 2.0
"""So long it is waited for the host that a rank was on, when it joins from another."""

_log = logging.getLogger(__name__)


class WhichEngine(msgspec.Struct, frozen=True, kw_only=True):
    """A server asks another whether it runs an engine: `incarnation`.

    Attributes:
        uuid: Of the engine's storage.
    """

    uuid: str


async def check_moved(
    join: Join, state: SystemState, ask: Callable[[str, str, bytes, float], Awaitable[bytes]]
) -> None:
    """Return if an engine that joins from elsewhere than before is not there any more.

    Storage may be brought to another host, and a host may get another address. It may also be copied; then the rank is
    whose that has it.

    Args:
        join: What the engine asks for.
        state: Of the system.
        ask: Asks the server at an address.

    Raises:
        ExistsError: Its rank runs there: one of them is a copy.
    """
    known = next((member for member in state.members.values() if member.uuid == join.uuid), None)
    if known is None or known.address == join.address or not known.joined:
        return
    body = msgspec.msgpack.encode(WhichEngine(uuid=join.uuid))
    try:
        incarnation = decode(await ask(known.address, "incarnation", body, MOVED_S_MAX), int)
    except (DaosError, msgspec.DecodeError) as error:
        # Its host is gone, or of a release that does not tell: it is taken at its word, as long as nobody contradicts.
        _log.info("rank %s joins from %s; %s does not have it: %s", known.rank, join.address, known.address, error)
        return
    if incarnation not in {0, join.incarnation}:
        raise ExistsError(
            f"rank {known.rank} runs at {known.address}; {join.address} has storage of the same uuid {join.uuid}",
            hint="one is a copy: format it with --force, or stop the other engine to go on with it",
        )


def check_single(engine: Engine, engines: Iterable[Engine]) -> None:
    """Return if no other engine of a host has the same storage, or a copy of it.

    Raises:
        ExistsError: One has. Which of them is the copy nobody can tell.
    """
    for other in engines:
        if other is not engine and engine.uuid is not None and _uuid_of(other) == engine.uuid:
            raise ExistsError(
                f"the storage of the engines {engine.settings.index} and {other.settings.index} of this host has "
                f"the same uuid {engine.uuid}",
                hint="one is a copy of the other: take it out of the configuration, or erase it and format it",
            )


def _uuid_of(engine: Engine) -> str | None:
    """Return the uuid of an engine's storage as it stands there; None where none can be read."""
    try:
        block = superblock.read(engine.settings.metadata)
    except DaosError:
        return None
    return None if block is None else block.uuid
