"""The SDK's synchronous face: `open`, `System`, `Pool`, `Container`, `KV`."""

from __future__ import annotations

from daos.client._names import ObjectId
from daos.client.attributes import Attributes
from daos.client.batch import Batch
from daos.client.container import Container, NamedObject
from daos.client.kv import KV
from daos.client.pool import Listed, Pool
from daos.client.system import System, open, open_system  # noqa: A004 -- it is called `daos.open`
from daos.model.snapshots import Snapshot

__all__ = [
    "KV",
    "Attributes",
    "Batch",
    "Container",
    "Listed",
    "NamedObject",
    "ObjectId",
    "Pool",
    "Snapshot",
    "System",
    "open",
    "open_system",
]
