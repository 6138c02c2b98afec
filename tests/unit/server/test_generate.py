"""Configurations made of what a host has: they are accepted, and say what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from daos import errors
from daos.config import load_server
from daos.server.generate import generate
from daos.server.host import Interface, NumaNode
from daos.server.storage import Device

INTERFACES = (
    Interface(name="eth0", numa_node=0, addresses=("10.0.0.1",)),
    Interface(name="eth1", numa_node=1, addresses=("10.0.0.2",)),
    Interface(name="ib0", numa_node=0, net_class="infiniband", addresses=("10.1.0.1",)),
    Interface(name="eth2", numa_node=1, addresses=("10.0.0.3",), up=False),
)
NODES = (NumaNode(0, 16, 256 << 30), NumaNode(1, 16, 256 << 30))
DISKS = tuple(Device("nvme", "nvme", f"/dev/nvme{n}n1", 1 << 40) for n in range(4))
PMEM = (Device("scm", "dcpm", "/dev/pmem0"), Device("scm", "dcpm", "/dev/pmem1"))


def test_one_engine_a_numa_node_and_the_file_is_accepted(tmp_path: Path) -> None:
    text = generate(interfaces=INTERFACES, nodes=NODES, devices=DISKS, replicas="a,b,c", metadata="/var/daos")
    (tmp_path / "s.yml").write_text(text)
    config = load_server(tmp_path / "s.yml", {"transport_config.allow_insecure": True}, check_files=False)
    assert [engine.fabric_iface for engine in config.engines] == ["eth0", "eth1"]
    assert [engine.fabric_iface_port for engine in config.engines] == [31316, 32316]
    assert [engine.storage[1].bdev_list for engine in config.engines] == [
        ("/dev/nvme0n1", "/dev/nvme2n1"),
        ("/dev/nvme1n1", "/dev/nvme3n1"),
    ]
    assert config.engines[0].storage[0].scm_size == (512 - 16) // 2
    assert config.mgmt_svc_replicas == ("a", "b", "c")
    assert [engine.targets for engine in config.engines] == [15, 15]


def test_wishes() -> None:
    text = generate(
        interfaces=INTERFACES,
        nodes=NODES,
        devices=(*DISKS, *PMEM),
        engines=1,
        scm_only=True,
        net_class="infiniband",
        tmpfs=False,
        ports="20000",
        provider="ofi+verbs",
    )
    found = yaml.safe_load(text)
    assert found["provider"] == "ofi+verbs"
    (engine,) = found["engines"]
    assert (engine["fabric_iface"], engine["fabric_iface_port"]) == ("ib0", 20000)
    assert engine["storage"] == [{"class": "dcpm", "scm_mount": "/mnt/daos0", "scm_list": ["/dev/pmem0"]}]


def test_a_small_host_gets_a_small_engine() -> None:
    text = generate(interfaces=INTERFACES[:1], nodes=(NumaNode(0, 1, 1 << 30),), devices=())
    (engine,) = yaml.safe_load(text)["engines"]
    assert (engine["targets"], engine["storage"][0]["scm_size"]) == (1, 1)


def test_what_is_missing_is_told() -> None:
    with pytest.raises(errors.NotFoundError, match="loopback"):
        generate(interfaces=INTERFACES, nodes=NODES, devices=(), net_class="loopback")
    with pytest.raises(errors.NotFoundError, match="persistent memory"):
        generate(interfaces=INTERFACES, nodes=NODES, devices=PMEM[:1], tmpfs=False)
    with pytest.raises(errors.InvalidError, match="1 ports for 2 engines"):
        generate(interfaces=INTERFACES, nodes=NODES, devices=(), ports="1000")
    for port in ("x", "0", "70000"):
        with pytest.raises(errors.InvalidError, match="no port"):
            generate(interfaces=INTERFACES, nodes=NODES, devices=(), ports=port)
