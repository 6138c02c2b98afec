"""What a host is made of, read from the kernel's files."""

from __future__ import annotations

from pathlib import Path

from daos.server import host


def test_loopback_is_there_with_its_address() -> None:
    found = {one.name: one for one in host.interfaces()}
    assert found["lo"].addresses == ("127.0.0.1",)
    assert found["lo"].net_class == "loopback"
    assert found["lo"].up
    assert host.serves(found["lo"], "")
    assert host.serves(found["lo"], "all")
    assert not host.serves(found["lo"], "ofi+verbs")


def test_numa_nodes(tmp_path: Path) -> None:
    for number, cores in ((0, 4), (1, 2), (10, 1)):
        entry = tmp_path / f"devices/system/node/node{number}"
        entry.mkdir(parents=True)
        (entry / "meminfo").write_text(f"Node {number} MemTotal:       1024 kB\n")
        for core in range(cores):
            (entry / f"cpu{core}").mkdir()
    assert host.numa_nodes(tmp_path) == [
        host.NumaNode(0, 4, 1 << 20),
        host.NumaNode(1, 2, 1 << 20),
        host.NumaNode(10, 1, 1 << 20),
    ]


def test_a_host_that_knows_no_nodes_has_one(tmp_path: Path) -> None:
    (node,) = host.numa_nodes(tmp_path)
    assert node.cores >= 1
    assert node.memory > 1 << 20
