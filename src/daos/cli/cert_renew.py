"""`daos cert renew`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from daos.cli._base import command as make
from daos.cli._cert import DAYS, DIRECTORY, Made, facts_of, lines_of, needing_extra
from daos.cli._output import Reply

WITHIN = click.Option(
    ["--within"], type=click.IntRange(min=0), metavar="N", default=30, show_default=True,
    help="Renew what expires within so many days.",
)  # fmt: skip
ALL = click.Option(["--all", "everything"], is_flag=True, help="Renew all.")


@make("renew", DIRECTORY, WITHIN, ALL, DAYS)
def command(directory: str, within: int, days: int | None, *, everything: bool) -> Reply:
    """Issue the certificates in DIR/daosCA/certs anew that will expire, for the same hosts, with new keys.

    The certificate of the CA is renewed with the key it has: what it issued stays good. Daemons take new files without
    a restart.
    """
    with needing_extra():
        from daos.security import certificates as c

    folder = c.Folder(Path(directory))
    now, length = datetime.now(UTC), c.DAYS if days is None else days
    authority = folder.authority()
    limit = now + timedelta(days=within)
    renewed_ca = everything or authority.certificate.not_valid_after_utc <= limit
    if renewed_ca:
        authority = authority.renewed(now, length)
    due = []
    for role in c.ROLES:
        path = folder.certificates / f"{role}.crt"
        if path.exists():
            old = c.read_certificate(path)
            if everything or old.not_valid_after_utc <= limit:
                due.append((role, authority.issue(role, c.hosts_of(old), c.addresses_of(old), now, length)))
    if renewed_ca:
        folder.store(authority)
    made = [Made(role, one, c.store_issued(role, one, folder.certificates, replace=True)) for role, one in due]
    lines = [f"CA renewed until {authority.certificate.not_valid_after_utc:%Y-%m-%d}"] if renewed_ca else []
    lines += lines_of(made) if made else []
    ca = {
        "renewed": renewed_ca,
        "certificate": str(folder.ca_certificate),
        "expires": authority.certificate.not_valid_after_utc.isoformat(),
    }
    return Reply(lines or [f"Nothing expires within {within} days"], lambda: {"ca": ca, "certificates": facts_of(made)})
