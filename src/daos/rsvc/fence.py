"""The fences of a rank, kept in files; what an effect changes is entered by one effect at a time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar, cast

import msgspec

from daos._packed import decode
from daos.control.fence import Fence
from daos.errors import DER, CorruptionError, InvalidError, StaleError, UnavailableError
from daos.rsvc.files import sync_directory
from daos.rsvc.journal import MARK, DamagedError, Journal

VERSION = 2
JOURNAL_BYTES_MAX = 64 << 10
"""Of a fence's file; then it begins anew, with what is wanted yet."""
P = ParamSpec("P")
T = TypeVar("T")
_NAME = re.compile(r"[a-z0-9-]{1,64}")


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """What a fence's file begins with. Up to version 1 it was the whole file, without the form of a journal."""

    version: int
    service: str
    fence: Fence


class Asked(NamedTuple):
    """An effect that is to be admitted: what it changes, its number, what the leader told with it."""

    subjects: tuple[str, ...]
    number: int
    floor: int


@dataclass
class _Group:
    """Effects that wait to be admitted together, and who waits for the answer.

    Attributes:
        effects: Which.
        work: Is run, with whether each may be carried out, in the thread that made that durable; None for nothing.
        answer: Of each whether it may be carried out, and what the work has returned.
        error: What the work has raised.
    """

    effects: Sequence[Asked]
    work: Callable[[list[bool]], object] | None
    answer: asyncio.Future[tuple[list[bool], object]]
    admitted: list[bool] = field(default_factory=list)
    result: object = None
    error: Exception | None = None

    def admit(self, fence: Fence) -> list[Asked]:
        """Let a fence decide; return those that may be carried out."""
        self.admitted = [fence.admit(asked.subjects, asked.number, asked.floor) for asked in self.effects]
        return [asked for asked, may in zip(self.effects, self.admitted, strict=True) if may]

    def run(self) -> None:
        """Do the work, if there is any."""
        if self.work is None:
            return
        try:
            self.result = self.work(self.admitted)
        except Exception as error:  # noqa: BLE001 -- whoever waits is told
            self.error = error

    def tell(self, error: Exception | None = None) -> None:
        """Answer."""
        error = error or self.error
        if self.answer.done():  # who was cancelled
            return
        if error is None:
            self.answer.set_result((self.admitted, self.result))
        else:
            self.answer.set_exception(error)


class RankFence:
    """The fences of one rank against late effects, one a service.

    Args:
        directory: Where their files are; it is made.
        threads: Where they are written; None for those of the event loop.
    """

    def __init__(self, directory: Path, threads: Executor | None = None) -> None:
        self._directory, self._threads = directory, threads
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fences: dict[str, Fence] = {}
        self._journals: dict[str, Journal] = {}
        self._writing: dict[str, asyncio.Lock] = {}
        self._asked: dict[str, list[_Group]] = {}
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

    async def carry(self, service: str, effects: Sequence[Asked], work: Callable[[list[bool]], T]) -> T:
        """As `entered` for several effects, with short work on them that is done in a thread.

        Args:
            service: `system`, or a pool's uuid.
            effects: Which.
            work: Is called with whether each may be carried out, in the thread that made that durable and before
                it writes anything else, so that there is no other thread to wake.

        Returns:
            What the work has returned.

        Raises:
            DaosError: As `admit`, or as the work.
        """
        async with contextlib.AsyncExitStack() as stack:
            for subject in sorted({subject for effect in effects for subject in effect.subjects}):
                await stack.enter_async_context(self._alone(service, subject))
            _, result = await self._ask(service, effects, work)
            return cast("T", result)

    async def admit(self, service: str, subjects: Iterable[str], number: int, floor: int) -> bool:
        """Tell whether an effect may be carried out; when it may, that is durable at return.

        Raises:
            CorruptionError: `DER.DF_INVAL`: the fence's file is damaged.
            InvalidError: `DER.DF_INCOMPT`: a newer release wrote it.
            UnavailableError: `DER.IO`: it cannot be written.
        """
        admitted, _ = await self._ask(service, [Asked(tuple(subjects), number, floor)])
        return admitted[0]

    def _ask(
        self, service: str, effects: Sequence[Asked], work: Callable[[list[bool]], object] | None = None
    ) -> asyncio.Future[tuple[list[bool], object]]:
        group = _Group(effects, work, asyncio.get_running_loop().create_future())
        self._asked.setdefault(service, []).append(group)
        if service not in self._writers:
            # Of its own, so that who is cancelled leaves no write behind that another knows nothing of.
            self._writers[service] = asyncio.create_task(self._answer_all(service))
        return group.answer

    async def _answer_all(self, service: str) -> None:
        """Answer what is asked, all that came meanwhile by one write: a record a moment, not one an effect."""
        try:
            async with self._writing.setdefault(service, asyncio.Lock()):
                while batch := self._asked.pop(service, []):
                    await self._answer(service, batch)
        finally:
            del self._writers[service]

    async def _answer(self, service: str, batch: list[_Group]) -> None:
        try:
            known = self._fences.get(service)
            if known is None:
                known = await self._run(self._load, service)
            trial = Fence(known.floor, dict(known.last))
            news = [asked for group in batch for asked in group.admit(trial)]
            changed = trial != known
            if changed or any(group.work is not None for group in batch):
                await self._run(self._keep_and_work, service, trial if changed else None, news, batch)
        except OSError as error:
            wrong = UnavailableError(f"cannot write {self._path(service)}: {error.strerror}", code=DER.IO)
            for group in batch:
                group.tell(wrong)
        except Exception as error:  # noqa: BLE001 -- each of them is told
            for group in batch:
                group.tell(error)
        else:
            for group in batch:
                group.tell()

    async def _run(self, call: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*arguments, **keywords))

    def _keep_and_work(self, service: str, fence: Fence | None, news: list[Asked], batch: list[_Group]) -> None:
        if fence is not None:
            self._keep(service, fence, news)
            self._fences[service] = fence
        for group in batch:
            group.run()

    async def forget(self, service: str) -> None:
        """Delete the fence of a service that is gone from this rank."""
        async with self._writing.setdefault(service, asyncio.Lock()):
            self._fences.pop(service, None)
            journal = self._journals.pop(service, None)
            if journal is not None:
                journal.close()
            self._path(service).unlink(missing_ok=True)
            await self._run(sync_directory, self._directory)
        self._writing.pop(service, None)

    def _path(self, service: str) -> Path:
        if not _NAME.fullmatch(service):
            raise InvalidError(f"{service!r} is no name of a service")
        return self._directory / f"fence.{service}"

    def _keep(self, service: str, fence: Fence, news: list[Asked]) -> None:
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
            changes = [decode(record, list[Asked]) for record in records[1:]]
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
