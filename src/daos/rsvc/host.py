"""One replica of a replicated service in an asyncio process: the log's words in, the driver's actions out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

from daos.control.driver import Back, Died, Driver, Event, Propose, Reported, ReportedAll, Revived
from daos.control.outbox import E, Rank
from daos.control.outcomes import SECOND, Outcome, RequestId
from daos.control.replicated import AnyCommand, Confirm, ConfirmAll, Form, Replica, S, State, encode_entry
from daos.errors import DER, BusyError, DaosError, StaleError, TimedOutError, UnavailableError, UncertainError
from daos.rsvc.carriers import Carried, Carriers, CarryOne, Together, one_by_one
from daos.rsvc.clock import Clock
from daos.rsvc.gathering import Gathering

AGREE_S_MAX = 10.0
"""A command that is not agreed on by then is of unknown fate; a group with a majority takes milliseconds."""
CARRY_S_MAX = 30.0
"""An effect that a rank has not answered by then is sent again."""
WAITING_MAX = 4096
"""Requests whose outcome is waited for."""
GATHER_S = 0.001
"""For so long reports of ranks are gathered, so that those of many ranks are one entry of the log."""
PART_S_MAX = 0.05
"""After so long what some of an effect's ranks have told is proposed without what the others will tell."""
CHECK_S_MAX = 1.0
"""How often the driver is called if nothing happens: what only the state knows to be due is found so."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Log(Protocol):
    """What a host needs of `daos._core.Rdb`."""

    def fileno(self) -> int:
        """Return what is readable when there is something to drain."""

    def drain(self) -> list[tuple[str, tuple[object, ...]]]:
        """Return what was told since the last call."""

    def propose_all(self, commands: list[tuple[bytes, float]]) -> list[int]:
        """Have commands agreed on, each with its time in seconds."""

    def read_barrier(self, *, timeout_s: float) -> int:
        """Ask from where on the state holds all that was acknowledged."""

    def add_replica(self, rank: int, generation: int, *, timeout_s: float) -> int:
        """Have a replica join."""

    def remove_replica(self, rank: int, generation: int, *, timeout_s: float) -> int:
        """Have a replica leave."""

    def snapshot(self, index: int, state: bytes) -> None:
        """Give the state after an entry."""

    def close(self) -> None:
        """End it."""


class NotLeaderError(StaleError):
    """Another replica leads. `leader` is its rank, None while there is none; with a request id, ask again there."""

    default_code = DER.NOTLEADER

    @property
    def leader(self) -> Rank | None:
        """The rank of the replica that leads."""
        return cast("Rank | None", self.context.get("leader"))


def _not_leader(form: str, leader: Rank | None) -> NotLeaderError:
    hint = "ask again: a leader is being elected" if leader is None else f"ask replica {leader}"
    return NotLeaderError(
        f"this replica of the {form} service does not lead",
        hint=hint,
        context={} if leader is None else {"leader": leader},
    )


class ServiceHost(Generic[S, E]):
    """A replica of a service. All of it runs in one event loop.

    Args:
        form: The service's; its state is a `State` with effects of type `E`.
        log: The replica of its group, not drained yet.
        carry: Has a rank carry out an effect, or several at once.
        clock: The process's.
        stopped: Is called, once, with the reason, when the replica takes part no more without having been closed.
        carry_s_max: How long an effect may take on a rank.
        name: Which of its kind it is, for logs and errors.
    """

    def __init__(
        self,
        form: Form[S],
        log: Log,
        carry: CarryOne[E] | Together[E],
        *,
        clock: Clock | None = None,
        stopped: Callable[[DaosError], None] | None = None,
        carry_s_max: float = CARRY_S_MAX,
        name: str = "",
    ) -> None:
        self.replica: Replica[S] = Replica(form)
        self._form, self._log = form, log
        self._name = f"{form.name} {name}".strip()
        self._clock = clock or Clock()
        self._stopped = stopped
        together = carry if isinstance(carry, Together) else one_by_one(carry)
        self._carriers: Carriers[E] = Carriers(together, self._report, seconds_max=carry_s_max)
        self._client = str(uuid.uuid4())
        self._applied = 0
        self._leader: Rank | None = None
        self._term = 0
        self._driver: Driver[E] | None = None
        self._numbers: dict[int, asyncio.Future[None]] = {}
        self._proposed: list[tuple[bytes, float, asyncio.Future[None]]] = []
        self._handing: asyncio.Handle | None = None
        self._gathering = Gathering()
        self._waiting: dict[RequestId, set[asyncio.Future[Outcome]]] = {}
        self._conditions: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._reports: dict[int, tuple[set[Rank], dict[Rank, DER]]] = {}
        self._whole: dict[int, None] = {}  # reports of all that were asked
        self._confirming: asyncio.Future[None] | None = None  # the proposal that says the reports before
        self._soon: asyncio.Handle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failed: DaosError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # From outside

    @property
    def state(self) -> S:
        """The state as far as this replica knows it; `query` reads what is certain."""
        return self.replica.state

    @property
    def leads(self) -> bool:
        """Whether this replica leads, as far as it knows."""
        return self._driver is not None

    @property
    def leader(self) -> Rank | None:
        """The rank of the replica that leads, as far as this one knows."""
        return self._leader

    @property
    def failed(self) -> DaosError | None:
        """Why this replica takes part no more; None while it does."""
        return self._failed

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._log.fileno(), self._readable)
        self._loop.call_soon(self._readable)

    async def close(self) -> None:
        """End it. What waits fails as uncertain; doing so twice changes nothing."""
        self._end(UnavailableError(f"the {self._name} service is closed here", code=DER.SHUTDOWN), told=False)
        await self._carriers.close()

    async def submit(self, command: AnyCommand, request: RequestId | None = None, *, timeout_s: float) -> Outcome:
        """Have a command agreed on and return what it led to, also of an operation that takes several steps.

        Args:
            command: What is to happen.
            request: Whose it is; with it the caller may ask again, here or at another leader. None for one that is
                not repeated.
            timeout_s: How long to wait for its outcome.

        Raises:
            NotLeaderError: Nothing happened; or, with a request id, it is not known yet whether it did: ask there.
            UncertainError: The leadership or the time was lost: it may or may not happen.
            BusyError: `DER.BUSY`: too much waits already.
            DaosError: The command cannot be an entry of the log.
        """
        self._check()
        own = request is None
        request = RequestId(self._client, self._clock.now()) if request is None else request
        if len(self._waiting) >= WAITING_MAX:
            raise BusyError(f"{len(self._waiting)} requests wait for their outcomes, the most there may be")
        if not self.leads:
            raise _not_leader(self._name, self._leader)
        known = self.replica.find(request, command)
        if known is not None:
            return known
        entry = encode_entry(self._form, self._clock.now(), command, request)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request, set()).add(future)
        self._gathering.came(asyncio.get_running_loop().time(), len(self._waiting))
        try:
            async with asyncio.timeout(timeout_s):
                await self._put(entry, min(timeout_s, AGREE_S_MAX), waits=True)
                return await future
        except TimeoutError:
            hint = "look at what is there" if own else "repeat the request with its id"
            raise UncertainError(
                f"no outcome within {timeout_s:g} s: {type(command).__name__}", code=DER.NOREPLY, hint=hint
            ) from None
        except UncertainError:
            if own:
                raise
            raise _not_leader(self._name, self._leader) from None
        finally:
            waiting = self._waiting.get(request, set())
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(request, None)
            _drop(future)

    async def query(self, function: Callable[[S], T], *, timeout_s: float) -> T:
        """Return what a function makes of the state, which holds all that was acknowledged before the call.

        Raises:
            NotLeaderError: Another replica leads.
            TimedOutError: A majority did not confirm in time that this replica leads.
            DaosError: What the function raises.
        """
        self._check()
        if not self.leads:
            raise _not_leader(self._name, self._leader)
        try:
            async with asyncio.timeout(timeout_s):
                await self._agree(self._log.read_barrier(timeout_s=timeout_s))
        except (TimeoutError, UncertainError):
            raise TimedOutError(f"a majority of the {self._name} service does not answer") from None
        return function(self.replica.state)

    async def add_replica(self, rank: Rank, generation: int, *, timeout_s: float) -> None:
        """Have a replica join the group; at return it is a learner, and it votes when it has caught up.

        Raises:
            NotLeaderError: Another replica leads.
            UncertainError: It may or may not happen.
            DaosError: It is refused.
        """
        self._check()
        await self._agree(self._log.add_replica(rank, generation, timeout_s=timeout_s))

    async def remove_replica(self, rank: Rank, generation: int, *, timeout_s: float) -> None:
        """Have a replica leave the group.

        Raises:
            DaosError: As `add_replica`.
        """
        self._check()
        await self._agree(self._log.remove_replica(rank, generation, timeout_s=timeout_s))

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until something holds of the state or of the leader; it is looked at when either changes.

        Raises:
            TimedOutError: It does not hold in time.
        """
        self._check()
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._conditions.append(entry)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            raise TimedOutError(f"the {self._name} service did not come so far within {timeout_s:g} s") from None
        finally:
            self._conditions.remove(entry)
            _drop(future)

    def died(self, rank: Rank, incarnation: int) -> None:
        """Tell the driver that membership calls an incarnation of a rank dead."""
        self._drive(Died(rank, incarnation))

    def revived(self, rank: Rank) -> None:
        """Tell the driver that membership has heard of a rank again."""
        self._drive(Revived(rank))

    def back(self, rank: Rank) -> None:
        """Tell the driver that a rank was started again."""
        self._drive(Back(rank))

    # From the log

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _put(self, entry: bytes, timeout_s: float, *, waits: bool = False) -> asyncio.Future[None]:
        """Propose an entry; the future is done when it is agreed on.

        Args:
            entry: The entry.
            timeout_s: When it is given up.
            waits: Whether it may wait for others; one that does not takes those that wait along.
        """
        loop = asyncio.get_running_loop()
        agreed: asyncio.Future[None] = loop.create_future()
        self._proposed.append((entry, timeout_s, agreed))
        if not waits or self._gathering.enough(len(self._proposed)):
            if not isinstance(self._handing, asyncio.TimerHandle) and self._handing is not None:
                return agreed  # at the end of this turn of the loop
            if self._handing is not None:
                self._handing.cancel()
            self._handing = loop.call_soon(self._hand_over)
        elif self._handing is None:
            self._handing = loop.call_later(self._gathering.wait_s(), self._hand_over)
        return agreed

    def _hand_over(self) -> None:
        proposed, self._proposed = self._proposed, []
        self._handing = None
        try:
            if self._failed is not None:
                raise UncertainError(self._failed.message, hint=self._failed.hint)
            numbers = self._log.propose_all([(entry, timeout_s) for entry, timeout_s, _ in proposed])
        except DaosError as error:
            for _, _, agreed in proposed:
                _fail(agreed, error)
            return
        for number, (_, _, agreed) in zip(numbers, proposed, strict=True):
            self._numbers[number] = agreed
            # Also where nobody waits for it any more.
            agreed.add_done_callback(lambda _, number=number: self._numbers.pop(number, None))  # type: ignore[misc]

    async def _agree(self, number: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._numbers[number] = future
        try:
            await future
        finally:
            self._numbers.pop(number, None)
            _drop(future)

    def _readable(self) -> None:
        if self._failed is not None:
            return
        try:
            told = self._log.drain()
            for what, facts in told:
                self._take(what, facts)
                if self._failed is not None:
                    return
        except DaosError as error:
            self._end(error)
            return
        if told:
            self._look()
            self._drive()

    def _take(self, what: str, facts: tuple[object, ...]) -> None:
        if what in {"command", "install", "members"}:
            self._applied = cast("int", facts[0])
        if what == "members":
            groups = cast("tuple[list[tuple[Rank, int]], ...]", facts[1:3])
            voters, learners = (sorted(rank for rank, _ in group) for group in groups)
            _log.info("%s service: replicas %s, joining %s", self._name, voters, learners)
        elif what == "command":
            self._apply(cast("bytes", facts[2]))
        elif what == "install":
            self._install(cast("bytes", facts[2]))
        elif what == "role":
            self._role(cast("int", facts[0]), cast("Rank | None", facts[1]), leads=bool(facts[2]))
        elif what == "snapshot_wanted":
            # All that is told before it, up to its entry, is in the state; entries without a command move no state.
            self._log.snapshot(max(self._applied, cast("int", facts[0])), self.replica.snapshot())
        elif what in {"committed", "read"}:
            _settle(self._numbers.get(cast("int", facts[0])), None)
        elif what == "refused":
            self._refused(cast("int", facts[0]), cast("Exception", facts[1]))
        elif what == "stopped":
            self._end(UnavailableError(f"the replica of the {self._name} service stopped: {facts[0]}"))

    def _apply(self, entry: bytes) -> None:
        applied = self.replica.apply(self._applied, entry)
        self._clock.observe(self.replica.state.time)
        for answer in applied.answers:
            for future in self._waiting.get(answer.request, ()):
                _settle(future, answer.outcome)

    def _install(self, state: bytes) -> None:
        self.replica = Replica.restore(self._form, state)
        self._clock.observe(self.replica.state.time)
        if self._driver is not None:
            self._driver = Driver(cast("State[E]", self.replica.state))

    def _refused(self, number: int, error: Exception) -> None:
        elsewhere = isinstance(error, DaosError) and error.code is DER.NOTLEADER
        _fail(self._numbers.get(number), _not_leader(self._name, self._leader) if elsewhere else error)

    def _role(self, term: int, leader: Rank | None, *, leads: bool) -> None:
        if leader != self._leader or leads != self.leads:
            _log.info("%s service: term %s, leader %s%s", self._name, term, leader, ", this" if leads else "")
        changed = term != self._term
        self._term, self._leader = term, leader
        if leads:
            if self._driver is None or changed:
                self._driver = Driver(cast("State[E]", self.replica.state))
                self._forget_reports()
            return
        if self._driver is None:
            return
        self._driver = None
        self._forget_reports()
        self._carriers.cancel()
        # What is under way goes on at the next leader, which answers whoever repeats the request there.
        self._fail_waiting(UncertainError(f"this replica of the {self._name} service does not lead any more"))

    def _fail_waiting(self, error: DaosError) -> None:
        for futures in self._waiting.values():
            for future in futures:
                _fail(future, error)

    def _look(self) -> None:
        for entry in list(self._conditions):
            condition, future = entry
            if condition():
                _settle(future, None)

    def _end(self, why: DaosError, *, told: bool = True) -> None:
        if self._failed is not None:
            return
        self._failed = why
        self._driver = None
        self._silence()
        self._log.close()
        self._carriers.cancel()
        unknown = UncertainError(why.message, hint=why.hint)
        self._fail_waiting(unknown)
        for future in self._numbers.values():
            _fail(future, unknown)
        for _, future in self._conditions:
            _fail(future, why)
        if told:
            _log.error("the %s service ended here: %s", self._name, why)
            if self._stopped is not None:
                self._stopped(why)

    def _silence(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._forget_reports()
        if self._loop is not None:
            with contextlib.suppress(DaosError):
                self._loop.remove_reader(self._log.fileno())

    # The leader's

    def _drive(self, event: Event = None) -> None:
        """Let the driver act; it is called again when it asks to, and once a second."""
        if self._driver is None or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.now()
        for action in self._driver.on(now, event):
            if isinstance(action, Propose):
                self._propose(action)
                continue
            for rank in action.ranks:
                self._carriers.add(rank, Carried(action.work, cast("E", action.effect), action.floors[rank]))
        self._carriers.go()
        wake = self._driver.wake_at()
        wait = CHECK_S_MAX if wake is None else min(max((wake - now) / SECOND, 0.001), CHECK_S_MAX)
        self._timer = self._loop.call_later(wait, self._drive)

    def _propose(self, action: Propose) -> None:
        try:
            entry = encode_entry(self._form, self._clock.now(), action.command)
        except DaosError as error:
            _log.error("a command of the %s service's own is no entry: %s", self._name, error.message)
            return
        agreed = self._put(entry, AGREE_S_MAX)
        if isinstance(action.command, Confirm | ConfirmAll):
            self._confirming = agreed
        agreed.add_done_callback(self._answered)

    # What ranks tell

    def _report(self, rank: Rank, told: list[tuple[int, DER | None]]) -> None:
        """Gather what ranks tell: of effects that all their ranks have told of, all that is there at once is one entry.

        While such an entry is not agreed on, the next one waits for it, and so is larger where there is much to do.
        """
        if self._driver is None or self._loop is None:
            return
        works = cast("State[E]", self.replica.state).outbox.works
        for number, failed in told:
            work = works.get(number)
            if work is None:
                continue
            done, wrong = self._reports.setdefault(number, (set(), {}))
            if failed is None:
                done.add(rank)
                wrong.pop(rank, None)
            else:
                wrong[rank] = failed
            if all(each in done or each in wrong for each in work.ranks) or (work.anyone and done):
                self._whole[number] = None
        if self._whole and self._soon is None and self._confirming is None:
            self._soon = self._loop.call_later(GATHER_S, self._reported)
        if self._reports and self._late is None:
            self._late = self._loop.call_later(PART_S_MAX, self._reported_late)

    def _reported(self) -> None:
        self._soon = None
        whole, self._whole = self._whole, {}
        self._tell({number: self._reports.pop(number) for number in whole if number in self._reports})

    def _reported_late(self) -> None:
        self._late = None
        self._whole.clear()
        reports, self._reports = self._reports, {}
        self._tell(reports)

    def _tell(self, reports: dict[int, tuple[set[Rank], dict[Rank, DER]]]) -> None:
        if reports:
            each = (Reported(number, tuple(sorted(done)), failed) for number, (done, failed) in reports.items())
            self._drive(ReportedAll(tuple(each)))

    def _answered(self, agreed: asyncio.Future[None]) -> None:
        """What the driver proposed has its answer: reports that came meanwhile are next."""
        error = None if agreed.cancelled() else agreed.exception()
        if isinstance(error, BusyError):
            _log.warning("the %s service is held up: %s", self._name, error.message)
        if agreed is not self._confirming:
            return
        self._confirming = None
        if self._whole and self._soon is None and self._loop is not None:
            self._soon = self._loop.call_soon(self._reported)

    def _forget_reports(self) -> None:
        self._reports.clear()
        self._whole.clear()
        self._confirming = None
        for timer in (self._soon, self._late):
            if timer is not None:
                timer.cancel()
        self._soon = self._late = None


def _settle(future: asyncio.Future[T] | None, result: T) -> None:
    if future is not None and not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T] | None, error: Exception) -> None:
    if future is not None and not future.done():
        future.set_exception(error)


def _drop(future: asyncio.Future[T]) -> None:
    """Let go of a future: an exception that came too late for anybody is nobody's."""
    if not future.cancel() and not future.cancelled():
        future.exception()
