"""`daos pool create`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._base import for_administrators, open_system
from daos.cli._output import Reply, rows
from daos.errors import DER, InvalidError
from daos.model.labels import check_label


@make(
    "create",
    click.Argument(["label"], metavar="LABEL"),
    *(click.Option([name], hidden=True) for name in ("--size", "--scm-size", "--nvme-size")),
)
@click.pass_context
def command(context: click.Context, label: str, size: str | None, scm_size: str | None, nvme_size: str | None) -> Reply:
    """Create the pool LABEL, and the system if it is not there."""
    for_administrators(context, "pools are created", f"dmg pool create {label} --size {size or 'SIZE'}")
    if size is not None or scm_size is not None or nvme_size is not None:
        raise InvalidError(
            "a pool of an embedded system has no size of its own",
            code=DER.NOTSUPPORTED,
            hint="its pools share the system's: daos.open(size=...)",
        )
    # Before the system is made: a label that is none changes nothing.
    check_label(label, "pool")
    pool = open_system(context, create=True).create_pool(label)
    title = "Pool created"
    return Reply(
        [
            title,
            "-" * len(title),
            *rows([("UUID", pool.uuid), ("Label", pool.label)]),
            "",
        ],
        lambda: {"uuid": pool.uuid, "svc_ldr": 0, "svc_reps": [0], "tgt_ranks": [0]},
    )
