"""The SDK's asynchronous face: the same classes and methods as `daos`, to be awaited.

    async with daos.aio.open("./my.daos") as pool:
        cont = await pool.container("run7", create=True)
        kv = await cont.kv("params", create=True)
        await kv.put("lr", b"0.1")

Operations go through a queue of the running event loop and are carried out by threads of the core; no call blocks the
loop. **A cancelled await is an unknown outcome**: the operation goes on, its buffers stay referenced until it ends, and
its result is dropped. Handles may be used from several event loops in several threads.

Errors are those of the methods of the same names in `daos`, and are raised where the result is awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.aio.acl import ContainerAcl
from daos.aio.attributes import Attributes
from daos.aio.batch import Batch
from daos.aio.container import Container
from daos.aio.kv import KV
from daos.aio.object import Object
from daos.aio.object_table import ObjectTable
from daos.aio.pool import Pool
from daos.aio.system import (
    System,
    connect,
    global2local,
    open,  # noqa: A004 -- it is called `daos.aio.open`
    open_system,
)
from daos.aio.transaction import Transaction

if TYPE_CHECKING:
    from daos.aio.array import Array

__all__ = [
    "KV",
    "Array",
    "Attributes",
    "Batch",
    "Container",
    "ContainerAcl",
    "Object",
    "ObjectTable",
    "Pool",
    "System",
    "Transaction",
    "connect",
    "global2local",
    "open",
    "open_system",
]


if not TYPE_CHECKING:  # a type checker that saw this function would accept any name

    def __getattr__(name: str) -> object:
        # Arrays bring NumPy, which takes longer to load than all the rest.
        if name != "Array":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from daos.aio.array import Array

        return Array
