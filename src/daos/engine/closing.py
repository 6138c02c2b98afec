"""Closing a handle of a pool for whoever has opened it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from daos.control.outcomes import Outcome
from daos.control.pool.handles import Evict

if TYPE_CHECKING:
    from daos.control.outcomes import RequestId
    from daos.engine.pool_service import PoolService

CONFIRMED_S = 0.25
"""So long ranks have to confirm that a handle is closed before its owner is told so: enough for all that are there."""


async def close_handle(service: PoolService, handle: str, request: RequestId, *, timeout_s: float) -> Outcome:
    """Close a handle. All ranks are told; one that is away is not waited for, it learns of it when it is back.

    Whoever closes a handle of his own uses it no more, so nothing depends on when that is.

    Args:
        service: A replica that may lead.
        handle: Which.
        request: Whose request it is.
        timeout_s: How long to wait until it is agreed on.

    Returns:
        The outcome, without a result where it is agreed on and not all ranks have confirmed.

    Raises:
        NotLeaderError: Another replica leads.
        DaosError: As `ServiceHost.submit`.
    """
    key = f"{request.client}/{request.stamp}"
    host = service.host
    command = Evict(handles=(handle,))
    closing = asyncio.create_task(service.submit(command, request, timeout_s=timeout_s))
    agreed = asyncio.create_task(host.until(lambda: key in host.state.outcomes.kept, timeout_s=timeout_s))
    try:
        await asyncio.wait({closing, agreed}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({closing}, timeout=CONFIRMED_S)
        if closing.done():
            return closing.result()
        agreed.result()
        return Outcome()
    finally:
        closing.cancel()
        agreed.cancel()
        await asyncio.gather(closing, agreed, return_exceptions=True)
