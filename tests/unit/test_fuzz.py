"""Fuzzers of what the Python half decodes: names, dtypes, properties. Nothing but our own errors is raised."""

from __future__ import annotations

import numpy as np
import pytest

from daos.client import _dtypes
from daos.client._names import Entry, Kind, ObjectId
from daos.errors import CorruptionError, InvalidError
from daos.model.properties import ContainerProperties, container_properties
from tests.fuzzing import fuzz


def test_entries_of_names() -> None:
    oid = ObjectId(8 << 56, 7)
    corpus = [Entry(oid, kind, extra=extra).encode() for kind in Kind for extra in (b"", b"more")]

    def check(stored: bytes) -> bool:
        try:
            entry = Entry.decode(stored)
        except CorruptionError:
            return False
        assert entry.encode() == stored
        return True

    assert fuzz("name", corpus, check) > 0


def test_dtypes_of_arrays() -> None:
    fields = np.dtype([("a", "<u4"), ("b", "<f8", (2,))])
    corpus = [_dtypes.encode(dtype, bytes(dtype.itemsize)) for dtype in (np.dtype("<f8"), np.dtype("S3"), fields)]
    sizes = sorted({np.dtype("<f8").itemsize, 3, fields.itemsize})

    def check(stored: bytes) -> bool:
        decoded = False
        for size in sizes:
            try:
                dtype, fill = _dtypes.decode(stored, size)
            except CorruptionError:
                continue
            assert dtype.itemsize == len(fill) == size
            again, fill_again = _dtypes.decode(_dtypes.encode(dtype, fill), size)
            assert (again, fill_again) == (dtype, fill)
            decoded = True
        return decoded

    assert fuzz("dtype", corpus, check) > 0


def test_properties_of_containers() -> None:
    corpus = [container_properties(None).encode(), container_properties({"cksum": "off"}).encode()]

    def check(stored: bytes) -> bool:
        try:
            properties = ContainerProperties.decode(stored)
        except (CorruptionError, InvalidError):
            return False
        assert ContainerProperties.decode(properties.encode()) == properties
        return True

    assert fuzz("properties", corpus, check) > 0


def test_a_planted_mistake_is_found_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAOS_FUZZ_SEED", "1")

    def check(data: bytes) -> bool:
        return data[0] < 0xFF or bool(1 // 0)

    with pytest.raises((ZeroDivisionError, IndexError)) as raised:
        fuzz("planted", [b"\x01"], check)
    assert "seed 1, execution" in raised.value.__notes__[0]
    with pytest.raises(AssertionError, match="does not decode"):
        fuzz("planted", [b"\x01"], lambda _: False)
