"""What hosts tell, each for itself: those that tell the same are shown together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from daos.cli._output import Reply, table
from daos.cli.dmg._base import settings_of, verb, working
from daos.errors import DaosError
from daos.mgmt.methods import Response
from daos.mgmt.sets import format_hosts, parse_hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

    from daos.mgmt.methods import Method, Request


@dataclass(frozen=True)
class Told(Generic[Response]):
    """What hosts told.

    Attributes:
        answers: Host to answer, of those that gave one.
        errors: Text of an error to the hosts that have it.
        first: The first error; None where all answered.
    """

    answers: dict[str, Response] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    first: DaosError | None = None

    def name(self, hosts: Sequence[str]) -> str:
        """Return hosts as they are shown: without their ports, unless two of all have the same name."""
        every = [*self.answers, *(host for some in self.errors.values() for host in some)]
        names = {host.rpartition(":")[0] for host in every}
        return format_hosts(hosts, ports=len(names) < len(every))

    def error_lines(self) -> list[str]:
        """Return the hosts that gave no answer, as text."""
        if not self.errors:
            return []
        rows = [(self.name(hosts), text) for text, hosts in self.errors.items()]
        return ["Errors:", *table(("Hosts", "Error"), rows, indent="  "), ""]

    def errors_json(self) -> dict[str, str]:
        """Return the hosts that gave no answer, as JSON has them."""
        return {text: format_hosts(hosts) for text, hosts in self.errors.items()}


def hosts_of(context: click.Context, host_list: str | None) -> list[str]:
    """Return the hosts that a command line names, or all of the configuration.

    Raises:
        DaosError: As `settings_of`; `InvalidError` for what is no host set.
    """
    settings = settings_of(context)
    return list(settings.hosts) if host_list is None else parse_hosts(host_list, settings.port)


def telling_hosts(
    context: click.Context, host_list: str | None, method: Method[Request, Response], request: Request
) -> Told[Response]:
    """Ask hosts, all at once.

    Raises:
        DaosError: Why, where no host answers and all have the same reason.
    """
    hosts = hosts_of(context, host_list)
    return told_of(working(context, lambda client: client.on_hosts(hosts, method, request)))


def told_of(answers: dict[str, Response | DaosError]) -> Told[Response]:
    """Sort the answers of hosts."""
    errors: dict[str, list[str]] = {}
    first: DaosError | None = None
    for host, answer in answers.items():
        if isinstance(answer, DaosError):
            first = first or answer
            # The same reason on several hosts is one line.
            text = f"{answer.message}: {answer.code}".replace(host, "the host")
            errors.setdefault(text, []).append(host)
    good = {host: answer for host, answer in answers.items() if not isinstance(answer, DaosError)}
    return Told(good, errors, first)


def groups(answers: dict[str, Response]) -> list[tuple[list[str], Response]]:
    """Return the answers that differ, each with the hosts that gave it."""
    found: dict[bytes, tuple[list[str], Response]] = {}
    for host, answer in answers.items():
        found.setdefault(answer.SerializeToString(deterministic=True), ([], answer))[0].append(host)
    return list(found.values())


def hosts_reply(
    context: click.Context,
    told: Told[Response],
    lines: Sequence[str],
    response: Callable[[], dict[str, object]],
    failure: str | None = None,
) -> Reply:
    """Return what hosts told, with those that did not.

    Args:
        context: The command's.
        told: What they told.
        lines: As text.
        response: As JSON, without the errors.
        failure: What went wrong on hosts that answered.
    """
    error = failure
    if told.errors:
        bad = [host for hosts in told.errors.values() for host in hosts]
        error = f"{verb(context)} failed on hosts {told.name(bad)}"
    return Reply(
        [*told.error_lines(), *lines],
        lambda: {"host_errors": told.errors_json(), **response()},
        error=error,
        hint=None if told.first is None else told.first.hint,
    )


def storage_json(sets: Sequence[tuple[list[str], object]]) -> dict[str, object]:
    """Return what hosts have, in DAOS's form: under a number that stands for what is told."""
    return {
        str(int.from_bytes(hashlib.sha256(json.dumps(one, sort_keys=True).encode()).digest()[:8])): {
            "storage": one,
            "hosts": format_hosts(hosts),
        }
        for hosts, one in sets
    }


def headed(title: str, indent: str = "") -> list[str]:
    """Return a title between lines of dashes."""
    line = indent + "-" * len(title)
    return [line, indent + title, line]
