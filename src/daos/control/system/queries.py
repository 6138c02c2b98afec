"""What the system service tells. Functions of a state; the host confirms that it leads before it calls them."""

from __future__ import annotations

from collections.abc import Collection

from daos.control.outbox import Rank
from daos.control.system.settings import DEFAULTS
from daos.control.system.state import Member, Pool, SystemState
from daos.errors import InvalidError, NotFoundError
from daos.model.members import MemberState


def members(
    state: SystemState, *, ranks: Collection[Rank] | None = None, states: Collection[MemberState] | None = None
) -> list[Member]:
    """Return members by rank.

    Args:
        state: The system's.
        ranks: Which; None for all.
        states: In which states; None for all.

    Raises:
        NotFoundError: `DER.NONEXIST`: there is no such rank.
    """
    absent = sorted(set(ranks or ()) - set(state.members))
    if absent:
        raise NotFoundError(f"no rank {absent[0]} in the system", hint="dmg system query lists the ranks")
    return [
        state.members[rank]
        for rank in sorted(state.members)
        if (ranks is None or rank in ranks) and (states is None or state.members[rank].state in states)
    ]


def pools(state: SystemState) -> list[Pool]:
    """Return all pools, by label, those without one last."""
    return sorted(state.pools.values(), key=lambda pool: (pool.label is None, pool.label or pool.uuid))


def find_pool(state: SystemState, reference: str) -> Pool:
    """Return the pool of a label or uuid: where its service runs.

    Raises:
        InvalidError: `DER.INVAL`: it can be neither.
        NotFoundError: `DER.NONEXIST`.
    """
    return state.find_pool(reference)


def attributes(state: SystemState, names: Collection[str] | None = None) -> dict[str, str]:
    """Return attributes of the system, by name.

    Raises:
        NotFoundError: `DER.NONEXIST`.
    """
    for name in names or ():
        if name not in state.attributes:
            raise NotFoundError(f'unable to find system attribute with key "{name}"')
    return {name: state.attributes[name] for name in sorted(state.attributes) if names is None or name in names}


def properties(
    state: SystemState, *, system: str, version: str, names: Collection[str] | None = None
) -> dict[str, str]:
    """Return properties of the system.

    Args:
        state: The system's.
        system: Its name.
        version: Of the software.
        names: Which; None for all.

    Raises:
        InvalidError: `DER.INVAL`: there is no such property.
    """
    found = {"daos_system": system, "daos_version": version, **DEFAULTS, **state.properties}
    for name in names or ():
        if name not in found:
            raise InvalidError(f"invalid system property key: {name}", hint=f"valid: {', '.join(sorted(found))}")
    return {name: found[name] for name in sorted(found) if names is None or name in names}
