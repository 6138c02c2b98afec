"""Ranks of a command line, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daos.cli._output import Reply, table
from daos.errors import DER, InvalidError, NotFoundError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import format_hosts, format_ranks, parse_hosts, parse_ranks
from daos.mgmt.stamps import stamp_ns
from daos.model.members import MemberState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daos.mgmt.client import ManagementClient


def state_word(state: int) -> str:
    """Return how a state of a member is printed; DAOS's word for one that is not known."""
    try:
        return MemberState(state).word
    except ValueError:
        return "Unknown"


def check_ranks(ranks: str | None, rank_hosts: str | None) -> None:
    """Return if only one of the options was given.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    if ranks is not None and rank_hosts is not None:
        raise InvalidError("--ranks and --rank-hosts options cannot be set together", hint="give one of them")


async def chosen(
    client: ManagementClient, ranks: Sequence[int] | None, hosts: Sequence[str] | None
) -> list[int] | None:
    """Return the ranks of a command line; None if it names none.

    Args:
        client: Of the servers.
        ranks: That it names.
        hosts: Whose ranks it means, `host:port`.

    Raises:
        NotFoundError: `DER.NONEXIST`: a host has no rank.
    """
    if hosts is None:
        return None if ranks is None else list(ranks)
    told = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
    absent = set(hosts) - {member.address for member in told.members}
    if absent:
        raise NotFoundError(
            f"no ranks on hosts {format_hosts(sorted(absent))}", hint="dmg system query -v lists the hosts of the ranks"
        )
    return sorted(member.rank for member in told.members if member.address in hosts)


def parsed(ranks: str | None, rank_hosts: str | None, port: int) -> tuple[list[int] | None, list[str] | None]:
    """Return the ranks and hosts that the options name.

    Raises:
        InvalidError: `DER.INVAL`: both are given, or one is no set.
    """
    check_ranks(ranks, rank_hosts)
    return (
        None if ranks is None else parse_ranks(ranks),
        None if rank_hosts is None else parse_hosts(rank_hosts, port),
    )


def results_reply(told: pb.RankResults, action: str) -> Reply:
    """Tell how an operation went on ranks: those alike in a row."""
    groups: dict[str, list[int]] = {}
    for result in told.results:
        text = "OK" if not result.code else result.message or str(DER.of(result.code))
        groups.setdefault(text, []).append(result.rank)
    rows = [(format_ranks(ranks), action, text) for text, ranks in groups.items()]
    bad = [result.rank for result in told.results if result.code]
    return Reply(
        [*table(("Rank", "Operation", "Result"), rows), ""],
        lambda: {"Results": results_json(told, action)},
        error=f"system {action} failed on ranks {format_ranks(bad)}" if bad else None,
        hint="dmg system query -v tells more" if bad else None,
    )


def results_json(told: pb.RankResults, action: str) -> list[dict[str, object]]:
    """Return the results as JSON has them."""
    return [
        {
            "state": state_word(result.state).lower(),
            "Addr": result.address,
            "Rank": result.rank,
            "Action": action,
            "Errored": bool(result.code),
            "Msg": result.message,
        }
        for result in told.results
    ]


def member_json(member: pb.Member) -> dict[str, object]:
    """Return a member as JSON has it."""
    changed = datetime.fromtimestamp(stamp_ns(member.changed) / 1e9, UTC)
    return {
        "addr": member.address,
        "state": state_word(member.state).lower(),
        "fault_domain": "/" + "/".join(member.domain),
        "rank": member.rank,
        "incarnation": member.incarnation,
        "uuid": member.uuid,
        "fabric_uri": member.uri,
        "secondary_fabric_uris": None,
        "fabric_contexts": member.targets,
        "secondary_fabric_contexts": None,
        "info": member.reason,
        "last_update": changed.isoformat(timespec="milliseconds"),
    }
