"""What requests led to, so that one that comes twice happens once."""

from __future__ import annotations

import heapq
from typing import TypeAlias, TypeVar

import msgspec

from daos.errors import DER, DaosError, InvalidError, UnavailableError, UncertainError, error_from_der

SECOND = 16_000_000_000
"""Ticks of a stamp of the hybrid logical clock in a second."""
KEPT_MAX = 4096
"""Outcomes that a state keeps: some megabytes, where each has its message."""
KEPT_BYTES_MAX = 16 << 20
"""Of their results and messages: they are in each snapshot of the service."""
KEPT_TICKS_MAX = 300 * SECOND
"""How long an outcome is kept (DAOS: `svc_ops_entry_age`)."""
AHEAD_TICKS_MAX = 60 * SECOND
"""How far a client's clock may be ahead of the leader's."""

Facts: TypeAlias = dict[str, str | int]
R = TypeVar("R")


class RequestId(msgspec.Struct, frozen=True, array_like=True):
    """What tells a request from all others, and is kept for its repetitions.

    Attributes:
        client: The client's uuid.
        stamp: Of the client's hybrid logical clock; larger for each request.
    """

    client: str
    stamp: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request led to. `value` gives the result or raises the refusal.

    Attributes:
        code: A number of `DER`; 0 if it was done.
        message: Why it was refused.
        hint: What the caller can do about it.
        context: Facts of a refusal.
        result: The result, as msgpack; empty for none.
    """

    code: int = 0
    message: str = ""
    hint: str | None = None
    context: Facts = {}
    result: bytes = b""

    @property
    def size(self) -> int:
        """Bytes by which the limit of the table is counted."""
        return len(self.result) + len(self.message)

    @classmethod
    def done(cls, result: msgspec.Struct | None = None) -> Outcome:
        """Return the outcome of what was done."""
        return cls(result=b"" if result is None else msgspec.msgpack.encode(result))

    @classmethod
    def refused(cls, error: DaosError) -> Outcome:
        """Return the outcome of what was refused. Of its facts, numbers and texts are kept."""
        facts: Facts = {name: fact for name, fact in error.context.items() if isinstance(fact, str | int)}
        return cls(code=error.code.value, message=error.message, hint=error.hint, context=facts)

    def check(self) -> None:
        """Return if it was done.

        Raises:
            DaosError: What it was refused with.
        """
        if self.code:
            raise error_from_der(self.code, self.message, self.hint, self.context)

    def value(self, result: type[R]) -> R:
        """Return the result.

        Raises:
            DaosError: What the request was refused with.
        """
        self.check()
        return msgspec.msgpack.decode(self.result, type=result)


class Answer(msgspec.Struct, frozen=True):
    """An outcome, and whose it is."""

    request: RequestId
    outcome: Outcome


class Pending(msgspec.Struct, frozen=True):
    """The result of a command that begins an operation: its request is answered by `Outcomes.finish`.

    Attributes:
        operation: Names the operation among all that are under way in the state.
    """

    operation: str


class Kept(msgspec.Struct):
    """A request that was carried out.

    Attributes:
        request: Its id.
        digest: Of its command, to tell another one under the same id.
        outcome: None while its operation is under way.
    """

    request: RequestId
    digest: bytes
    outcome: Outcome | None


class Outcomes(msgspec.Struct):
    """The table of outcomes, a part of a service's state.

    Attributes:
        floor: The largest stamp that was forgotten.
        kept: By client and stamp.
        order: A heap of the stamps of `kept`.
        size: Bytes of what is kept.
        pending: Operation to the request that it answers.
        answers: Of the command that is being applied; taken off when it has been.
    """

    floor: int = 0
    kept: dict[str, Kept] = msgspec.field(default_factory=dict)
    order: list[tuple[int, str]] = msgspec.field(default_factory=list)
    size: int = 0
    pending: dict[str, RequestId] = msgspec.field(default_factory=dict)
    answers: list[Answer] = msgspec.field(default_factory=list)

    def find(self, request: RequestId, digest: bytes, time: int) -> Outcome | Pending | None:
        """Return what is known of a request: its outcome, that it is under way, or None for a new one.

        Raises:
            InvalidError: `DER.INVAL`: the id stands for another command.
            UncertainError: `DER.TX_ID_REUSED`: too old to tell.
            UnavailableError: `DER.HLC_SYNC`: the client's clock is too far ahead.
        """
        kept = self.kept.get(_key(request))
        if kept is not None:
            if kept.digest != digest:
                raise InvalidError(
                    "the id of this request is another request's", hint="take a new stamp for each request"
                )
            return Pending("") if kept.outcome is None else kept.outcome
        floor = max(self.floor, time - KEPT_TICKS_MAX)
        if request.stamp <= floor:
            raise UncertainError(
                "the request is too old to tell whether it was done before",
                code=DER.TX_ID_REUSED,
                hint="look at what is there; a new request needs a stamp above context['floor']",
                context={"floor": floor, "stamp": request.stamp},
            )
        if request.stamp > time + AHEAD_TICKS_MAX:
            raise UnavailableError(
                f"the client's clock is {(request.stamp - time) // SECOND} s ahead of the service's",
                code=DER.HLC_SYNC,
                hint=f"set it: {AHEAD_TICKS_MAX // SECOND} s are borne with",
                context={"stamp": request.stamp, "time": time},
            )
        return None

    def record(self, request: RequestId, digest: bytes, outcome: Outcome | Pending, time: int) -> None:
        """Keep what a new request led to, and answer it unless its operation is under way."""
        key = _key(request)
        if isinstance(outcome, Pending):
            self.pending[outcome.operation] = request
            self.kept[key] = Kept(request, digest, None)
        else:
            self.kept[key] = Kept(request, digest, outcome)
            self.size += outcome.size
            self.answers.append(Answer(request, outcome))
        heapq.heappush(self.order, (request.stamp, key))
        while (
            len(self.order) > KEPT_MAX
            or (self.size > KEPT_BYTES_MAX and len(self.order) > 1)
            or self.order[0][0] <= time - KEPT_TICKS_MAX
        ):
            self.floor, oldest = heapq.heappop(self.order)
            forgotten = self.kept.pop(oldest).outcome
            self.size -= 0 if forgotten is None else forgotten.size

    def finish(self, operation: str, outcome: Outcome) -> None:
        """End an operation: answer the request that began it, if a request did."""
        request = self.pending.pop(operation, None)
        if request is None:
            return
        self.answers.append(Answer(request, outcome))
        kept = self.kept.get(_key(request))
        if kept is not None:
            kept.outcome = outcome
            self.size += outcome.size


def _key(request: RequestId) -> str:
    return f"{request.client}/{request.stamp}"
