"""What the commands of objects share: how a word names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daos.errors import NotFoundError

if TYPE_CHECKING:
    from daos import Container, Object

OBJECT = click.Argument(["which"], metavar="OBJECT")


def object_of(container: Container, which: str) -> Object:
    """Return the object that a word names, by its name or its id; of any kind, its keys as bytes.

    A name goes first: an id is `hi.lo`, which a name may be, too.

    Raises:
        NotFoundError: `DER.NONEXIST`: no such name, and no id.
    """
    from daos.client._names import ObjectId

    named = container.find(which)
    oid = ObjectId.parse(which) if named is None else named.oid
    if oid is None:
        text = f"no {which!r} in container {container.label}"
        raise NotFoundError(text, hint="a name, or an id such as container list-objects prints")
    return container.object(oid, keys="bytes")
