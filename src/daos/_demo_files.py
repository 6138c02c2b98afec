"""What the main job stores of files, and how: contents as entries of key-value stores, facts in an object."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from daos.client import Extent, Range
from daos.errors import DataLossError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt

    from daos.client import KV, Container, Object

__all__ = ["FactStore", "Facts", "FileStore", "batches", "contents", "digest", "tree"]

SKIPPED = frozenset({".git", ".hypothesis", ".venv", "__pycache__", "dist", "dist-packages", "site-packages", "target"})
SKIPPED_ENDS = ("_cache", ".daos", ".egg-info")
PART_BYTES = 3 << 20
"""Bytes of a value and of a part of a longer file: a store refuses four MiB (`DER.REC2BIG`)."""
BATCH_BYTES = 4 << 20
"""Bytes after which a batch is full, however few entries it has."""


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


# --- what goes in


def project() -> Path:
    """Return the root of this project's sources: the checkout, or the installed package where there is none."""
    package = Path(__file__).resolve().parent
    checkout = package.parent.parent
    return checkout if (checkout / "rust").is_dir() and (checkout / "pyproject.toml").is_file() else package


def walk(root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield key and path of each regular file under a folder, without caches, builds and systems."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.endswith(SKIPPED_ENDS))
        for name in sorted(set(names) - SKIPPED):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield f"{prefix}/{path.relative_to(root).as_posix()}", path


def tree(files_max: int) -> dict[str, Path]:
    """Return files by their keys: this project's, and those of Python's library; of too many, some, spread evenly."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = [*walk(project(), "daos"), *walk(library, "python")]
    return dict(files[:: -(-len(files) // files_max)])


def contents(files: Mapping[str, Path], mark: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield key and content of each file that is still there, with a line added if there is a mark."""
    end = f"\n# {mark}\n".encode() if mark else b""
    for key, path in files.items():
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # an editor's, gone since the folder was listed
        yield key, data + end


def batches(items: Iterable[tuple[str, bytes]], entries_max: int) -> Iterator[list[tuple[str, bytes]]]:
    """Yield lists of at most so many items, and of no more bytes than a batch should have but for its last item."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for key, data in items:
        batch.append((key, data))
        size += len(data)
        if len(batch) == entries_max or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


# --- how files are stored


class Manifest(msgspec.Struct):
    """The entry of a file that is no value by itself.

    Attributes:
        size: Bytes of the file.
        sha256: Of the whole file; names the parts, so that those of two versions are never mixed.
        parts: Their number.
    """

    size: int
    sha256: str
    parts: int


MAGIC = b"\x89daos demo manifest\n"


class FileStore:
    """Files in two key-value stores of a container.

    In `files` each has one entry: its content; of a file that is long, or looks like a manifest, a manifest.
    What belongs to a manifest is in `parts`, stored before it, so that whatever dies, a file is old or new.
    """

    def __init__(self, container: Container, *, create: bool = False) -> None:
        self.files: KV[str] = container.kv("files", create=create, keys="str")
        self.parts: KV[str] = container.kv("parts", create=create, keys="str")

    def put(self, batch: list[tuple[str, bytes]]) -> None:
        """Store files; they are durable, and the parts of what they replace are gone, when this returns."""
        former = self.files.get_many(key for key, _ in batch)
        self.files.put_many([(key, self._value(key, data)) for key, data in batch])
        for key, value in former.items():
            self._drop(key, value)

    def read(self, keys: Iterable[str]) -> list[tuple[str, bytes | None]]:
        """Return the contents of files, None for those that are not there."""
        return [(key, self._content(key, value)) for key, value in self.files.get_many(keys).items()]

    def remove(self, key: str) -> None:
        """Remove a file."""
        former = self.files.get(key)
        del self.files[key]
        self._drop(key, former)

    def _value(self, key: str, data: bytes) -> bytes:
        if len(data) <= PART_BYTES and not data.startswith(MAGIC):
            return data
        parts = range(0, len(data), PART_BYTES)
        manifest = Manifest(len(data), digest(data), len(parts))
        pieces = (data[start : start + PART_BYTES] for start in parts)
        self.parts.put_many(zip(part_keys(key, manifest), pieces, strict=True))
        return MAGIC + msgspec.json.encode(manifest)

    def _content(self, key: str, value: bytes | None) -> bytes | None:
        manifest = manifest_of(value)
        if manifest is None:
            return value
        pieces = self.parts.get_many(part_keys(key, manifest))
        lost = [name for name, piece in pieces.items() if piece is None]
        if lost:
            raise DataLossError(f"{lost[0]} is not there, but its manifest is", context={"key": key})
        return b"".join(piece for piece in pieces.values() if piece is not None)

    def _drop(self, key: str, former: bytes | None) -> None:
        """Remove the parts of an entry that was replaced, unless the new one has the same."""
        manifest = manifest_of(former)
        if manifest is not None and former != self.files.get(key):
            for name in part_keys(key, manifest):
                self.parts.remove(name)


def manifest_of(value: bytes | None) -> Manifest | None:
    """Return the manifest that a value is, if it is one."""
    if value is None or not value.startswith(MAGIC):
        return None
    return msgspec.json.decode(value[len(MAGIC) :], type=Manifest)


def part_keys(key: str, manifest: Manifest) -> list[str]:
    """Return the keys of the parts of a file."""
    return [f"{key}@{manifest.sha256[:16]}/{number:05}" for number in range(manifest.parts)]


# --- how facts are stored


@dataclass(frozen=True)
class Facts:
    """What is known of a file.

    Attributes:
        size: Its bytes.
        sha256: Of its content.
        starts: Behind each end of a line, the offset: any line is found without reading the others.
    """

    size: int
    sha256: str
    starts: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, data: bytes) -> Facts:
        """Return the facts of a content."""
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        return cls(len(data), digest(data), (ends + 1).astype(np.uint32))

    @property
    def stored_bytes(self) -> int:
        """The bytes of all its values."""
        return len(str(self.size)) + len(self.sha256) + len(str(self.starts.size)) + self.starts.nbytes

    def sum(self) -> str:
        """Return the SHA-256 of all of them."""
        return digest(f"{self.size} {self.sha256} {self.starts.size} ".encode() + self.starts.tobytes())


class FactStore:
    """Facts of files in one object: the dkey is the file, the akeys are `size`, `sha256`, `lines` and `starts`.

    `starts` is an array of records, of which a file that grew gets the new ones only; the others are single values.
    All akeys of a file change at one moment.
    """

    def __init__(self, container: Container, *, create: bool = False) -> None:
        self.object: Object = container.object("facts", create=create)

    def put(self, key: str, facts: Facts, known: int = 0) -> None:
        """Store the facts of a file; durable when this returns.

        Args:
            key: The file.
            facts: All of them.
            known: How many of the first starts are stored already.
        """
        new = facts.starts[known:]
        self.object.update(
            key,
            {"starts": Extent(known, new)} if new.size else {},
            size=b"%d" % facts.size,
            sha256=facts.sha256.encode(),
            lines=b"%d" % facts.starts.size,
        )

    def read(self, key: str) -> Facts | None:
        """Return the facts of a file, None if there are none."""
        found = self.object.fetch(key, "size", "sha256", "lines")
        if not found:
            return None
        size, sha256, lines = (bytes(found[name]).decode() for name in ("size", "sha256", "lines"))
        count = int(lines)
        starts = self.object.fetch(key, starts=Range(0, count, dtype="u4"))["starts"] if count else np.empty(0, "u4")
        return Facts(int(size), sha256, np.asarray(starts))
