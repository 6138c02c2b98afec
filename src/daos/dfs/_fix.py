"""Repairs of what a mount needs: the superblock, and the entry of the root directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from daos import _core
from daos.errors import BusyError, InvalidError
from daos.model.posix import Posix

if TYPE_CHECKING:
    from daos.client.container import Container

__all__ = ["check_unused", "fix_root", "fix_superblock"]


def fix_superblock(container: Container, posix: Posix | None = None) -> Posix:
    """Write the superblock of a file system anew that has lost it, or whose superblock cannot be read.

    What is in the file system stays as it is. The version of its layout is that of before, or, where that is lost, the
    one that its files need. Durable at return.

    Args:
        container: Of the type `POSIX`; nobody may have it mounted.
        posix: What the superblock is to say; by default what the container was made with. Owner and permissions are the
            root directory's, and not looked at.

    Returns:
        What it says.

    Raises:
        FileExistsError: It can be read.
        BusyError: `DER.BUSY`: others have the container open.
        InvalidError: `DER.INVAL`: the container is of another type, or as of a snapshot.
        OSError: `EINVAL`: no such superblock can be; `EOPNOTSUPP`: it is one of a version that is not known.
    """
    _check(container)
    said = (_made_with(container) if posix is None else posix).checked()
    _core.Dfs.fix_superblock(
        cast("_core.Container", container._core),  # noqa: SLF001 -- one class in two
        chunk_size=cast("int | None", said.chunk_size),
        oclass=said.oclass,
        dir_oclass=said.dir_oclass,
        file_oclass=said.file_oclass,
        balanced=said.mode == "balanced",
        hints=said.hints,
    )
    return said


def fix_root(container: Container) -> bool:
    """Have the superblock of a file system lead to its root directory again, if it does not; durable at return.

    What is in the directory is there as before. Its owner and permissions are those that the container was made with.

    Args:
        container: Of the type `POSIX`; nobody may have it mounted.

    Returns:
        Whether anything was wrong.

    Raises:
        BusyError: `DER.BUSY`: others have the container open.
        InvalidError: `DER.INVAL`: the container is of another type, or as of a snapshot, or does not tell its root.
    """
    _check(container)
    made = _made_with(container)
    return _core.Dfs.fix_root(
        cast("_core.Container", container._core),  # noqa: SLF001 -- one class in two
        root=_root_of(container),
        uid=made.uid or 0,
        gid=made.gid or 0,
        mode=made.permissions,
    )


def check_unused(container: Container) -> None:
    """Refuse what others have open, as far as one is told: an embedded system does not know.

    Raises:
        BusyError: `DER.BUSY`.
    """
    if not container.pool.system.served:
        return
    others = container.info().handles - 1
    if others > 0:
        raise BusyError(
            f"container {container.label} is open elsewhere, by {others} handle{'s' * (others > 1)}",
            hint="have them close it, or daos container evict --all",
        )


def _check(container: Container) -> None:
    if container.layout != "POSIX":
        raise InvalidError(
            f"container {container.label} is of type {container.layout}: it holds no file system",
            hint='only those of type "POSIX" do',
        )
    if container.as_of is not None:
        raise InvalidError("a snapshot is not repaired", hint="repair the container itself")
    check_unused(container)


def _made_with(container: Container) -> Posix:
    return Posix.decode(container.properties.get("dfs"))


def _root_of(container: Container) -> tuple[int, int]:
    """Return the object id of the root directory, which is among the properties.

    Raises:
        InvalidError: `DER.INVAL`: it is not.
    """
    stored = str(container.properties.get("root_oids") or "").split()
    try:
        hi, lo = (int(half) for half in stored[1].split("."))
    except (IndexError, ValueError):
        raise InvalidError(
            f"container {container.label} does not tell its root directory",
            hint="daos container get-prop shows root_oids",
        ) from None
    return hi, lo
