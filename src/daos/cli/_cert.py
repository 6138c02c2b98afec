"""What the commands that make certificates share."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from daos.cli._output import table
from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daos.security.certificates import Address, Issued

DIRECTORY = click.Argument(["directory"], metavar="[DIR]", required=False, default=".")
DAYS = click.Option(["--days"], type=int, metavar="N", help="How long it is good  [default: 1095].")
HOSTS = click.Option(["--host", "hosts"], multiple=True, metavar="NAME", help="A host it is for; may be repeated.")
ADDRESSES = click.Option(["--ip", "ips"], multiple=True, metavar="ADDR", help="An address of it; may be repeated.")


class Made(NamedTuple):
    """A certificate that was issued, and its files."""

    role: str
    issued: Issued
    files: tuple[Path, Path]


@contextmanager
def needing_extra() -> Iterator[None]:
    """Say what to install where the library of certificates is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "cryptography":
            raise
        raise InvalidError("certificates need the package cryptography", hint="pip install 'daos[server]'") from None


def parse_addresses(texts: Sequence[str]) -> tuple[Address, ...]:
    """Return addresses.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_address(text))
        except ValueError:
            raise InvalidError(f'"{text}" is no address', hint="such as 10.0.0.5 or fe80::1") from None
    return tuple(found)


def this_host() -> list[str]:
    """Return the names by which this host is reached."""
    return [*dict.fromkeys([socket.gethostname().lower(), "localhost"])]


def lines_of(made: Sequence[Made]) -> list[str]:
    """Return certificates as a table."""
    return table(("Role", "Hosts", "Expires", "Certificate"), [_row(one) for one in made])


def facts_of(made: Sequence[Made]) -> list[dict[str, object]]:
    """Return certificates for JSON."""
    from daos.security.certificates import addresses_of, hosts_of

    return [
        {
            "role": one.role,
            "hosts": list(hosts_of(one.issued.certificate)),
            "addresses": [str(address) for address in addresses_of(one.issued.certificate)],
            "serial": f"{one.issued.certificate.serial_number:x}",
            "expires": one.issued.certificate.not_valid_after_utc.isoformat(),
            "certificate": str(one.files[0]),
            "key": str(one.files[1]),
        }
        for one in made
    ]


def _row(one: Made) -> tuple[str, str, str, str]:
    from daos.security.certificates import addresses_of, hosts_of

    certificate = one.issued.certificate
    names = [*hosts_of(certificate), *map(str, addresses_of(certificate))]
    return one.role, ",".join(names) or "-", f"{certificate.not_valid_after_utc:%Y-%m-%d}", str(one.files[0])
