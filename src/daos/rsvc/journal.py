"""A file that begins with a state and goes on with changes of it: a change is durable with one short write.

Each record is the length of its content (4 bytes, little-endian), a CRC-32 of that length, a CRC-32 of the content,
and the content. They follow a mark of eight bytes. A record is durable before the next is written, so that only the
last can be cut short: what a power cut left of it is nothing, but one that is damaged with others behind it an error.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from daos.rsvc.files import write_durably

MARK = b"DAOSLOG\x01"
_HEAD = 12


class DamagedError(Exception):
    """The file is not what was written."""


def _record(content: bytes) -> bytes:
    length = len(content).to_bytes(4, "little")
    return length + crc32(length).to_bytes(4, "little") + crc32(content).to_bytes(4, "little") + content


def _at(data: bytes, at: int) -> bytes | None:
    """Return the content of the record that begins there; None where there is none that is whole."""
    head = data[at : at + _HEAD]
    if len(head) < _HEAD or crc32(head[:4]).to_bytes(4, "little") != head[4:8]:
        return None
    length = int.from_bytes(head[:4], "little")
    content = data[at + _HEAD : at + _HEAD + length]
    return content if len(content) == length and crc32(content).to_bytes(4, "little") == head[8:] else None


def parse(data: bytes) -> tuple[list[bytes], int]:
    """Return the contents of the records of a file, and how many of its bytes they are.

    Raises:
        DamagedError: These are none, or one is damaged that has others behind it.
    """
    if data[: len(MARK)] != MARK:
        raise DamagedError("it has no mark")
    records: list[bytes] = []
    at = len(MARK)
    while (content := _at(data, at)) is not None:
        records.append(content)
        at += _HEAD + len(content)
    if not records:
        raise DamagedError("it has no state")
    if any(_at(data, later) is not None for later in range(at + 1, len(data) - _HEAD + 1)):
        raise DamagedError(f"record {len(records)} is damaged")
    return records, at


def _write(descriptor: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written


class Journal:
    """The file, opened to write changes. One caller at a time.

    Args:
        path: Where it is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._end = 0

    def read(self) -> list[bytes]:
        """Return the state, and the changes after it; the next one is written behind them.

        Raises:
            FileNotFoundError: There is none.
            DamagedError: It is damaged.
            OSError: It cannot be read.
        """
        data = self._path.read_bytes()
        records, end = parse(data)
        self.close()
        self._open(end)
        if end < len(data):
            # Before anything is written there, so that nothing of it is ever behind a whole record.
            os.ftruncate(self._descriptor, end)
            os.fsync(self._descriptor)
        return records

    def begin(self, state: bytes) -> None:
        """Replace the file by a state; at return it is durable.

        Raises:
            OSError: It could not be written; the file is as it was.
        """
        self.close()
        data = MARK + _record(state)
        write_durably(self._path, data)
        self._open(len(data))

    def _open(self, end: int) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._end = end

    @property
    def size(self) -> int:
        """Bytes of the file; 0 where the next change needs a new one."""
        return self._end if self._descriptor >= 0 else 0

    def append(self, change: bytes) -> None:
        """Add a change; at return it is durable.

        Raises:
            OSError: It could not be written, and the file takes no more changes: `begin` makes a new one.
        """
        record = _record(change)
        try:
            _write(self._descriptor, record, self._end)
            os.fdatasync(self._descriptor)
        except OSError:
            # Whether it is there, or what is there, is not known: nothing is written behind it.
            self.close()
            raise
        self._end += len(record)

    def close(self) -> None:
        """Close it. The next change needs `read` or `begin`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
