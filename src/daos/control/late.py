"""What is told of ranks that have not done their part of something."""

from __future__ import annotations

from collections.abc import Iterable

from daos.errors import TimedOutError

NAMED_MAX = 8
"""Of more ranks the number is told."""


def named(ranks: Iterable[int]) -> str:
    """Return ranks as a sentence names them, such as `ranks 1, 4 and 5`."""
    numbers = [str(rank) for rank in sorted(ranks)]
    if len(numbers) > NAMED_MAX:
        return f"ranks {', '.join(numbers[:NAMED_MAX])} and {len(numbers) - NAMED_MAX} more"
    if len(numbers) > 1:
        return f"ranks {', '.join(numbers[:-1])} and {numbers[-1]}"
    return f"rank {numbers[0]}" if numbers else "no rank"


def have_not(ranks: Iterable[int]) -> str:
    """Return who has not done something, and the verb."""
    late = list(ranks)
    return f"{named(late)} {'has' if len(late) == 1 else 'have'} not"


def too_late(what: str, ranks: Iterable[int], seconds: int, hint: str) -> TimedOutError:
    """Return what is told of an operation that is taken back as ranks did not answer.

    Args:
        what: That is not there, such as `the pool was not made`.
        ranks: Who did not answer.
        seconds: That were waited.
        hint: What to do next.
    """
    late = sorted(ranks)
    context: dict[str, object] = {"ranks": ", ".join(map(str, late)), "waited_s": seconds}
    if late:
        context["rank"] = late[0]
    return TimedOutError(f"{what}: {named(late)} did not answer within {seconds} s", hint=hint, context=context)
