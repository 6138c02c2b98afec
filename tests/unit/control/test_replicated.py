"""The common form: what every service does alike."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.control.driver import (
    AGAIN_TICKS_MAX,
    AGAIN_TICKS_MIN,
    Back,
    Carry,
    Died,
    Driver,
    Propose,
    Reported,
    ReportedAll,
    Revived,
)
from daos.control.fence import Fence
from daos.control.outbox import Outbox
from daos.control.outcomes import AHEAD_TICKS_MAX, KEPT_MAX, KEPT_TICKS_MAX, SECOND, RequestId
from daos.control.replicated import AnyCommand, Applied, Confirm, ConfirmAll, Confirmed, Replica, encode_entry
from daos.control.system.effects import CreateShards, PushMembers
from daos.control.system.members import Join, Joined, MarkDead
from daos.control.system.service import SYSTEM
from daos.control.system.settings import DeleteAttributes, SetAttributes
from daos.control.system.state import SystemState
from daos.errors import DER, BusyError, CorruptionError, ExistsError, InternalError, InvalidError
from daos.model.members import MemberState

T = 1000 * SECOND
UUID = "00000000-0000-0000-0000-00000000000a"


class Log:
    """A replica, and a log that nobody else writes to."""

    def __init__(self) -> None:
        self.replica = Replica(SYSTEM)
        self.time = T
        self.stamp = T

    @property
    def state(self) -> SystemState:
        return self.replica.state

    def apply(self, command: AnyCommand, request: RequestId | None = None) -> Applied:
        entry = encode_entry(SYSTEM, self.time, command, request)
        return self.replica.apply(self.replica.index + 1, entry)

    def ask(self, command: AnyCommand) -> Applied:
        self.stamp += 1
        return self.apply(command, RequestId("me", self.stamp))


def attribute(text: str) -> SetAttributes:
    return SetAttributes(attributes={"a": text})


def join(rank: int | None = None, uuid: str = UUID, incarnation: int = 1) -> Join:
    return Join(
        uuid=uuid,
        rank=rank,
        address="host:10001",
        uri="tcp://host:31416",
        domain=("host",),
        incarnation=incarnation,
        targets=1,
        capacity=(1 << 30, 1 << 40),
    )


def test_a_request_that_comes_twice_happens_once() -> None:
    log = Log()
    request = RequestId("me", T)
    first = log.apply(join(), request)
    version = log.state.version
    again = log.apply(join(), request)
    assert again.answers == first.answers
    assert first.answers[0].outcome.value(Joined).rank == 0
    assert log.state.version == version
    assert log.replica.find(request, join()) == first.answers[0].outcome
    assert log.replica.find(request, attribute("x")) is None
    assert log.replica.find(RequestId("other", T), join()) is None


def test_a_refusal_is_an_outcome_too() -> None:
    log = Log()
    log.ask(join(rank=0))
    refused = log.apply(join(rank=0, uuid=UUID[:-1] + "b"), RequestId("me", T + 99))
    log.ask(attribute("x"))
    assert log.apply(join(rank=0, uuid=UUID[:-1] + "b"), RequestId("me", T + 99)).answers == refused.answers
    with pytest.raises(ExistsError, match="rank 0 has other storage") as caught:
        refused.answers[0].outcome.check()
    assert caught.value.hint


def test_what_was_refused_stays_refused() -> None:
    log = Log()
    request = RequestId("me", T + 99)
    delete = DeleteAttributes(names=("a",))
    refused = log.apply(delete, request)
    log.ask(attribute("x"))
    assert log.apply(delete, request).answers == refused.answers
    assert log.state.attributes == {"a": "x"}


def test_an_id_stands_for_one_request() -> None:
    log = Log()
    log.apply(attribute("x"), RequestId("me", T))
    outcome = log.apply(attribute("y"), RequestId("me", T)).answers[0].outcome
    assert outcome.code == DER.INVAL
    assert log.state.attributes == {"a": "x"}


def test_what_was_forgotten_is_uncertain() -> None:
    log = Log()
    for number in range(KEPT_MAX + 1):
        log.apply(attribute(str(number)), RequestId("me", T + number))
    assert len(log.state.outcomes.kept) == KEPT_MAX
    outcome = log.apply(attribute("0"), RequestId("me", T)).answers[0].outcome
    assert (outcome.code, outcome.context["floor"]) == (DER.TX_ID_REUSED, T)
    assert log.state.attributes == {"a": str(KEPT_MAX)}
    log.time += KEPT_TICKS_MAX + KEPT_MAX
    outcome = log.apply(attribute("new"), RequestId("late", T + KEPT_MAX)).answers[0].outcome
    assert outcome.code == DER.TX_ID_REUSED
    log.apply(attribute("new"), RequestId("me", log.time))
    assert len(log.state.outcomes.kept) == 1


def test_the_table_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.control.outcomes.KEPT_BYTES_MAX", 100)
    log = Log()
    for _ in range(20):
        log.ask(DeleteAttributes(names=("x",)))
    message = len('unable to find system attribute with key "x"')
    assert (len(log.state.outcomes.kept), log.state.outcomes.size) == (100 // message, 100 // message * message)
    log.ask(DeleteAttributes(names=("x" * 200,)))
    assert len(log.state.outcomes.kept) == 1, "the newest is kept whatever its size"


def test_requests_that_are_no_entries() -> None:
    for client in ("", "c" * 65):
        with pytest.raises(InvalidError, match="uuid of its client"):
            encode_entry(SYSTEM, T, attribute("x"), RequestId(client, T))
    with pytest.raises(InvalidError, match="too long") as caught:
        encode_entry(SYSTEM, T, attribute("x" * (1 << 20)))
    assert caught.value.code is DER.REC2BIG


def test_a_clock_that_is_ahead_is_refused() -> None:
    log = Log()
    assert log.apply(attribute("x"), RequestId("me", T + AHEAD_TICKS_MAX)).answers[0].outcome.code == 0
    assert log.apply(attribute("y"), RequestId("me", T + AHEAD_TICKS_MAX + 1)).answers[0].outcome.code == DER.HLC_SYNC


def test_time_never_goes_back() -> None:
    log = Log()
    log.ask(attribute("x"))
    log.time -= SECOND
    log.ask(attribute("y"))
    assert log.state.time == T


def test_a_snapshot_is_the_state() -> None:
    log = Log()
    log.ask(join())
    log.ask(attribute("x"))
    snapshot = log.replica.snapshot()
    other = Replica.restore(SYSTEM, snapshot)
    assert other.snapshot() == snapshot
    assert other.digest() == log.replica.digest()
    assert other.index == 2
    entry = encode_entry(SYSTEM, T, attribute("y"), RequestId("me", T + 9))
    assert other.apply(3, entry) == log.replica.apply(3, entry)
    assert other.digest() == log.replica.digest()


def test_a_newer_version_stops_the_replica() -> None:
    log = Log()
    entry = msgspec.msgpack.encode([3, "what", "a newer", "release", "writes"])
    for _ in range(2):
        with pytest.raises(InvalidError, match="version 3") as caught:
            log.replica.apply(1, entry)
        assert caught.value.code is DER.DF_INCOMPT
    with pytest.raises(InvalidError, match="version 3"):
        log.ask(attribute("x"))
    with pytest.raises(InvalidError, match="version 3"):
        Replica.restore(SYSTEM, msgspec.msgpack.encode([3, {}]))


@given(st.binary(max_size=40))
def test_bytes_that_are_nothing(junk: bytes) -> None:
    with pytest.raises((CorruptionError, InvalidError)):
        Replica(SYSTEM).apply(1, junk)
    with pytest.raises((CorruptionError, InvalidError)):
        Replica.restore(SYSTEM, junk)


@given(st.data())
def test_damaged_entries_and_snapshots(data: st.DataObject) -> None:
    log = Log()
    log.ask(join())
    for whole in (log.replica.snapshot(), encode_entry(SYSTEM, T, join(), RequestId("me", T))):
        damaged = bytearray(whole)
        damaged[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        cut = bytes(damaged[: data.draw(st.integers(0, len(whole)))])
        for stored in (bytes(damaged), cut):
            with suppress(CorruptionError, InvalidError):
                Replica.restore(SYSTEM, stored)
            with suppress(CorruptionError, InvalidError, InternalError):
                Replica(SYSTEM).apply(1, stored)


def test_the_log_has_an_order() -> None:
    log = Log()
    log.ask(attribute("x"))
    with pytest.raises(InternalError, match="entry 1 comes after entry 1"):
        log.replica.apply(1, encode_entry(SYSTEM, T, attribute("y")))
    with pytest.raises(InternalError):
        log.ask(attribute("y"))


def test_a_defect_stops_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(SystemState, "push_members", lambda state: state.members[99])
    with pytest.raises(InternalError, match="KeyError"):
        log.ask(join())
    with pytest.raises(InternalError, match="KeyError"):
        log.ask(attribute("x"))


# The driver


def shards(number: int = 1) -> CreateShards:
    return CreateShards(subject=f"pool{number}", tiers=(1, 1))


def serving(ranks: int) -> SystemState:
    log = Log()
    for rank in range(ranks):
        log.ask(join(rank=rank, uuid=f"{UUID[:-1]}{rank}"))
    for number in list(log.state.outbox.works):
        log.state.outbox.remove(number)
    return log.state


def test_an_effect_is_carried_out_until_it_is_confirmed() -> None:
    state = serving(3)
    driver = Driver(state)
    number = state.outbox.put(shards(), (0, 2))
    sent = driver.on(T)
    assert sent == [Carry(number, shards(), (0, 2), {0: number, 2: number})]
    assert driver.on(T + AGAIN_TICKS_MIN - 1) == []
    assert driver.wake_at() == T + AGAIN_TICKS_MIN
    assert driver.on(T + AGAIN_TICKS_MIN) == sent
    state.outbox.confirm(number, (0,), {})
    now, waits = T + AGAIN_TICKS_MIN, []
    for _ in range(8):
        wake = driver.wake_at()
        assert wake is not None
        waits.append(wake - now)
        now = wake
        assert driver.on(now) == [Carry(number, shards(), (2,), {2: number})]
    assert waits[0] == 2 * AGAIN_TICKS_MIN
    assert waits == sorted(waits)
    assert waits[-1] == AGAIN_TICKS_MAX
    state.outbox.confirm(number, (2,), {})
    assert driver.on(now + AGAIN_TICKS_MAX) == []
    assert driver.wake_at() is None


def test_what_waits_for_a_rank_that_was_started_again_is_carried_out_at_once() -> None:
    state = serving(3)
    driver = Driver(state)
    waits, other = state.outbox.put(shards(0), (0, 1, 2)), state.outbox.put(shards(1), (0,))
    now = T
    for _ in range(6):
        driver.on(now)
        now = driver.wake_at() or 0
    driver.on(now)
    state.outbox.confirm(waits, (0, 2), {})
    now += 1
    assert driver.on(now) == []
    assert driver.on(now, Back(2)) == [], "nothing waits for it"
    assert driver.on(now, Back(1)) == [Carry(waits, shards(0), (1,), {1: waits})]
    # Once more soon, as it may just be starting; the other has its time.
    assert driver.wake_at() == now + AGAIN_TICKS_MIN
    state.outbox.confirm(waits, (1,), {})
    assert driver.wake_at() is not None
    assert [action.work for action in driver.on(now + AGAIN_TICKS_MAX) if isinstance(action, Carry)] == [other]
    assert driver.on(now + AGAIN_TICKS_MAX, Back(1)) == []


def test_failures_for_now_are_not_proposed() -> None:
    state = serving(2)
    driver = Driver(state)
    number = state.outbox.put(shards(), (0, 1))
    driver.on(T)
    assert driver.on(T, Reported(number, (), {0: DER.BUSY, 1: DER.UNREACH})) == []
    (action,) = driver.on(T, Reported(number, (0,), {1: DER.NOSPACE}))
    assert action == Propose(Confirm(work=number, done=(0,), failed={1: DER.NOSPACE.value}))
    assert driver.on(T, Reported(number + 1, (0,))) == []


def test_what_is_reported_together_is_proposed_together() -> None:
    state = serving(3)
    driver = Driver(state)
    numbers = [state.outbox.put(shards(nth), (0, 1)) for nth in range(3)]
    driver.on(T)
    reports = (
        Reported(numbers[0], (0, 1)),
        Reported(numbers[1], (), {0: DER.BUSY}),
        Reported(numbers[2], (1,), {0: DER.NOSPACE}),
        Reported(numbers[2] + 1, (0,)),
    )
    confirmed = (Confirmed(numbers[0], (0, 1)), Confirmed(numbers[2], (1,), {0: DER.NOSPACE.value}))
    assert driver.on(T, ReportedAll(reports)) == [Propose(ConfirmAll(works=confirmed))]
    (alone,) = driver.on(T, ReportedAll(reports[:2]))
    assert alone == Propose(Confirm(work=numbers[0], done=(0, 1)))
    assert driver.on(T, ReportedAll(reports[1:2])) == []


def test_a_driver_looks_at_what_is_new_and_at_what_is_due() -> None:
    state = serving(3)
    driver = Driver(state)
    first = state.outbox.put(shards(0), (0,))
    driver.on(T)
    later = state.outbox.put(shards(1), (1,))
    assert [action.work for action in driver.on(T + 1) if isinstance(action, Carry)] == [later]
    again = driver.on(T + AGAIN_TICKS_MIN + 1)
    assert [action.work for action in again if isinstance(action, Carry)] == [first, later]
    state.outbox.remove(first)
    # A new leader's begins with all of them.
    assert [action.work for action in Driver(state).on(T) if isinstance(action, Carry)] == [later]


def test_stubborn_effects_do_not_fail() -> None:
    state = serving(1)
    driver = Driver(state)
    number = state.outbox.put(PushMembers(subject="members", version=1), (0,))
    driver.on(T)
    assert driver.on(T, Reported(number, (), {0: DER.NOSPACE})) == []


def test_deaths_are_gathered() -> None:
    state = serving(3)
    driver = Driver(state)
    assert driver.on(T, Died(0, 1)) == []
    assert driver.on(T + SECOND // 4, Died(1, 1)) == []
    assert driver.on(T + SECOND // 4, Died(2, 1)) == []
    assert driver.on(T + SECOND // 4, Revived(2)) == []
    found = driver.on(T + SECOND)
    assert found == [Propose(MarkDead(ranks={0: 1, 1: 1}))]
    assert driver.on(T + SECOND + 1) == []
    assert driver.on(T + 2 * SECOND) == found, "the proposal may have been lost"
    for rank in (0, 1):
        state.members[rank].state = MemberState.EXCLUDED
    assert driver.on(T + 4 * SECOND) == []
    assert driver.wake_at() is None


def test_news_of_an_older_incarnation_change_nothing() -> None:
    state = serving(1)
    state.members[0].incarnation = 5
    driver = Driver(state)
    driver.on(T, Died(0, 4))
    assert driver.on(T + SECOND) == []


# Outbox and fence


def test_an_outbox_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.control.outbox.WORKS_MAX", 2)
    box: Outbox[CreateShards] = Outbox()
    box.put(shards(), (0,))
    box.check_room()
    box.put(shards(), (0,))
    with pytest.raises(BusyError, match="2 effects"):
        box.check_room()


def test_one_of_several_is_enough() -> None:
    box: Outbox[CreateShards] = Outbox()
    number = box.put(shards(), (0, 1, 2), anyone=True)
    work = box.confirm(number, (1,), {})
    assert work is not None
    assert work.ranks == []
    assert box.works == {}
    assert box.confirm(number, (0,), {}) is None


def test_a_create_that_comes_behind_the_destroy() -> None:
    fence = Fence()
    assert fence.admit(("pool",), 5, 5)
    assert fence.admit(("other",), 6, 5)
    assert fence.admit(("pool",), 7, 5)
    assert fence.admit(("pool",), 7, 5), "again changes nothing"
    assert not fence.admit(("pool",), 5, 5)
    assert not fence.admit(("new", "pool"), 6, 5), "one subject is enough"
    assert fence.admit(("third",), 9, 9)
    assert (fence.floor, fence.last) == (9, {"third": 9}), "what is below the floor is refused without being kept"
    assert not fence.admit(("pool",), 8, 5)


def test_an_effect_on_nothing_is_admitted_unless_it_is_below_the_floor() -> None:
    # As the handles of a container that nobody has open.
    fence = Fence()
    assert fence.admit((), 5, 5)
    assert (fence.floor, fence.last) == (5, {})
    assert not fence.admit((), 4, 4)


@given(st.data())
def test_a_fence_lets_no_late_effect_through(data: st.DataObject) -> None:
    """The last effect on a subject that was carried out is never followed by an earlier one."""
    box: Outbox[CreateShards] = Outbox()
    fence = Fence()
    sent: list[tuple[str, int, int]] = []
    newest: dict[str, int] = {}
    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(("put", "deliver", "confirm")))
        if step == "put":
            effect = shards(data.draw(st.integers(0, 2)))
            box.cancel(effect.subject)
            number = box.put(effect, (0,))
            sent.append((effect.subject, number, box.floor(0)))
        elif sent and step == "deliver":
            subject, number, floor = data.draw(st.sampled_from(sent))
            if fence.admit((subject,), number, floor):
                assert number >= newest.get(subject, 0)
                newest[subject] = number
        elif step == "confirm" and box.works:
            number = data.draw(st.sampled_from(sorted(box.works)))
            if newest.get(box.works[number].effect.subject) == number:
                box.confirm(number, (0,), {})
        assert all(number >= fence.floor for number in fence.last.values())
