"""Access lists of containers of running systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.client._service import AccessList, ask, change
from daos.model.acl import Acl, Principal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daos.client.container import Container

__all__ = ["AccessList", "ContainerAcl"]


class ContainerAcl:
    """The access list of a container: who may do what with it. Made by `Container.acl`; threads may share it.

    An entry is written `A::alice@:rw` for a user, `A:G:readers@:r` for a group; `OWNER@`, `GROUP@` (with the flag `G`)
    and `EVERYONE@` stand for whom they name. Changes are durable at return; handles that are open keep what they allow.

    All methods raise `InvalidError` (`DER.NOTSUPPORTED`) in an embedded system, whose access its files' modes decide,
    and `AccessError` (`DER.NO_PERM`) where the list does not let the caller (its owner may always).
    """

    __slots__ = ("_container", "_core")

    def __init__(self, container: Container) -> None:
        self._core = container._core  # noqa: SLF001 -- one thing in two classes
        # Held, so that a system that only this list still uses is not closed by collection.
        self._container = container

    def __reduce__(self) -> tuple[object, ...]:
        return ContainerAcl, (self._container,)

    def get(self) -> AccessList:
        """Return the list, with owner and group."""
        return ask(self._core, "container_get_acl", AccessList)

    def overwrite(self, entries: Iterable[str]) -> None:
        """Replace the list.

        Raises:
            InvalidError: `DER.INVAL`: what is no entry; two for the same; too many.
        """
        lines = list(Acl.parse(entries).lines())
        change(self._core, "container_overwrite_acl", type(None), entries=lines)

    def update(self, entries: Iterable[str]) -> None:
        """Add entries; those for the same user or group are replaced.

        Raises:
            InvalidError: As `overwrite`.
        """
        lines = list(Acl.parse(entries).lines())
        change(self._core, "container_update_acl", type(None), entries=lines)

    def delete(self, principal: str) -> None:
        """Take out the entry for `u:alice@`, `g:readers@`, `OWNER@`, `GROUP@` or `EVERYONE@`.

        Raises:
            InvalidError: `DER.INVAL`: it is none of those.
            NotFoundError: `DER.NONEXIST`: there is no entry for it.
        """
        Principal.parse(principal)
        change(self._core, "container_delete_acl", type(None), principal=principal)

    def __repr__(self) -> str:
        return f"<daos.ContainerAcl of container {self._core.label}>"
