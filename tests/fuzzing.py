"""A seeded fuzzer for decoders in Python, as `rust/fuzz` is for those in Rust: see `docs/internals/fuzzing.md`."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SMOKE_S = 0.1
KEPT_MAX = 256
AWKWARD = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)


def _mutated(luck: random.Random, kept: Sequence[bytes]) -> bytes:
    """Return one of the inputs with a few changes."""
    data = bytearray(luck.choice(kept))
    for _ in range(luck.randint(1, 5)):
        at = luck.randrange(len(data) + 1)
        match luck.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << luck.randrange(8)
            case 1:
                width = luck.choice((1, 2, 4, 8))
                number = luck.choice(AWKWARD) & ((1 << 8 * width) - 1)
                data[at : at + width] = number.to_bytes(width, luck.choice(("little", "big")))
            case 2:
                del data[at : at + luck.randint(1, 8)]
            case 3:
                data[at:at] = luck.randbytes(luck.randint(1, 8))
            case _:
                other = luck.choice(kept)
                start = luck.randrange(len(other) + 1)
                data[at : at + 8] = other[start : start + luck.randint(1, 16)]
    return bytes(data)


def fuzz(name: str, corpus: Sequence[bytes], check: Callable[[bytes], bool]) -> int:
    """Run a check on mutations of a corpus; return how many decoded.

    The check decodes, asserts what must hold, and returns whether the input was decoded. What it raises is passed on,
    with the seed and the input as a note.
    """
    text = os.environ.get("DAOS_FUZZ_SECONDS")
    seed = int(os.environ.get("DAOS_FUZZ_SEED") or (time.time_ns() if text else 1))
    luck, kept = random.Random(seed), list(corpus)  # noqa: S311 -- to be repeated
    assert all(map(check, corpus)), f"fuzz {name}: the corpus holds what does not decode"
    started, executions, decoded = time.monotonic(), 0, 0
    while time.monotonic() - started < float(text or SMOKE_S):
        data = _mutated(luck, kept)
        executions += 1
        try:
            good = check(data)
        except BaseException as error:
            error.add_note(f"fuzz {name}: seed {seed}, execution {executions}, input {data.hex()}")
            raise
        decoded += good
        if good and len(kept) < len(corpus) + KEPT_MAX:
            kept.append(data)
        elif good:
            kept[len(corpus) + luck.randrange(KEPT_MAX)] = data
    rate = executions / (time.monotonic() - started)
    print(f"fuzz {name}: seed {seed}, {executions} executions, {rate:.0f}/s, {decoded} decoded")  # noqa: T201 -- told on demand
    return decoded
