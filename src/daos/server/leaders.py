"""Finding the server that leads the system service, for what a server has to tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from daos.errors import DER, DaosError, TimedOutError
from daos.mgmt.race import STAGGER_S, Race

AGAIN_S_MIN = 0.05
AGAIN_S_MAX = 2.0
PASSING = frozenset(
    {
        *(DER.UNREACH, DER.NOREPLY, DER.TIMEDOUT, DER.BUSY, DER.AGAIN, DER.SHUTDOWN, DER.NO_SERVICE, DER.NOTREPLICA),
        *(DER.TX_UNCERTAIN, DER.CANCELED, DER.OVERLOAD_RETRY, DER.NOTLEADER),
    }
)
"""Errors after which another server is asked, or the same one again."""


async def ask_leader(
    ask: Callable[[str], Awaitable[bytes]], first: str, replicas: Sequence[str], *, timeout_s: float
) -> tuple[str, bytes]:
    """Ask whoever leads: one first, then whom a refusal names, then all, until the time is over.

    What is asked may be asked twice: it has a request's id, or tells what is so. So whoever does not answer at once is
    not waited for, and the next is asked as well.

    Args:
        ask: Asks the server at an address.
        first: Who led last.
        replicas: All that may lead.
        timeout_s: For all of it.

    Returns:
        Who leads, and the answer.

    Raises:
        TimedOutError: No leader was found in time.
        DaosError: What it is refused with.
    """
    now = asyncio.get_running_loop().time
    wait, why = AGAIN_S_MIN, ""
    ask_at, pauses = now(), False
    queue, asked = [first, *replicas], set[str]()
    try:
        async with asyncio.timeout(timeout_s), Race[str, bytes]() as race:
            while True:
                if now() >= ask_at or not (race or pauses):
                    address = next((each for each in queue if each not in asked and each not in race), None)
                    if address is not None:
                        asked.add(address)
                        race.ask(address, _answer(ask, address))
                        ask_at, pauses = now() + STAGGER_S, False
                    else:
                        queue, asked = list(replicas), set()
                        ask_at, pauses = now() + wait, True
                        wait = min(wait * 2, AGAIN_S_MAX)
                answered = await race.next(ask_at - now())
                if answered is None:
                    continue
                address, task = answered
                try:
                    return address, task.result()
                except DaosError as refusal:
                    if refusal.code not in PASSING:
                        raise
                    why = f": {refusal.message}"
                    leader = refusal.context.get("leader")
                    if isinstance(leader, str) and leader not in asked and leader not in race:
                        queue.insert(0, leader)
                        ask_at = now()
    except TimeoutError:
        raise TimedOutError(f"no leader of the system within {timeout_s:g} s{why}") from None


async def _answer(ask: Callable[[str], Awaitable[bytes]], address: str) -> bytes:
    return await ask(address)
