"""The SDK's synchronous face: `open`, `System`, `Pool`, `Container`, `KV`, `Array`, `Object`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.client._check import CheckReport, Damage
from daos.client._diff import Difference
from daos.client._names import ObjectId
from daos.client._object_table import ObjectTable
from daos.client._service import AccessList, ContainerInfo, PoolInfo, TargetInfo, TierSpace
from daos.client._stat import ContainerStat
from daos.client._values import Extent, Extreme, Hole, Range
from daos.client.acl import ContainerAcl
from daos.client.attributes import Attributes
from daos.client.batch import Batch
from daos.client.container import Container, NamedObject
from daos.client.kv import KV
from daos.client.object import Object
from daos.client.pool import Listed, Pool
from daos.client.served import connect
from daos.client.sharing import global2local
from daos.client.system import Space, System, open, open_system  # noqa: A004 -- it is called `daos.open`
from daos.client.transaction import Transaction
from daos.model.scrub import ScrubStatus
from daos.model.snapshots import Snapshot

if TYPE_CHECKING:
    from daos.client.array import Array

__all__ = [
    "KV",
    "AccessList",
    "Array",
    "Attributes",
    "Batch",
    "CheckReport",
    "Container",
    "ContainerAcl",
    "ContainerInfo",
    "ContainerStat",
    "Damage",
    "Difference",
    "Extent",
    "Extreme",
    "Hole",
    "Listed",
    "NamedObject",
    "Object",
    "ObjectId",
    "ObjectTable",
    "Pool",
    "PoolInfo",
    "Range",
    "ScrubStatus",
    "Snapshot",
    "Space",
    "System",
    "TargetInfo",
    "TierSpace",
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
        from daos.client.array import Array

        return Array
