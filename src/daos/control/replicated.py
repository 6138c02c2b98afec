"""The common form of a replicated service: a state, commands, and a replica that a log of bytes drives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from daos.control.outbox import E, Outbox, Rank, Work
from daos.control.outcomes import Answer, Outcome, Outcomes, Pending, RequestId
from daos.errors import DER, CorruptionError, DaosError, InternalError, InvalidError

ENTRY_BYTES_MAX = 1 << 20
"""Of a log entry: more would hold up heartbeats on a slow network."""
CLIENT_LEN_MAX = 64

S = TypeVar("S", bound="AnyState")


class AnyCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A command of some service."""


class Command(AnyCommand, Generic[S], frozen=True, kw_only=True):
    """A change of a service's state."""

    def run(self, state: S) -> msgspec.Struct | None:
        """Change a state and return the result: a struct, None, or `Pending` for one that comes later.

        Everything is checked before anything is changed.

        Raises:
            DaosError: What it is refused with; the state is as it was.
        """
        raise NotImplementedError


class AnyState(msgspec.Struct, kw_only=True):
    """What the state of every service has.

    Attributes:
        time: Of the newest command; it never goes back.
        outcomes: Of recent requests.
    """

    time: int = 0
    outcomes: Outcomes = msgspec.field(default_factory=Outcomes)

    def check(self) -> None:
        """Compare what the state holds twice; tests call it after each command.

        Raises:
            AssertionError: Two parts of the state contradict each other.
        """


class State(AnyState, Generic[E], kw_only=True):
    """The state of a service with effects.

    Attributes:
        outbox: What is to be carried out.
    """

    outbox: Outbox[E] = msgspec.field(default_factory=Outbox)

    def check(self) -> None:
        """Compare the effects: a rank has one of a subject at most, as its fence would refuse the earlier for ever.

        Raises:
            AssertionError: There are two.
        """
        self.outbox.check()
        seen: set[tuple[str, Rank]] = set()
        for work in self.outbox.works.values():
            new = {(subject, rank) for subject in work.effect.subjects for rank in work.ranks}
            if new & seen:
                raise AssertionError(f"two effects for {min(new & seen)}")
            seen |= new

    def progressed(self, work: Work[E]) -> None:
        """Take notice of ranks that have done, or failed to do, their part of an effect.

        `work.ranks` is empty when all have; then it is out of the outbox.
        """
        raise NotImplementedError

    def may_reach(self, effect: E, rank: Rank) -> bool:
        """Tell whether it is of use to send an effect to a rank now."""
        raise NotImplementedError

    def due(self, now: int) -> Iterator[tuple[str, AnyCommand]]:
        """Yield the commands that time asks for, each with a name for it."""
        raise NotImplementedError

    def dead(self, ranks: dict[Rank, int]) -> AnyCommand | None:
        """Return the command that takes notice of dead ranks, given with their incarnations; None if it is known."""
        raise NotImplementedError


class Confirm(Command[State[E]], Generic[E], frozen=True, kw_only=True, tag="confirm"):
    """Ranks have carried out an effect, or cannot. The driver proposes it; again it changes nothing.

    Attributes:
        work: The effect's number.
        done: Who has done it.
        failed: Who cannot, with the number of the `DER`.
    """

    work: int
    done: tuple[Rank, ...] = ()
    failed: dict[Rank, int] = {}

    def run(self, state: State[E]) -> None:
        """Take the ranks off, and let the service go on."""
        work = state.outbox.confirm(self.work, self.done, self.failed)
        if work is not None:
            state.progressed(work)


class Confirmed(msgspec.Struct, frozen=True, array_like=True):
    """What `Confirm` says of one effect: its number, who has done it, who cannot."""

    work: int
    done: tuple[Rank, ...] = ()
    failed: dict[Rank, int] = {}


