"""`dmg system query`."""

from __future__ import annotations

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import RANK_HOSTS, RANKS, settings_of, working
from daos.cli.dmg._base import command as make
from daos.cli.dmg._ranks import chosen, member_json, parsed, state_word
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import format_ranks
from daos.model.members import MemberState

_WORDS = {state.word.lower(): state for state in MemberState}


@make(
    "query",
    RANKS,
    RANK_HOSTS,
    click.Option(["-v", "--verbose"], is_flag=True, help="A line for each rank."),
    click.Option(["--not-ok"], is_flag=True, help="Those only that have not joined."),
    click.Option(["--with-states"], metavar="STATES", help="Those only in these states, such as stopped,errored."),
)
@click.pass_context
def command(
    context: click.Context,
    ranks: str | None,
    rank_hosts: str | None,
    *,
    verbose: bool,
    not_ok: bool,
    with_states: str | None,
) -> Reply:
    """Tell about the ranks of the system."""
    states = _states(with_states, not_ok=not_ok)
    numbers, hosts = parsed(ranks, rank_hosts, settings_of(context).port)

    async def work(client: ManagementClient) -> pb.SystemQueryResponse:
        found = await chosen(client, numbers, hosts)
        return await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest(ranks=found, states=states))

    told = working(context, work)
    return Reply(
        _verbose(told) if verbose else _short(told),
        lambda: {
            "members": [member_json(member) for member in told.members],
            "providers": list(told.providers),
            "sys_self_heal_policy": told.self_heal,
        },
    )


def _states(text: str | None, *, not_ok: bool) -> list[pb.MemberState.ValueType]:
    if text is not None and not_ok:
        raise InvalidError("--not-ok and --with-states options cannot be set together", hint="give one of them")
    if not_ok:
        chosen_states: list[MemberState] = [state for state in MemberState if state is not MemberState.JOINED]
    else:
        words = text.lower().split(",") if text is not None else []
        unknown = [word for word in words if word not in _WORDS]
        if unknown:
            raise InvalidError(f'invalid state name "{unknown[0]}"', hint=f"valid: {', '.join(_WORDS)}")
        chosen_states = [_WORDS[word] for word in words]
    return [pb.MemberState.Value(f"MEMBER_STATE_{state.name}") for state in chosen_states]


def _short(told: pb.SystemQueryResponse) -> list[str]:
    groups: dict[str, list[int]] = {}
    for member in told.members:
        groups.setdefault(state_word(member.state), []).append(member.rank)
    if not groups:
        return ["Query matches no ranks in system"]
    return [*table(("Rank", "State"), [(format_ranks(ranks), word) for word, ranks in groups.items()]), ""]


def _verbose(told: pb.SystemQueryResponse) -> list[str]:
    if not told.members:
        return ["Query matches no ranks in system"]
    rows = [
        (
            str(member.rank),
            member.uuid,
            member.address,
            "/" + "/".join(member.domain),
            state_word(member.state),
            member.reason,
        )
        for member in told.members
    ]
    return [*table(("Rank", "UUID", "Control Address", "Fault Domain", "State", "Reason"), rows), ""]
