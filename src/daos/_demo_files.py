"""What the main job stores, and how: files as entries of key-value stores, and rows of the Earth's land mask."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from daos.errors import DataLossError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daos.client import KV, Container

__all__ = ["FileStore", "batches", "contents", "digest", "mask_rows", "tree"]

SKIPPED = frozenset({".git", ".hypothesis", ".venv", "__pycache__", "dist", "dist-packages", "site-packages", "target"})
SKIPPED_ENDS = ("_cache", ".daos", ".egg-info")
PART_BYTES = 3 << 20
"""Bytes of a value and of a part of a longer file: a store refuses four MiB (`DER.REC2BIG`)."""
BATCH_BYTES = 4 << 20
"""Bytes after which a batch is full, however few entries it has."""
MASK_FILE = "globe_combined_mask_compressed.npz"


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


def mask_rows(first: int, number: int) -> Iterator[tuple[int, bytes]]:
    """Yield index and bytes of rows of the Earth's land mask, a byte a cell, without unpacking what follows them.

    Raises:
        NotFoundError: The data set is not installed.
    """
    spec = importlib.util.find_spec("global_land_mask")
    if spec is None or spec.origin is None:
        raise NotFoundError("global-land-mask is not installed", hint="pip install global-land-mask")
    with zipfile.ZipFile(Path(spec.origin).with_name(MASK_FILE)) as archive, archive.open("mask.npy") as stream:
        np.lib.format.read_magic(stream)
        (_, columns), _, _ = np.lib.format.read_array_header_1_0(stream)
        stream.seek(first * columns, os.SEEK_CUR)
        for index in range(first, first + number):
            yield index, stream.read(columns)


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
