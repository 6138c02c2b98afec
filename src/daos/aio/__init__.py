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

from daos.aio.attributes import Attributes
from daos.aio.container import Container
from daos.aio.kv import KV
from daos.aio.pool import Pool
from daos.aio.system import System, open, open_system  # noqa: A004 -- it is called `daos.aio.open`

__all__ = ["KV", "Attributes", "Container", "Pool", "System", "open", "open_system"]
