"""A device that fills up, in a mount namespace of its own: run as `unshare -Urm python -m tests.full_device PLACE`.

Mounts a small tmpfs on PLACE and works on it by the SDK. What changes something is done by child processes, which
print what they were told is stored and are killed where they stand. Every step asserts; it prints figures, a line a
step.
"""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import daos

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = 96 << 20
SIZES = (100, 4_000, 60_000, 300_000)
BLOCK = 1 << 16
"""Cells of a block of the array, a byte each."""
BLOCK_EVERY = 8
NUMBERS = 1_000_000
Held: TypeAlias = "dict[int, int]"
"""The content of each key: the generation that wrote it."""


def content(number: int, generation: int) -> bytes:
    """Return what a generation stores under a number."""
    seed = hashlib.sha256(b"%d %d" % (number, generation)).digest()
    size = SIZES[seed[0] % len(SIZES)]
    return (seed * (size // len(seed) + 1))[:size]


def block_of(number: int, generation: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return what a generation writes to a block of the array."""
    return np.frombuffer(content(number, generation)[:1] * BLOCK, np.uint8)


def open_both(path: str) -> tuple[daos.Pool, daos.KV[int], daos.Array]:
    """Return the system's pool, and what is filled in it."""
    pool = daos.open(path)
    cont = pool.container("c", create=True)
    return pool, cont.kv("k", create=True, keys="int"), cont.array("a", "u1", create=True)


def put(path: str, generation: int) -> None:
    """Child: put numbers, some with a block of the array, until there is no room; tell each that is stored."""
    _, kv, array = open_both(path)
    try:
        for number in range(NUMBERS):
            kv[number] = content(number, generation)
            print("put", number, flush=True)
            if number % BLOCK_EVERY == 0:
                array.write(number // BLOCK_EVERY * BLOCK, block_of(number, generation))
                print("block", number, flush=True)
    except daos.NoSpaceError as error:
        if "delete what is not needed" in (error.hint or ""):
            print("full", flush=True)
    sys.stdin.read()


def remove(path: str, first: int, step: int) -> None:
    """Child: remove numbers one by one; tell each that is gone."""
    _, kv, _ = open_both(path)
    for number in range(first, NUMBERS, step):
        if kv.get(number) is None:
            break
        del kv[number]
        print("gone", number, flush=True)
    print("done", flush=True)
    sys.stdin.read()


@dataclass
class Device:
    """The small device, a system on it, and what its users were told.

    Attributes:
        place: Where it is mounted.
        held: Keys that are acknowledged.
        blocks: Blocks of the array that are acknowledged.
        unsure: The number that a killed child was at: it may be as before or as it was to be.
    """

    place: Path
    held: Held = field(default_factory=dict)
    blocks: Held = field(default_factory=dict)
    unsure: int | None = None

    @property
    def path(self) -> Path:
        """The directory of the system."""
        return self.place / "x.daos"

    @property
    def free(self) -> int:
        """Bytes that the device offers."""
        stat = os.statvfs(self.place)
        return stat.f_bavail * stat.f_frsize

    def run(self, act: str, *numbers: int, kill_at: int | None = None, ballast_at: int | None = None) -> int:
        """Run a child until it says that it is done, or has said so much, and kill it; return how much it said.

        Where it has said as much as `ballast_at`, somebody else takes all that the device has.
        """
        words = [sys.executable, "-m", "tests.full_device", act, str(self.path), *map(str, numbers)]
        said = 0
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            word = ""
            for line in child.stdout or ():
                word, _, number = line.strip().partition(" ")
                if word in {"full", "done"}:
                    break
                self._told(word, int(number), numbers)
                said += 1
                if said == ballast_at:
                    self.take_all()
                if said == kill_at:
                    break
            assert child.poll() is None, f"{act} ended by itself"
            child.kill()
            # What it said before it was killed was promised as well.
            for line in child.stdout or ():
                word, _, number = line.strip().partition(" ")
                if number:
                    self._told(word, int(number), numbers)
                    said += 1
        return said

    def _told(self, word: str, number: int, numbers: tuple[int, ...]) -> None:
        if word == "put":
            self.held[number] = numbers[0]
        elif word == "block":
            self.blocks[number] = numbers[0]
        else:
            del self.held[number]
        self.unsure = number + (numbers[1] if word == "gone" else 1)

    def check(self, generation: int) -> None:
        """Compare all that is there with what was promised."""
        pool, kv, array = open_both(str(self.path))
        with pool:
            found = dict(kv.items())
            unsure = found.pop(self.unsure, None) if self.unsure is not None else None
            held = {number: of for number, of in self.held.items() if number != self.unsure}
            assert found.keys() == held.keys()
            for number, of in held.items():
                assert found[number] == content(number, of), f"{number} of generation {of}"
            if self.unsure is not None:
                before = self.held.get(self.unsure)
                allowed = {content(self.unsure, generation), None if before is None else content(self.unsure, before)}
                assert unsure in allowed | {None}, f"{self.unsure} is half there"
                if unsure is not None:
                    self.held[self.unsure] = generation if unsure == content(self.unsure, generation) else before or 0
                else:
                    self.held.pop(self.unsure, None)
                self.unsure = None
            last = max(self.blocks)
            for number, of in self.blocks.items():
                start = number // BLOCK_EVERY * BLOCK
                # The block behind the last one told may be there.
                expected = block_of(number, of)
                got = array[start : start + BLOCK]
                assert np.array_equal(got, expected) or (
                    number == last + BLOCK_EVERY and np.array_equal(got, block_of(number, generation))
                )
            assert not pool.container("c").check().damaged

    @property
    def ballast(self) -> Path:
        """What somebody else has on the device."""
        return self.place / "ballast"

    def take_all(self) -> None:
        """Let somebody else take all that the device has."""
        with self.ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue


def steps(device: Device) -> Iterator[tuple[str, object]]:
    """Fill it, empty it, fill it by others; yield figures."""
    first = device.run("put", 1)
    yield "first", first
    yield "left at the first refusal", device.free
    assert device.free < DEVICE // 3
    device.check(1)

    yield "removed before a kill", device.run("remove", 0, 2, kill_at=len(device.held) // 4)
    device.check(1)
    yield "removed", device.run("remove", 1, 2)
    device.check(1)
    for number in list(device.held):
        if number % 4 == 2:
            _delete(device, number)
    device.check(1)

    # Over what is left, and beyond: about as much fits as at the first time.
    again = device.run("put", 2)
    yield "again", again
    assert again > first / 2
    device.check(2)

    # Somebody else takes the device while there is much to be written.
    yield "removed", device.run("remove", 0, 1)
    yield "put before there is nothing left", device.run("put", 3, ballast_at=80)
    # What was given back meanwhile goes the same way.
    device.take_all()
    assert device.free < 1 << 16
    device.check(3)
    yield "put beside the ballast", device.run("put", 3)
    device.check(3)
    device.ballast.unlink()
    yield "removed", device.run("remove", 0, 1)
    device.check(3)
    third = device.run("put", 4)
    yield "third", third
    assert third > first / 2
    device.check(4)

    another_container(device, third // 2)
    yield "put in another container", third // 2

    # Nobody can write to it any more, which is told. No handle is left: it would keep files open.
    gc.collect()
    subprocess.run(["mount", "-o", "remount,ro", device.place], check=True)
    refused = [_refusal(path) for path in (device.path, device.place / "new")]
    assert refused == ["choose a place that can be written to"] * 2
    yield "refused on a device to be read only", len(refused)


def another_container(device: Device, numbers: int) -> None:
    """Destroy the container, and put as much as that into another one."""
    # It goes at once; what it held comes back while the system is open, also for what tables hold.
    with daos.open(device.path) as pool:
        pool.destroy_container("c")
        cont = pool.container("d", create=True)
        cont.snapshot("s")
        cont.attributes["a"] = bytes(1000)
        pool.system.create_pool("other")
        kv = cont.kv("k", create=True, keys="int")
        for number in range(numbers):
            kv[number] = content(number, 4)
    with daos.open(device.path) as pool:
        kv = pool.container("d").kv("k", keys="int")
        assert dict(kv.items()) == {number: content(number, 4) for number in range(numbers)}


def _refusal(path: Path) -> str | None:
    """Return the hint with which a system is not opened."""
    try:
        daos.open(path).close()
    except daos.AccessError as error:
        return error.hint
    return None


def _delete(device: Device, number: int) -> None:
    pool, kv, _ = open_both(str(device.path))
    with pool:
        del kv[number]
    del device.held[number]


def main() -> None:
    """Mount, and go through the steps."""
    if sys.argv[1] in {"put", "remove"}:
        act = {"put": put, "remove": remove}[sys.argv[1]]
        act(sys.argv[2], *map(int, sys.argv[3:]))  # type: ignore[operator]
        return
    place = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DEVICE}", "tmpfs", place], check=True)
    for what, figure in steps(Device(place)):
        print(f"{what}: {figure}", flush=True)


if __name__ == "__main__":
    main()
