"""Settings drawn from a configuration: addresses, replicas, directories, fault domains."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest
import yaml

from daos import errors
from daos.config import load_server
from daos.config.server import ServerConfig
from daos.server.settings import interface_address, join_address, resolve, settings_of, split_address

ENGINE = {
    "targets": 2,
    "fabric_iface": "lo",
    "fabric_iface_port": 31316,
    "storage": [
        {"class": "ram", "scm_mount": "/mnt/daos0", "scm_size": 4},
        {"class": "file", "bdev_list": ["/var/daos/one"], "bdev_size": 16},
    ],
    "env_vars": ["A=b"],
}


def config(**changes: object) -> ServerConfig:
    whole = {
        "mgmt_svc_replicas": ["127.0.0.1:10001", "127.0.0.1:10011", "other:10001"],
        "fault_path": "/rack/host",
        "engines": [ENGINE],
        **changes,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump(whole, file)
        file.flush()
        return load_server(file.name, check_files=False)


def test_engines_and_their_storage() -> None:
    settings = settings_of(config(control_iface="lo"))
    (engine,) = settings.engines
    assert (engine.address, engine.port, engine.metadata) == ("127.0.0.1", 31316, Path("/mnt/daos0"))
    assert [(tier.storage_class, tier.media, tier.size) for tier in engine.tiers] == [
        ("ram", "scm", 4 << 30),
        ("file", "nvme", 16 * 10**9),
    ]
    assert engine.environment == (("A", "b"),)
    assert settings.control == Path("/mnt/daos0/control_raft")
    assert settings.domain == ("rack", "host")
    moved = settings_of(config(control_metadata={"path": "/var/daos"}))
    assert moved.engines[0].metadata == Path("/var/daos/daos_control/engine0")
    assert moved.control == Path("/var/daos/daos_control/control_raft")
    assert settings_of(config(engines=[])).control is None


def test_which_replica_it_has() -> None:
    first = settings_of(config(control_iface="lo"))
    assert (first.number, first.address, first.listen, first.raft_listen) == (
        0,
        "127.0.0.1:10001",
        "127.0.0.1:10001",
        "127.0.0.1:10002",
    )
    assert [first.raft_address(number) for number in (0, 1)] == ["127.0.0.1:10002", "127.0.0.1:10012"]
    second = settings_of(config(control_iface="lo", port=10011, raft_port=10013))
    assert (second.number, second.raft_address(0)) == (1, "127.0.0.1:10003")
    none = settings_of(config(port=10021))
    assert none.number is None
    assert none.address == f"{socket.gethostname()}:10021"
    own = settings_of(config(mgmt_svc_replicas=[socket.gethostname()]))
    assert own.number == 0
    assert first.group == second.group
    assert first.group != settings_of(config(name="other")).group


def test_fault_domain_by_a_program(tmp_path: Path) -> None:
    program = tmp_path / "where"
    program.write_text("#!/bin/sh\necho /room/rack\n")
    program.chmod(0o755)
    assert settings_of(config(fault_path=None, fault_cb=str(program))).domain == ("room", "rack")
    program.write_text("#!/bin/sh\necho nowhere\n")
    with pytest.raises(errors.InvalidError, match="no fault domain"):
        settings_of(config(fault_path=None, fault_cb=str(program)))
    program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(errors.UnavailableError, match="fault_cb"):
        settings_of(config(fault_path=None, fault_cb=str(program)))


def test_interfaces_and_addresses() -> None:
    assert interface_address("lo") == "127.0.0.1"
    assert interface_address("10.1.2.3") == "10.1.2.3"
    with pytest.raises(errors.InvalidError, match="absent0"):
        interface_address("absent0")
    assert resolve("localhost") == "127.0.0.1"
    with pytest.raises(errors.UnavailableError, match="not known"):
        resolve("no-such-host.invalid")
    for address in ("h:1", "[::1]:65535"):
        assert join_address(*split_address(address)) == address
    for wrong in ("h", "h:", ":1", "h:0", "h:65536", "h:x"):
        with pytest.raises(errors.InvalidError, match="no address"):
            split_address(wrong)
