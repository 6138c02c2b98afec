"""A file of a state and its changes: each cut of it is found as it was before, each damage is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daos.rsvc.journal import MARK, DamagedError, Journal, parse

RECORDS = [b"state", b"", b"change " * 9, b"\x00" * 40, b"last"]


def written(path: Path) -> bytes:
    journal = Journal(path)
    journal.begin(RECORDS[0])
    for record in RECORDS[1:]:
        journal.append(record)
    journal.close()
    return path.read_bytes()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "j"
    data = written(path)
    assert parse(data) == (RECORDS, len(data))
    journal = Journal(path)
    assert journal.size == 0
    assert journal.read() == RECORDS
    assert journal.size == len(data)
    journal.append(b"more")
    assert Journal(path).read() == [*RECORDS, b"more"]
    journal.begin(b"anew")
    assert Journal(path).read() == [b"anew"]
    journal.close()


def test_a_record_that_was_cut_short_is_nothing_and_the_next_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "j"
    data = written(path)
    last = len(data) - 12 - len(RECORDS[-1])
    for length in range(last, len(data)):
        # A power cut leaves the front of it, or its length without its bytes.
        for rest in (b"", bytes(len(data) - length)):
            path.write_bytes(data[:length] + rest)
            journal = Journal(path)
            assert journal.read() == RECORDS[:-1]
            assert path.stat().st_size == last, "what is left of it could be taken for one later"
            journal.append(b"!")
            assert parse(path.read_bytes())[0] == [*RECORDS[:-1], b"!"]
            journal.close()


def test_each_flipped_bit_before_the_last_record_is_seen(tmp_path: Path) -> None:
    data = written(tmp_path / "j")
    last = len(data) - 12 - len(RECORDS[-1])
    for at in range(last):
        for bit in (0, 7):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            with pytest.raises(DamagedError):
                parse(bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"DAOS", MARK, MARK + bytes(100)])
def test_what_is_no_journal(data: bytes) -> None:
    with pytest.raises(DamagedError):
        parse(data)


def test_behind_a_write_that_failed_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    with pytest.raises(FileNotFoundError):
        journal.read()
    journal.begin(b"state")

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output"):
            journal.append(b"lost")
    assert journal.size == 0
    with pytest.raises(OSError, match="descriptor"):
        journal.append(b"behind it")
    journal.begin(b"state 2")
    journal.append(b"more")
    assert Journal(path).read() == [b"state 2", b"more"]
    journal.close()
