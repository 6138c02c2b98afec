"""`daos cert init`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from daos.cli._base import command as make
from daos.cli._cert import (
    ADDRESSES,
    DAYS,
    DIRECTORY,
    HOSTS,
    Made,
    facts_of,
    lines_of,
    needing_extra,
    parse_addresses,
    this_host,
)
from daos.cli._output import Reply


@make("init", DIRECTORY, HOSTS, ADDRESSES, DAYS)
def command(directory: str, hosts: tuple[str, ...], ips: tuple[str, ...], days: int | None) -> Reply:
    """Make a CA in DIR/daosCA, and certificates of server, agent and admin.

    They are for this host, or for the hosts and addresses that are named. Files have the names and modes that DAOS's
    gen_certificates.sh gives them: what is in DIR/daosCA/certs goes to /etc/daos/certs. The key of the CA stays in
    DIR/daosCA/private: keep it off the servers.
    """
    with needing_extra():
        from daos.security import certificates as c

    folder = c.Folder(Path(directory))
    now, length = datetime.now(UTC), c.DAYS if days is None else days
    names, addresses = list(hosts) or ([] if ips else this_host()), parse_addresses(ips)
    authority = c.Authority.make(now, length)
    # All is issued before anything is written.
    issued = [
        (role, authority.issue(role, names if role != "admin" else (), addresses, now, length)) for role in c.ROLES
    ]
    folder.create(authority)
    made = [Made(role, one, c.store_issued(role, one, folder.certificates, replace=False)) for role, one in issued]
    ca = {
        "certificate": str(folder.ca_certificate),
        "key": str(folder.ca_key),
        "expires": authority.certificate.not_valid_after_utc.isoformat(),
    }
    return Reply(
        [f"CA created in {folder.root}", "", *lines_of(made)],
        lambda: {"ca": ca, "certificates": facts_of(made)},
    )
