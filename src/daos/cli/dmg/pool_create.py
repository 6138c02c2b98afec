"""`dmg pool create`."""

from __future__ import annotations

import grp
import os
import pwd
import uuid

import click

from daos.cli._acl import entries_of
from daos.cli._output import Reply, echo, rows
from daos.cli.dmg._acl import FILE
from daos.cli.dmg._attributes import pairs_of
from daos.cli.dmg._base import admin_of, working
from daos.cli.dmg._base import command as make
from daos.cli.dmg._properties import values
from daos.errors import DER, InvalidError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.pool_size import Plan, RankSpace, SizeOptions, check_options, plan
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import format_ranks, parse_ranks
from daos.model.acl import check_principal
from daos.model.labels import check_label
from daos.model.sizes import format_size

_MEMORY_OPTIONS = ("--meta-size", "--data-size", "--mem-ratio")


@make(
    "create",
    click.Argument(["label"], metavar="POOL LABEL"),
    click.Option(["-z", "--size"], metavar="SIZE", help="Of all ranks together, 100GB, or of what is free, 50%."),
    click.Option(["-t", "--tier-ratio"], metavar="RATIO", help="Percent of the size on each tier  [6,94]."),
    click.Option(["-k", "--nranks"], metavar="COUNT", help="On so many ranks."),
    click.Option(["-r", "--ranks"], metavar="RANKS", help="On these ranks, 0,2-5."),
    click.Option(["-s", "--scm-size"], metavar="SIZE", help="Of tier 0 on each rank."),
    click.Option(["-n", "--nvme-size"], metavar="SIZE", help="Of tier 1 on each rank."),
    click.Option(["-v", "--nsvc"], metavar="COUNT", help="Replicas of its service, an odd number."),
    click.Option(["-P", "--properties"], metavar="KEY:VALUE,...", help="What is not given has its default."),
    FILE,
    click.Option(["-u", "--user"], metavar="USER", help="Its owner  [who runs this]."),
    click.Option(["-g", "--group"], metavar="GROUP", help="Its owner group  [of who runs this]."),
    *(click.Option([name], hidden=True) for name in _MEMORY_OPTIONS),
)
@click.pass_context
def command(
    context: click.Context,
    label: str,
    size: str | None,
    tier_ratio: str | None,
    nranks: str | None,
    ranks: str | None,
    scm_size: str | None,
    nvme_size: str | None,
    nsvc: str | None,
    properties: str | None,
    acl_file: str | None,
    user: str | None,
    group: str | None,
    meta_size: str | None,
    data_size: str | None,
    mem_ratio: str | None,
) -> Reply:
    """Create the pool LABEL on all ranks, or on those of the options."""
    check_label(label, "pool")
    if meta_size or data_size or mem_ratio:
        raise InvalidError(
            f"{', '.join(_MEMORY_OPTIONS)} are for metadata on SSD, which this release does not have",
            code=DER.NOTSUPPORTED,
            hint="give --size, or --scm-size and --nvme-size",
        )
    options = SizeOptions(
        size=size,
        ratio=tier_ratio,
        scm=scm_size,
        nvme=nvme_size,
        ranks=None if ranks is None else parse_ranks(ranks),
        count=None if nranks is None else _count(nranks, "-k, --nranks"),
    )
    check_options(options)
    given = _properties(properties, nsvc)
    entries = None if acl_file is None else pb.AccessEntries(entries=entries_of(acl_file))
    request = pb.PoolCreateRequest(
        uuid=str(uuid.uuid4()),
        label=label,
        ranks=options.ranks,
        count=options.count or 0,
        properties=values(given),
        acl=entries,
        owner=check_principal(user or pwd.getpwuid(os.geteuid()).pw_name),
        group=check_principal(group or grp.getgrgid(os.getegid()).gr_name),
    )

    async def work(client: ManagementClient) -> pb.PoolCreateResponse:
        told = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest(states=[pb.MEMBER_STATE_JOINED]))
        planned = plan(options, [_space(member) for member in told.members])
        request.tiers.extend(planned.tiers)
        if not admin_of(context).json:
            _announce(planned)
        return await client.ask(methods.POOL_CREATE, request)

    return _reply(working(context, work))


def _count(text: str, flag: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 32:
        raise InvalidError(f'invalid argument for flag `{flag}\': invalid number "{text}"', hint="from 1")
    return int(text)


def _properties(text: str | None, nsvc: str | None) -> dict[str, str]:
    given = {} if text is None else pairs_of(text, "property")
    if "label" in given:
        raise InvalidError("can't set label property with label argument", hint="the label is the first argument")
    if nsvc is not None:
        replicas = _count(nsvc, "-v, --nsvc")
        if replicas % 2 == 0:
            raise InvalidError(f"a pool service has an odd number of replicas, not {replicas}", hint="1, 3, 5, 7 or 9")
        given.setdefault("svc_rf", str((replicas - 1) // 2))
    return given


def _space(member: pb.Member) -> RankSpace:
    capacity, free = ([*sizes, 0, 0] for sizes in (member.capacity, member.free))
    return RankSpace(member.rank, (capacity[0], capacity[1]), (free[0], free[1]))


def _announce(planned: Plan) -> None:
    if planned.single:
        click.echo("NOTICE: Creating DAOS pool with only a single tier of storage", err=True)
    echo(planned.title)


def _reply(told: pb.PoolCreateResponse) -> Reply:
    tiers = [*told.tiers, 0, 0][:2]
    count, whole = len(told.ranks), sum(tiers)
    shares = [100 * tier / whole if whole else 0.0 for tier in tiers]
    title = f"Pool created with {shares[0]:.2f}%,{shares[1]:.2f}% storage tier ratio"
    pairs = [
        ("UUID", told.uuid),
        ("Service Leader", str(told.leader)),
        ("Service Ranks", format_ranks(told.services)),
        ("Storage Ranks", format_ranks(told.ranks)),
        ("Total Size", format_size(whole * count)),
        *(
            (f"Storage tier {number} ({name})", f"{format_size(tier * count)} ({format_size(tier)} / rank)")
            for number, (name, tier) in enumerate(zip(("SCM", "NVMe"), tiers, strict=True))
        ),
    ]
    return Reply(
        [title, "-" * len(title), *rows(pairs), ""],
        lambda: {
            "uuid": told.uuid,
            "svc_ldr": told.leader,
            "svc_reps": list(told.services),
            "tgt_ranks": list(told.ranks),
            "tier_bytes": tiers,
            "mem_file_bytes": tiers[0],
            "md_on_ssd_active": False,
        },
    )
