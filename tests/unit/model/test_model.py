"""Labels, sizes, properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import DER, CorruptionError, InvalidError
from daos.model.labels import check_label, check_reference, is_uuid
from daos.model.properties import CONTAINER_PROPERTIES, ContainerProperties, container_properties
from daos.model.sizes import format_binary, format_size, parse_size
from daos.model.snapshots import Snapshot, check_epoch, check_snapshot_name, parse_epoch

UUID = "6F9619FF-8B86-D011-B42D-00C04FC964FF"


@pytest.mark.parametrize("label", ["a", "A-b_c.d:e9", "x" * 127, "-", "6F9619FF-8B86-D011-B42D"])
def test_labels(label: str) -> None:
    assert check_label(label, "pool") == label
    assert check_reference(label, "pool") == label


def test_a_uuid_names_but_is_no_label() -> None:
    assert is_uuid(UUID)
    assert check_reference(UUID, "pool") == UUID.lower()
    with pytest.raises(InvalidError):
        check_label(UUID, "pool")


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("1k", 1000), ("1KiB", 1024), ("1.5 GB", 1_500_000_000), ("2TiB", 2 << 40), (7, 7)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text, "size") == size


@pytest.mark.parametrize("bad", ["", "x", "1 x", "-1", "1e9", "1..5", None, 1.0, True, 1 << 63, "9999999999PB", "٣"])
def test_bad_sizes(bad: object) -> None:
    with pytest.raises(InvalidError):
        parse_size(bad, "size")


@given(st.integers(0, 1 << 60))
def test_a_printed_size_reads_back_within_its_digit(size: int) -> None:
    for text in (format_size(size), format_binary(size)):
        assert parse_size(text, "size") == pytest.approx(size, rel=0.051)


def test_printed_sizes() -> None:
    assert [format_size(size) for size in (0, 999, 1000, 1_500_000, 10**18)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.5 MB",
        "1000.0 PB",
    ]
    sizes = (5000, 10_200, 32 << 10, 1 << 20)
    assert [format_binary(size) for size in sizes] == ["4.9 KiB", "10 KiB", "32 KiB", "1.0 MiB"]


def test_defaults_and_aliases() -> None:
    assert container_properties(None).values == {name: prop.default for name, prop in CONTAINER_PROPERTIES.items()}
    assert container_properties({"rf": "2", "cksum": "OFF"}, domains=3).values["rd_fac"] == 2
    assert container_properties({"cksum_size": "64KiB"}).values["cksum_size"] == 65536


def test_every_default_is_a_value_it_accepts() -> None:
    for prop in CONTAINER_PROPERTIES.values():
        assert prop.check(prop.default) == prop.default


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"cksum": "md5"}, DER.INVAL),
        ({"srv_cksum": "yes"}, DER.INVAL),
        ({"compression": "lz4"}, DER.NOTSUPPORTED),
        ({"cksum": 1}, DER.INVAL),
        ({"cksum_size": 0}, DER.INVAL),
        ({"cksum_size": "x"}, DER.INVAL),
        ({"rd_fac": -1}, DER.INVAL),
        ({"rd_fac": "one"}, DER.INVAL),
        ({"rd_fac": True}, DER.INVAL),
        ({"rd_fac": 3}, DER.INVAL),
        ({"rd_fac": 0, "rf": 0}, DER.INVAL),
        ({"label": "x"}, DER.INVAL),
        ({"status": "healthy"}, DER.INVAL),
        ({7: 1}, DER.INVAL),
        ({"encryption": "aes-gcm256"}, DER.NOTSUPPORTED),
        ({"dedup": "hash"}, DER.NOTSUPPORTED),
    ],
)
def test_bad_properties(given: dict[str, object], code: DER) -> None:
    with pytest.raises(InvalidError) as caught:
        container_properties(given)
    assert caught.value.code is code
    assert caught.value.hint


def test_the_stored_form_comes_back() -> None:
    properties = container_properties({"cksum": "off"})
    assert ContainerProperties.decode(properties.encode()) == properties


def test_checksums_are_told_by_their_numbers() -> None:
    assert container_properties(None).checksums == (2, 32768, False)
    given = {"cksum": "ADLER32", "cksum_size": "1MiB", "srv_cksum": "on"}
    assert container_properties(given).checksums == (7, 1 << 20, True)
    assert container_properties({"cksum": "crc32c"}) == container_properties({"cksum": "crc32"})


def test_what_the_first_version_stored_has_no_checksums() -> None:
    values = {**container_properties(None).values, "cksum": "crc32c"}
    first = ContainerProperties(version=1, values=values)
    assert ContainerProperties.decode(first.encode()) == container_properties({"cksum": "off"})


def test_an_epoch_tells_its_time() -> None:
    assert Snapshot(0).created == datetime(2021, 1, 1, tzinfo=UTC)
    for logical in (0, 0x3FFFF):
        taken = Snapshot((1 << 34) + logical)
        assert taken.created - Snapshot(0).created == timedelta(microseconds=1_073_741)
    assert repr(Snapshot(1 << 60, "s")) == (
        "<daos.Snapshot 's', epoch 0x1000000000000000, 2023-04-14T23:59:54.037+00:00>"
    )
    assert repr(Snapshot(1 << 60)) == "<daos.Snapshot epoch 0x1000000000000000, 2023-04-14T23:59:54.037+00:00>"


@pytest.mark.parametrize("name", ["a", "after the run", "2026-11-22", "0x", "é" * 64, "x" * 128])
def test_snapshot_names(name: str) -> None:
    assert check_snapshot_name(name) == name


@pytest.mark.parametrize("name", ["", "7", "0x7F", "a\n", "é" * 65, "x" * 129, "\ud800", 7, b"a", None])
def test_bad_snapshot_names(name: object) -> None:
    with pytest.raises(InvalidError) as caught:
        check_snapshot_name(name)
    assert caught.value.hint == "1 to 128 bytes of printable text that is no number"


@pytest.mark.parametrize("epoch", [-1, 1 << 64, True, 1.0, "1", None])
def test_bad_epochs(epoch: object) -> None:
    with pytest.raises(InvalidError, match="invalid epoch"):
        check_epoch(epoch)


def test_epochs_as_words() -> None:
    assert [parse_epoch(word) for word in ("7", "0X1f", "x", "-1", "")] == [7, 31, None, None, None]


def test_a_newer_form_is_named_and_a_broken_one_too() -> None:
    for newer in ({"version": 3, "values": {}}, {"version": 3, "layout": "PYTHON", "values": {}, "more": 1}):
        with pytest.raises(InvalidError) as invalid:
            ContainerProperties.decode(msgspec.msgpack.encode(newer))
        assert invalid.value.code is DER.DF_INCOMPT
    for broken in (b"", b"\xc1", msgspec.msgpack.encode({"version": 1, "values": 7}), msgspec.msgpack.encode([1])):
        with pytest.raises(CorruptionError):
            ContainerProperties.decode(broken)
