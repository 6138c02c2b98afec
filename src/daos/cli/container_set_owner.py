"""`daos container set-owner`."""

from __future__ import annotations

import grp
import pwd

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.errors import InvalidError, NotFoundError

_HINT = "--no-check takes a name that this host does not know"


def user_of(name: str | None, number: int | None, *, check: bool) -> str | None:
    """Return the new owner of a command line; None for the same.

    Raises:
        NotFoundError: `DER.NONEXIST`: this host knows no such user.
        InvalidError: `DER.INVAL`: name and number are given.
    """
    if name is not None and number is not None:
        raise InvalidError("a user is given twice", hint="give --user or --uid")
    try:
        if number is not None:
            return pwd.getpwuid(number).pw_name
        if name is not None and check:
            pwd.getpwnam(name.removesuffix("@"))
    except KeyError:
        raise NotFoundError(f"there is no user {name if number is None else number}", hint=_HINT) from None
    return name


def group_of(name: str | None, number: int | None, *, check: bool) -> str | None:
    """Return the new group of a command line; None for the same.

    Raises:
        NotFoundError: `DER.NONEXIST`: this host knows no such group.
        InvalidError: `DER.INVAL`: name and number are given.
    """
    if name is not None and number is not None:
        raise InvalidError("a group is given twice", hint="give --group or --gid")
    try:
        if number is not None:
            return grp.getgrgid(number).gr_name
        if name is not None and check:
            grp.getgrnam(name.removesuffix("@"))
    except KeyError:
        raise NotFoundError(f"there is no group {name if number is None else number}", hint=_HINT) from None
    return name


@make(
    "set-owner",
    POOL,
    CONTAINER,
    click.Option(["-u", "--user"], metavar="NAME", help="The new owner."),
    click.Option(["-g", "--group"], metavar="NAME", help="The new group."),
    click.Option(["--uid"], type=click.IntRange(0, (1 << 32) - 2), metavar="NUMBER", help="The new owner, by number."),
    click.Option(["--gid"], type=click.IntRange(0, (1 << 32) - 2), metavar="NUMBER", help="The new group, by number."),
    click.Option(["--no-check"], is_flag=True, help="Do not look whether this host knows the names."),
)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    user: str | None,
    group: str | None,
    uid: int | None,
    gid: int | None,
    *,
    no_check: bool,
) -> Reply:
    """Give CONTAINER in POOL to another user, or to another group."""
    owner, owners = user_of(user, uid, check=not no_check), group_of(group, gid, check=not no_check)
    if owner is None and owners is None:
        raise InvalidError("at least one of user or group must be supplied", hint="-u NAME, -g NAME")
    opened = open_container(context, pool, container, writes=True)
    opened.set_owner(owner, owners)
    return Reply([f"Successfully set owner for container {container}"])
