"""Containers, as `pydaos` opens them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, ClassVar, Self, cast
from urllib.parse import quote

import daos
from daos.client._names import Entry, Kind, ObjectType
from daos.dfs._mount import Address, parse_address
from daos.errors import DER, NotFoundError
from pydaos._classes import ObjClassID
from pydaos._errors import DObjNotFound, InvalidModeError, PyDError, told
from pydaos._objects import AUTO, DArray, DDict, array_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DCont", "DaosClient", "check"]

SCHEME = "daos://"
_MODES = {"RO": "r", "RW": "rw"}
_LINK = re.compile(r"DAOS\.(?P<type>\w+)://(?P<pool>[0-9a-fA-F-]{36})/(?P<cont>[0-9a-fA-F-]{36})")
"""What an entry of the unified namespace has in its attribute `user.daos`."""


class DaosClient:
    """What DAOS begins and ends in a process; here nothing needs it, and there is one, which all objects hold."""

    connected: ClassVar[bool] = True
    _one: ClassVar[DaosClient | None] = None

    def __new__(cls) -> Self:
        """Return the one there is."""
        if DaosClient._one is None:
            DaosClient._one = super().__new__(cls)
        return cast("Self", DaosClient._one)


class DCont:
    """A container of the type `PYTHON`: names of dictionaries and arrays. It is closed when it is collected.

    Args:
        pool: Label or uuid. `DAOS_SYSTEM` in the environment names the directory of an embedded system.
        cont: Label or uuid.
        path: In their place `daos://POOL/CONTAINER`, or `daos:///DIRECTORY//POOL/CONTAINER` for an embedded system, or
            the path of a file or directory that stands for a container.
        open_mode: `RW`, or `RO` to change nothing.

    Raises:
        PyDError: It cannot be opened, or is of another type.
        InvalidModeError: The mode is neither.
    """

    def __init__(
        self, pool: str | None = None, cont: str | None = None, path: str | None = None, open_mode: str = "RW"
    ) -> None:
        if open_mode not in _MODES:
            raise InvalidModeError(f"open mode cannot be {open_mode!r}: it is 'RO' or 'RW'")
        self._dc = DaosClient()
        named = _named(pool, cont, path)
        self.pool = named.pool
        self.cont = named.container
        self._url = named.url()
        self._writes = open_mode == "RW"
        with told("failed to access container"):
            self._pool = _opened(named, writes=self._writes)
        try:
            with told("failed to access container"):
                self._container = self._pool.container(named.container, type="PYTHON")
        except BaseException:
            self._pool.close()
            raise

    def __del__(self) -> None:
        # Not there where it could not be opened.
        opened = self.__dict__.get("_pool")
        if opened is not None:
            opened.close()

    def __str__(self) -> str:
        return f"{self.pool}/{self.cont}"

    def __repr__(self) -> str:
        return self._url

    def get(self, name: str) -> DDict | DArray:
        """Return the dictionary or array of a name.

        Raises:
            DObjNotFound: There is none.
        """
        _check_name(name)
        with told(f"failed to open '{name}'"):
            found = self._container.find(name)
            if found is None:
                raise DObjNotFound(name)
            if found.kind == "array":
                return DArray(self, name, self._container.array(name), writes=self._writes)
            return self._dict(name)  # refuses what is no store

    def __getitem__(self, name: str) -> DDict | DArray:
        return self.get(name)

    def dict(self, name: str, v: Mapping[str | bytes, str | bytes] | None = None, cid: str = AUTO) -> DDict:
        """Make a dictionary.

        Args:
            name: Its name.
            v: What is in it.
            cid: Its object class, such as `OC_S1`; by default over all targets.

        Raises:
            PyDError: The name is taken, the class one that the pool cannot hold, ...
            KeyError: There is no such class.
            TypeError: A name or value that can be none; then nothing is made.
        """
        _check_name(name)
        pairs = DDict.pairs_of({} if v is None else v)
        oclass = _class_of(cid)
        self._check_writes("failed to create DAOS dict")
        with told("failed to create DAOS dict"):
            if oclass is None:
                self._container.kv(name, create="exclusive")
            else:
                self._named_kv(name, oclass)
        made = self._dict(name)
        made.store(pairs)
        return made

    def _named_kv(self, name: str, oclass: str) -> None:
        """Make a store of an object class, which `Container.kv` leaves to the system."""
        container = self._container

        def make() -> Entry:
            oid = container._core.generate_oid(ObjectType.KV_LEXICAL, oclass)  # noqa: SLF001 -- as the imports
            return Entry(daos.ObjectId(*oid), Kind.KV)

        container._named(name, "exclusive", Kind.KV, make)  # noqa: SLF001 -- as the imports

    def _dict(self, name: str) -> DDict:
        store = self._container.kv(name)
        if store.keys_are == "int":
            raise PyDError(f"failed to open '{name}': its keys are integers", -DER.INVAL)
        return DDict(self, name, store, writes=self._writes)

    def array(self, name: str, v: object = None, cid: str = AUTO) -> DArray:
        """Make an array.

        Args:
            name: Its name.
            v: What is in it, which says of what dtype it is; by default it is empty, of 64-bit floats.
            cid: Its object class, such as `OC_S1`; by default over all targets.

        Raises:
            PyDError: The name is taken, the class one that the pool cannot hold, the dtype one that cannot be stored.
            KeyError: There is no such class.
        """
        _check_name(name)
        data = None if v is None else array_of(v)
        oclass = _class_of(cid)
        self._check_writes("failed to create DAOS array")
        with told("failed to create DAOS array"):
            dtype = "f8" if data is None else data.dtype
            made = self._container.array(name, dtype, create="exclusive", oclass=oclass or "SX")
            if data is not None:
                made.write(0, data)
        return DArray(self, name, made, writes=self._writes)

    def destroy(self, name: str) -> None:
        """Remove a name and all that is under it. What is open of it is empty then, and can be used again.

        Raises:
            PyDError: There is no such name.
        """
        _check_name(name)
        self._check_writes("failed to destroy DAOS dict")
        with told("failed to destroy DAOS dict"):
            self._container.destroy(name)

    def _check_writes(self, message: str) -> None:
        if not self._writes:
            raise PyDError(message, -DER.NO_PERM)


def check(pool: str | None = None, cont: str | None = None, path: str | None = None) -> None:
    """Read all that a container holds, every version, and compare it with its checksums.

    Args:
        pool: As of `DCont`.
        cont: As there.
        path: As there.

    Raises:
        PyDError: Something is damaged, or the container cannot be opened.
    """
    opened = DCont(pool, cont, path)
    with told("failed to check container"):
        report = opened._container.check()  # noqa: SLF001 -- one class in two
    if report.damaged:
        raise PyDError(f"failed to check container: {len(report.damaged)} damaged", -DER.CSUM)


def _named(pool: str | None, cont: str | None, path: str | None) -> Address:
    """Return what the arguments name.

    Raises:
        PyDError: They name nothing.
    """
    if path is not None:
        if path.startswith(SCHEME):
            with told(f"invalid path {path!r}"):
                return parse_address(path)
        return _linked(path)
    if not pool or not cont:
        raise PyDError(f"invalid pool or container UUID: {pool!r}, {cont!r}", -DER.INVAL)
    system = os.environ.get("DAOS_SYSTEM") or ""
    return Address(pool, cont, "/", os.path.abspath(system) if system else "")  # noqa: PTH100 -- a name, no path to walk


def _linked(path: str) -> Address:
    """Return the container that a file or directory stands for.

    Raises:
        PyDError: It is none; with the number of the system's error if it cannot be looked at.
    """
    try:
        found = _LINK.fullmatch(os.getxattr(path, "user.daos").rstrip(b"\0").decode("ascii", "replace"))
    except OSError as error:
        raise PyDError(f"failed to resolve path {path!r}", error.errno or 5) from error
    if found is None:
        raise PyDError(f"path {path!r} stands for no container", -DER.INVAL)
    return Address(found["pool"], found["cont"])


def _opened(named: Address, *, writes: bool) -> daos.Pool:
    query = f"?system={quote(named.system, safe='')}" if named.system else ""
    try:
        return daos.connect(
            f"{SCHEME}{quote(named.pool, safe='')}{query}", mode="rw" if writes else "r", durability="synced"
        )
    except NotFoundError as error:
        # Of an embedded system also its directory; DAOS has one code for all of it.
        raise PyDError("failed to access container", -DER.NONEXIST) from error


def _check_name(name: object) -> None:
    """Look at a name.

    Raises:
        TypeError: It is none.
        PyDError: It is empty.
    """
    if not isinstance(name, str):
        raise TypeError(f"a name is str, not {type(name).__name__}")
    if not name:
        raise PyDError("a name is not empty", -DER.INVAL)


def _class_of(cid: str) -> str | None:
    """Return the name of an object class as `daos` has it; None for the default.

    Raises:
        KeyError: There is none.
    """
    if cid == AUTO:
        return None
    found = ObjClassID[cid]
    return None if found.value == 0 else found.name.removeprefix("OC_")
