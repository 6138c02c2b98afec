"""File systems, as far as containers are made with one: `daos.dfs` is what they are used by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from daos import _core
from daos.errors import DER, InvalidError
from daos.model.posix import Posix

if TYPE_CHECKING:
    from typing import Protocol

    from daos.client._seam import ContainerCore
    from daos.model.properties import ContainerProperties

    class Laid(Protocol):
        """What has a layout."""

        @property
        def label(self) -> str: ...
        @property
        def layout(self) -> str: ...

    L = TypeVar("L", bound=Laid)
else:
    L = TypeVar("L")

__all__ = ["POSIX", "check_layout", "check_type", "make_file_system", "with_file_system"]

POSIX = "POSIX"
LAYOUTS = ("PYTHON", POSIX)


def check_type(given: str | Posix | None) -> Posix | None:
    """Return the file system that a type of containers asks for; None for none.

    Raises:
        InvalidError: `DER.INVAL`: no type; `DER.NOTSUPPORTED`: one that this release does not make.
    """
    if isinstance(given, Posix):
        return given.checked()
    if given is not None and not isinstance(given, str):
        raise InvalidError(f"a type is a str or a Posix, not {type(given).__name__}", hint='"PYTHON" or "POSIX"')
    if given is not None and given not in LAYOUTS:
        raise InvalidError(
            f'container type "{given}" is not supported by this release', code=DER.NOTSUPPORTED, hint="PYTHON or POSIX"
        )
    return Posix() if given == POSIX else None


def check_layout(container: L, given: str | Posix | None) -> L:
    """Return a container that is of the type given, or of any if none is.

    Raises:
        InvalidError: `DER.INVAL`: it is of another.
    """
    wanted = POSIX if isinstance(given, Posix) else given
    if wanted is not None and container.layout != wanted:
        raise InvalidError(
            f"container {container.label} is of type {container.layout}, not {wanted}",
            hint="a type does not change after creation",
        )
    return container


def with_file_system(properties: ContainerProperties, posix: Posix, targets: int) -> tuple[ContainerProperties, Posix]:
    """Return the properties of a container that has such a file system, and that with all that was left open.

    Args:
        properties: As they were given.
        posix: The file system.
        targets: Of the pool.

    Raises:
        InvalidError: `DER.INVAL`: no such file system can be.
    """
    whole = msgspec.structs.replace(
        posix,
        uid=os.geteuid() if posix.uid is None else posix.uid,
        gid=os.getegid() if posix.gid is None else posix.gid,
    )
    try:
        oids = _core.Dfs.root_oids(
            targets,
            chunk_size=cast("int | None", whole.chunk_size),
            oclass=whole.oclass,
            dir_oclass=whole.dir_oclass,
            file_oclass=whole.file_oclass,
            hints=whole.hints,
        )
    except OSError as error:
        hint = getattr(error, "hint", None)
        raise InvalidError(error.strerror or str(error), hint=hint) from None
    roots = " ".join(f"{hi}.{lo}" for hi, lo in oids)
    values = {**properties.values, "root_oids": roots, "dfs": whole.encode()}
    return msgspec.structs.replace(properties, layout=POSIX, values=values), whole


def make_file_system(core: ContainerCore, posix: Posix) -> None:
    """Make a file system in a container that has none; durable at return.

    Raises:
        FileExistsError: It has one.
    """
    _core.Dfs.format(
        cast("_core.Container", core),
        chunk_size=cast("int | None", posix.chunk_size),
        oclass=posix.oclass,
        dir_oclass=posix.dir_oclass,
        file_oclass=posix.file_oclass,
        balanced=posix.mode == "balanced",
        hints=posix.hints,
        uid=os.geteuid() if posix.uid is None else posix.uid,
        gid=os.getegid() if posix.gid is None else posix.gid,
        mode=posix.permissions,
    )