class ConfirmAll(Command[State[E]], Generic[E], frozen=True, kw_only=True, tag="confirm_all"):
    """`Confirm` of several effects: what ranks told in the same moment is one entry of the log.

    Attributes:
        works: The effects, by their numbers.
    """

    works: tuple[Confirmed, ...]

    def run(self, state: State[E]) -> None:
        """Take the ranks off, one effect after the other, as it is done alone."""
        for each in self.works:
            work = state.outbox.confirm(each.work, each.done, each.failed)
            if work is not None:
                state.progressed(work)


@dataclass(frozen=True)
class Form(Generic[S]):
    """What makes a service.

    Attributes:
        name: Written into snapshots.
        version: Of its commands and state.
        state: The type of its state; made without arguments it is the initial one.
        commands: The union of its commands.
    """

    name: str
    version: int
    state: type[S]
    commands: object


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """The bytes of an entry; the last field is decoded when the version is known."""

    version: int
    time: int
    client: str
    stamp: int
    command: msgspec.Raw


class _Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """The bytes of a snapshot."""

    version: int
    service: str
    index: int
    state: msgspec.Raw


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What entries and snapshots of all versions begin with."""

    version: int


@dataclass(frozen=True)
class Applied:
    """What an entry led to.

    Attributes:
        answers: Requests that have their outcome now: that of this entry, or of an operation that it ended.
        effects: Numbers of the effects that it put into the outbox and that are there still.
    """

    answers: tuple[Answer, ...]
    effects: tuple[int, ...]


def encode_entry(form: Form[S], time: int, command: AnyCommand, request: RequestId | None = None) -> bytes:
    """Return the log entry of a command.

    Args:
        form: The service's.
        time: The leader's, a stamp of its hybrid logical clock.
        command: What is to happen.
        request: Whose it is; None for the leader's own.

    Raises:
        InvalidError: `DER.INVAL`: the client has no name, or a long one; `DER.REC2BIG`: the command is too long.
    """
    client, stamp = ("", 0) if request is None else (request.client, request.stamp)
    if request is not None and not 1 <= len(client) <= CLIENT_LEN_MAX:
        raise InvalidError("a request has the uuid of its client", hint=f"1 to {CLIENT_LEN_MAX} characters")
    entry = msgspec.msgpack.encode(
        _Entry(form.version, time, client, stamp, msgspec.Raw(msgspec.msgpack.encode(command)))
    )
    if len(entry) > ENTRY_BYTES_MAX:
        raise InvalidError(
            f"a request of {len(entry)} bytes is too long, the most is {ENTRY_BYTES_MAX}",
            code=DER.REC2BIG,
            hint="do it in several requests",
        )
    return entry


class Replica(Generic[S]):
    """One replica of a service. It is driven by one caller at a time.

    Attributes:
        state: What was decided so far; to be read, and changed by `apply` alone.
        index: Of the newest entry that is in the state; 0 for none.
    """

    def __init__(self, form: Form[S]) -> None:
        self.state = form.state()
        self.index = 0
        self._form = form
        self._commands: msgspec.msgpack.Decoder[Command[S]] = msgspec.msgpack.Decoder(form.commands)
        self._broken: DaosError | None = None

    @classmethod
    def restore(cls, form: Form[S], snapshot: bytes) -> Replica[S]:
        """Return the replica of a snapshot.

        Raises:
            CorruptionError: `DER.DF_INVAL`: these bytes are no snapshot of this service.
            InvalidError: `DER.DF_INCOMPT`: written by a newer release.
        """
        replica = cls(form)
        what = f"snapshot of the {form.name} service"
        _check_version(form, snapshot, what)
        try:
            found = msgspec.msgpack.decode(snapshot, type=_Snapshot)
            if found.service != form.name:
                raise CorruptionError(f"a snapshot of the {found.service} service is not a {what}", code=DER.DF_INVAL)
            replica.state = msgspec.msgpack.decode(found.state, type=form.state)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptionError(f"{what}: {error}", code=DER.DF_INVAL) from None
        replica.index = found.index
        return replica

    def snapshot(self) -> bytes:
        """Return the state as bytes, the same on each replica that has applied the same entries."""
        state = msgspec.Raw(msgspec.msgpack.encode(self.state))
        return msgspec.msgpack.encode(_Snapshot(self._form.version, self._form.name, self.index, state))

    def digest(self) -> str:
        """Return what tells two states apart."""
        return hashlib.sha256(msgspec.msgpack.encode(self.state)).hexdigest()

    def find(self, request: RequestId, command: AnyCommand) -> Outcome | None:
        """Return the outcome that a request has already, to answer a repetition without the log; None to propose it."""
        kept = self.state.outcomes.kept.get(f"{request.client}/{request.stamp}")
        same = kept is not None and kept.digest == _digest(msgspec.msgpack.encode(command))
        return kept.outcome if kept is not None and same else None

    def apply(self, index: int, entry: bytes) -> Applied:
        """Apply the next entry of the log.

        Args:
            index: Its place in the log, larger than that of any before; places may be left out.
            entry: As `encode_entry` made it.

        Raises:
            InvalidError: `DER.DF_INCOMPT`: written by a newer release; so on each later call.
            CorruptionError: `DER.DF_INVAL`: these bytes are no entry; so on each later call.
            InternalError: A defect: of a command, or of the log's order; so on each later call.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return self._apply(index, entry)
        except DaosError as error:
            self._broken = error
            raise
        except Exception as error:
            self._broken = InternalError(
                f"entry {index} of the {self._form.name} service: {type(error).__name__}: {error}",
                hint="the replica takes no more entries: report this",
            )
            raise self._broken from error

    def _apply(self, index: int, entry: bytes) -> Applied:
        if index <= self.index:
            raise InternalError(f"entry {index} comes after entry {self.index}")
        time, request, command, digest = self._decode(entry)
        state = self.state
        state.time = max(state.time, time)
        outbox = state.outbox if isinstance(state, State) else Outbox()
        first = outbox.next
        if request is None:
            _run(command, state)
        else:
            try:
                known = state.outcomes.find(request, digest, state.time)
            except DaosError as error:
                state.outcomes.answers.append(Answer(request, Outcome.refused(error)))
            else:
                if known is None:
                    state.outcomes.record(request, digest, _run(command, state), state.time)
                elif isinstance(known, Outcome):
                    state.outcomes.answers.append(Answer(request, known))
        answers, state.outcomes.answers = tuple(state.outcomes.answers), []
        self.index = index
        return Applied(answers, tuple(outbox.since(first)))

    def _decode(self, entry: bytes) -> tuple[int, RequestId | None, Command[S], bytes]:
        what = f"entry of the {self._form.name} service"
        _check_version(self._form, entry, what)
        try:
            found = msgspec.msgpack.decode(entry, type=_Entry)
            command = self._commands.decode(found.command)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptionError(f"{what}: {error}", code=DER.DF_INVAL) from None
        request = RequestId(found.client, found.stamp) if found.client else None
        return found.time, request, command, _digest(bytes(found.command))


def _run(command: Command[S], state: S) -> Outcome | Pending:
    try:
        result = command.run(state)
    except InternalError:
        raise
    except DaosError as error:
        return Outcome.refused(error)
    return result if isinstance(result, Pending) else Outcome.done(result)


def _digest(command: bytes) -> bytes:
    return hashlib.sha256(command).digest()[:16]


def _check_version(form: Form[S], stored: bytes, what: str) -> None:
    try:
        version = msgspec.msgpack.decode(stored, type=_Head).version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptionError(f"{what}: {error}", code=DER.DF_INVAL) from None
    if version > form.version:
        raise InvalidError(
            f"{what} has version {version}, this release knows {form.version}",
            code=DER.DF_INCOMPT,
            hint="use the release that wrote it, or a later one",
        )
