"""The fences of a rank, kept in files; what an effect changes is entered by one effect at a time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from daos._packed import decode
from daos.control.fence import Fence
from daos.errors import DER, CorruptionError, InvalidError, StaleError, UnavailableError
from daos.rsvc.files import sync_directory
from daos.rsvc.journal import MARK, DamagedError, Journal

VERSION = 2
JOURNAL_BYTES_MAX = 64 << 10
"""Of a fence's file; then it begins anew, with what is wanted yet."""
_NAME = re.compile(r"[a-z0-9-]{1,64}")


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """What a fence's file begins with. Up to version 1 it was the whole file, without the form of a journal."""

    version: int
    service: str
    fence: Fence


class _Admitted(msgspec.Struct, frozen=True, array_like=True):
    """A change of it: an effect that was admitted."""

    subjects: tuple[str, ...]
    number: int
    floor: int


@dataclass(frozen=True)
class _Asked:
    """An effect that waits to be admitted, and who waits for the answer."""

    subjects: tuple[str, ...]
    number: int
    floor: int
    answer: asyncio.Future[bool]


def _refuse(batch: list[_Asked], error: Exception) -> None:
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(error)


class RankFence:
    """The fences of one rank against late effects, one a service.

    Args:
        directory: Where their files are; it is made.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fences: dict[str, Fence] = {}
        self._journals: dict[str, Journal] = {}
        self._writing: dict[str, asyncio.Lock] = {}
        self._asked: dict[str, list[_Asked]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}
        self._entered: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def entered(self, service: str, subjects: Iterable[str], number: int, floor: int) -> AsyncIterator[None]:
        """Hold off other effects on the same subjects while this one is carried out.

        Args:
            service: `system`, or a pool's uuid.
            subjects: The effect's.
            number: The effect's.
            floor: What the leader told with it.

        Raises:
            StaleError: `DER.STALE`: a later effect on a subject was there before.
            DaosError: As `admit`.
        """
        async with contextlib.AsyncExitStack() as stack:
            for subject in sorted(set(subjects)):  # one order for all, so that nobody waits in a circle
                await stack.enter_async_context(self._alone(service, subject))
            if not await self.admit(service, subjects, number, floor):
                raise StaleError(f"effect {number} of service {service} comes too late", context={"number": number})
            yield

    @contextlib.asynccontextmanager
    async def entered_all(
        self, service: str, effects: Sequence[tuple[tuple[str, ...], int, int]]
    ) -> AsyncIterator[list[bool]]:
        """As `entered`, for several effects: of each its subjects, its number and what the leader told with it.

        Yields:
            Of each whether it may be carried out.

        Raises:
            DaosError: As `admit`.
        """
        async with contextlib.AsyncExitStack() as stack:
            for subject in sorted({subject for subjects, _, _ in effects for subject in subjects}):
                await stack.enter_async_context(self._alone(service, subject))
            answers = [self._ask(service, *effect) for effect in effects]
            yield [await answer for answer in answers]

    async def admit(self, service: str, subjects: Iterable[str], number: int, floor: int) -> bool:
        """Tell whether an effect may be carried out; when it may, that is durable at return.

        Raises:
            CorruptionError: `DER.DF_INVAL`: the fence's file is damaged.
            InvalidError: `DER.DF_INCOMPT`: a newer release wrote it.
            UnavailableError: `DER.IO`: it cannot be written.
        """
        return await self._ask(service, subjects, number, floor)

    def _ask(self, service: str, subjects: Iterable[str], number: int, floor: int) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(service, []).append(_Asked(tuple(subjects), number, floor, answer))
        if service not in self._writers:
            # Of its own, so that who is cancelled leaves no write behind that another knows nothing of.
            self._writers[service] = asyncio.create_task(self._answer_all(service))
        return answer

    async def _answer_all(self, service: str) -> None:
        """Answer what is asked, all that came meanwhile by one write: a file a moment, not one an effect."""
        try:
            async with self._writing.setdefault(service, asyncio.Lock()):
                while batch := self._asked.pop(service, []):
                    await self._answer(service, batch)
        finally:
            del self._writers[service]

    async def _answer(self, service: str, batch: list[_Asked]) -> None:
        try:
            known = self._fences.get(service) or await asyncio.to_thread(self._load, service)
            trial = Fence(known.floor, dict(known.last))
            admitted = [trial.admit(asked.subjects, asked.number, asked.floor) for asked in batch]
            if trial != known:
                news = [
                    _Admitted(asked.subjects, asked.number, asked.floor)
                    for asked, may in zip(batch, admitted, strict=True)
                    if may
                ]
                await asyncio.to_thread(self._keep, service, trial, news)
                self._fences[service] = trial
        except OSError as error:
            wrong = UnavailableError(f"cannot write {self._path(service)}: {error.strerror}", code=DER.IO)
            _refuse(batch, wrong)
        except Exception as error:  # noqa: BLE001 -- each of them is told
            _refuse(batch, error)
        else:
            for asked, answer in zip(batch, admitted, strict=True):
                if not asked.answer.done():  # who was cancelled
                    asked.answer.set_result(answer)

    async def forget(self, service: str) -> None:
        """Delete the fence of a service that is gone from this rank."""
        async with self._writing.setdefault(service, asyncio.Lock()):
            self._fences.pop(service, None)
            journal = self._journals.pop(service, None)
            if journal is not None:
                journal.close()
            self._path(service).unlink(missing_ok=True)
            await asyncio.to_thread(sync_directory, self._directory)
        self._writing.pop(service, None)

    def _path(self, service: str) -> Path:
        if not _NAME.fullmatch(service):
            raise InvalidError(f"{service!r} is no name of a service")
        return self._directory / f"fence.{service}"

    def _keep(self, service: str, fence: Fence, news: list[_Admitted]) -> None:
        """Write what changed, behind what is there or, where that is long or not to be written to, with all of it."""
        journal = self._journals.setdefault(service, Journal(self._path(service)))
        if 0 < journal.size < JOURNAL_BYTES_MAX:
            journal.append(msgspec.msgpack.encode(news))
        else:
            journal.begin(msgspec.msgpack.encode(_Stored(VERSION, service, fence)))

    def _load(self, service: str) -> Fence:
        path = self._path(service)
        journal = Journal(path)
        try:
            first = path.read_bytes()
            records = journal.read() if first.startswith(MARK) else [first]
            found = decode(records[0], _Stored)
            changes = [decode(record, list[_Admitted]) for record in records[1:]]
        except FileNotFoundError:
            return Fence()
        except OSError as error:
            raise UnavailableError(f"cannot read {path}: {error.strerror}", code=DER.IO) from None
        except (DamagedError, msgspec.DecodeError, UnicodeDecodeError) as error:
            journal.close()
            raise CorruptionError(f"the fence {path}: {error}", code=DER.DF_INVAL) from None
        if found.version > VERSION:
            raise InvalidError(
                f"the fence {path} has version {found.version}, this release knows {VERSION}",
                code=DER.DF_INCOMPT,
                hint="use the release that wrote it, or a later one",
            )
        if found.service != service:
            raise CorruptionError(f"{path} is the fence of service {found.service}", code=DER.DF_INVAL)
        for change in (each for some in changes for each in some):
            found.fence.admit(change.subjects, change.number, change.floor)
        self._journals[service] = journal
        return self._fences.setdefault(service, found.fence)

    @contextlib.asynccontextmanager
    async def _alone(self, service: str, subject: str) -> AsyncIterator[None]:
        key = (service, subject)
        lock, waiting = self._entered.get(key, (asyncio.Lock(), 0))
        self._entered[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._entered.pop(key)
            if waiting > 1:
                self._entered[key] = (lock, waiting - 1)
