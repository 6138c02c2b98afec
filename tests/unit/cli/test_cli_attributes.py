"""The tool's commands for attributes and properties, of pools and of containers, over the fake core."""

from __future__ import annotations

import pytest

from tests.cli_tool import Tool
from tests.fake_core import FakeDisk

OF = [("pool", "tank", "tank"), ("container", "tank run7", "run7")]


@pytest.fixture
def attributed(made: Tool) -> Tool:
    """As `made`, with two attributes on the pool and on the container."""
    made("pool", "set-attr", "tank", "a:1,long-name:x:y")
    made("container", "set-attr", "tank", "run7", "a:1,long-name:x:y")
    return made


@pytest.mark.parametrize(("kind", "words", "label"), OF)
def test_attributes_as_text(attributed: Tool, kind: str, words: str, label: str) -> None:
    def said(verb: str, *more: str) -> str:
        result = attributed(kind, verb, *words.split(), *more)
        assert (result.status, result.errors) == (0, "")
        return result.text

    head = f"Attributes for {kind} {label}:\n"
    values = "Name      Value \n----      ----- \na         1     \nlong-name x:y   \n"
    assert said("list-attr") == f"{head}Name      \n----      \na         \nlong-name \n"
    assert said("list-attr", "-V") == said("get-attr") == head + values
    assert said("get-attr", "a") == said("get-attr", "-a", "a") == f"{head}Name Value \n---- ----- \na    1     \n"
    done = f'Attributes successfully set on {kind} "{label}"\n'
    assert said("set-attr", "b:2,a:3") == said("set-attr", "--attr", "b,c", "--value", "") == done
    assert said("get-attr", "b").endswith("b    2     \n")
    gone = f'Attribute(s) a,b,nope successfully deleted on {kind} "{label}"\n'
    assert said("del-attr", "a,b,nope") == said("del-attr", "a,b,nope") == gone
    said("del-attr", "-a", "b,c")
    said("del-attr", "long-name")
    assert said("list-attr") == said("list-attr", "-V") == said("get-attr") == f"{head}  No attributes found.\n"


@pytest.mark.parametrize(("kind", "words", "label"), OF)
def test_attributes_as_json(attributed: Tool, kind: str, words: str, label: str) -> None:
    def said(verb: str, *more: str) -> object:
        result = attributed(kind, verb, *words.split(), *more, "--json")
        assert (result.status, result.errors) == (0, "")
        return result.json["response"]

    assert said("list-attr") == ["a", "long-name"]
    assert said("list-attr", "-V") == {"a": "MQ==", "long-name": "eDp5"}
    assert said("get-attr", "a") == {"name": "a", "value": "MQ=="}
    every = [{"name": "a", "value": "MQ=="}, {"name": "long-name", "value": "eDp5"}]
    assert said("get-attr") == said("get-attr", "a,long-name") == every
    assert said("set-attr", "a:2") is None
    assert said("del-attr", "a,long-name") is None
    assert said("list-attr") == said("get-attr") == []


def test_properties_of_a_container(made: Tool) -> None:
    text = made("cont", "get-prop", "tank", "run7").text
    assert text == (
        "Properties for container run7\n"
        "Name                                Value   \n"
        "----                                -----   \n"
        "Checksum (cksum)                    crc64   \n"
        "Checksum Chunk Size (cksum_size)    32 KiB  \n"
        "Compression (compression)           off     \n"
        "Deduplication (dedup)               off     \n"
        "Dedup Threshold (dedup_threshold)   4.0 KiB \n"
        "EC Cell Size (ec_cell_sz)           128 KiB \n"
        "Encryption (encryption)             off     \n"
        "Label (label)                       run7    \n"
        "Layout Type (layout_type)           PYTHON  \n"
        "Redundancy Factor (rd_fac)          0       \n"
        "Redundancy Level (rd_lvl)           node    \n"
        "Scrubbing Disabled (scrub_disabled) false   \n"
        "Server Checksumming (srv_cksum)     off     \n"
        "Health (status)                     HEALTHY \n"
    )
    response = made("cont", "get-prop", "tank", "run7", "rd_fac,cksum_size", "-j").json["response"]
    assert response == [
        {"value": "0", "name": "rd_fac", "description": "Redundancy Factor"},
        {"value": 32768, "name": "cksum_size", "description": "Checksum Chunk Size"},
    ]
    assert made("cont", "get-prop", "tank", "run7", "--properties", "label", "-j").json["response"] == [
        {"value": "run7", "name": "label", "description": "Label"}
    ]


def test_a_label_changes(made: Tool) -> None:
    done = made("cont", "set-prop", "tank", "run7", "label:run8,status:healthy")
    assert (done.status, done.text) == (0, "Properties were successfully set\n")
    assert made("cont", "set-prop", "tank", "run8", "--properties", "label:run8", "-j").json["response"] is None
    assert made("kv", "get", "tank", "run8", "params", "lr").text == "0.1"
    assert made("cont", "query", "tank", "run7").status == 1
    assert made("pool", "set-prop", "tank", "label:pond").text == "pool set-prop succeeded\n"
    assert made("pool", "get-prop", "pond").text == (
        "Pool pond properties:\n"
        "Name                                        Value  \n"
        "----                                        -----  \n"
        "Pool label (label)                          pond   \n"
        "Checksum scrubbing mode (scrub)             off    \n"
        "Checksum scrubbing frequency (scrub_freq)   604800 \n"
        "Checksum scrubbing threshold (scrub_thresh) 0      \n"
    )
    assert made("pool", "get-prop", "pond", "label", "-j").json["response"] == [
        {"value": "pond", "name": "label", "description": "Pool label"}
    ]


def test_scrubbing_is_set_and_told(made: Tool, disk: FakeDisk) -> None:
    line = ("pool", "set-prop", "tank", "scrub:TIMED,scrub_freq:3600,scrub_thresh:2")
    assert made(*line).text == "pool set-prop succeeded\n"
    assert made("pool", "get-prop", "tank", "scrub,scrub_freq", "-j").json["response"] == [
        {"value": "timed", "name": "scrub", "description": "Checksum scrubbing mode"},
        {"value": 3600, "name": "scrub_freq", "description": "Checksum scrubbing frequency"},
    ]
    (pool,) = disk.systems["sys"].pools
    pool.scrubbed = (False, 1, 12_300_000, 2, ["container run7: it", "page"], 1_700_000_000, 1_700_003_000)
    assert made("pool", "query", "tank").text.splitlines()[4:9] == [
        "- Scrub timed, idle, 1 pass, 12.3 MB read",
        "- Last pass ended: 2023-11-14 22:13:20 UTC",
        "- Next pass: 2023-11-14 23:03:20 UTC",
        "- Corruptions: 2, threshold of 2 reached",
        "  container run7: it",
    ]
    response = made("pool", "query", "tank", "-j").json["response"]
    assert isinstance(response, dict)
    assert response["scrub"] == {
        "mode": "timed",
        "freq": 3600,
        "thresh": 2,
        "running": False,
        "passes": 1,
        "bytes": 12_300_000,
        "corruptions": 2,
        "found": ["container run7: it", "page"],
        "last_pass": "2023-11-14T22:13:20+00:00",
        "next_pass": "2023-11-14T23:03:20+00:00",
        "over_threshold": True,
    }
    pool.scrubbed = (True, 2, 5, 0, [], 1_700_000_000, None)
    assert made("pool", "query", "tank").text.splitlines()[4:7] == [
        "- Scrub timed, running, 2 passes, 5 B read",
        "- Last pass ended: 2023-11-14 22:13:20 UTC",
        "- Corruptions: 0",
    ]
