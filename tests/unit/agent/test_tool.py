"""`daos_agent`: its command line, and what it tells systemd."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import daos
from daos.agent import main as module
from daos.agent import upstream as upstream_module
from daos.agent._notify import notify
from daos.agent.interfaces import Interface, interfaces
from daos.agent.main import run, versions_told
from daos.agent.topology import numbers_of, topology
from daos.errors import UnavailableError
from tests.ports import free_port


@dataclass
class Result:
    status: int
    out: str
    err: str


@pytest.fixture
def agent_yml(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yml"
    path.write_text(f"runtime_dir: {tmp_path}/run\ntransport_config: {{allow_insecure: true}}\naccess_points: [a]\n")
    return path


def tool(capfd: pytest.CaptureFixture[str], *words: str) -> Result:
    status = run(words)
    captured = capfd.readouterr()
    return Result(status, captured.out, captured.err)


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert tool(capfd, "version").out == f"DAOS Agent v{daos.__version__}\n"
    answer = json.loads(tool(capfd, "-j", "version").out)
    assert answer == {"response": {"version": daos.__version__, "name": "DAOS Agent"}, "error": None, "status": 0}


def test_help_names_all_commands(capfd: pytest.CaptureFixture[str]) -> None:
    done = tool(capfd, "-h")
    assert done.status == 0
    for word in ("start", "version", "dump-attachinfo", "net-scan", "--runtime_dir", "--insecure", "--logfile"):
        assert word in done.out


def test_dump_attachinfo(
    capfd: pytest.CaptureFixture[str], agent_yml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_module, "MODULE", "tests.unit.agent.upstream_module")
    expected = "name daos_server\nsize 1\n0 tcp://10.0.0.1:20000\n"
    done = tool(capfd, "-o", str(agent_yml), "dump-attachinfo", "-n", "0")
    assert (done.status, done.out, done.err) == (0, expected, "")
    target = tmp_path / "attach"
    assert tool(capfd, "-o", str(agent_yml), "dump-attachinfo", "-o", str(target)).out == ""
    assert target.read_text() == expected
    response = json.loads(tool(capfd, "-o", str(agent_yml), "-j", "dump-attachinfo").out)["response"]
    assert response["rank_uris"] == [{"rank": 0, "uri": "tcp://10.0.0.1:20000", "targets": ["tcp://10.0.0.1:20001"]}]
    done = tool(capfd, "-o", str(agent_yml), "dump-attachinfo", "-o", f"{tmp_path}/none/x")
    assert "No such file or directory: DER_INVAL" in done.err


def test_server_version(capfd: pytest.CaptureFixture[str], agent_yml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "MODULE", "tests.unit.agent.upstream_module")
    done = tool(capfd, "-o", str(agent_yml), "server-version")
    assert (done.status, done.out, done.err) == (0, "DAOS Control Server version 1.0\n", "")
    answer = json.loads(tool(capfd, "-o", str(agent_yml), "-j", "server-version").out)
    assert answer == {"response": {"name": "DAOS Control Server", "version": "1.0"}, "error": None, "status": 0}


def test_versions_that_differ_are_told_with_their_hosts() -> None:
    away = UnavailableError("the server at c:1 refused the connection")
    lines, facts = versions_told({"a:1": "1.0", "b:1": "1.1", "c:1": away, "d:1": "1.0"})
    text = f"{away.message}: {away.code}"
    assert lines == [
        "DAOS Control Server version 1.0 on a:1,d:1",
        "DAOS Control Server version 1.1 on b:1",
        f"c:1: {text}",
    ]
    assert facts == {
        "versions": [
            {"name": "DAOS Control Server", "version": "1.0", "hosts": "a:1,d:1"},
            {"name": "DAOS Control Server", "version": "1.1", "hosts": "b:1"},
        ],
        "host_errors": {"c:1": text},
    }


def test_servers_that_are_away_are_told(capfd: pytest.CaptureFixture[str], agent_yml: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    agent_yml.write_text(f"transport_config: {{allow_insecure: true}}\naccess_points: ['{nobody}']\n")
    done = tool(capfd, "-o", str(agent_yml), "-j", "server-version")
    assert done.status == 1
    assert f"the server at {nobody} refused the connection" in json.loads(done.out)["error"]


def _kernel(root: Path) -> Path:
    """Make a folder as the kernel's of a host with two nodes."""
    devices = root / "devices"
    for node, cores in {0: "0-3,8", 1: "4-7"}.items():
        (devices / f"system/node/node{node}").mkdir(parents=True)
        (devices / f"system/node/node{node}/cpulist").write_text(f"{cores}\n")
    for kind, name, place, at in (
        ("net", "ib0", "pci0000:00/0000:81:00.0", 1),
        ("net", "lo", "virtual", None),
        ("block", "nvme0n1", "pci0000:00/0000:01:00.0/nvme/nvme0", 0),
        ("block", "loop0", "virtual", None),
        ("net", "odd", "pci0000:00/0000:00:03.0", -1),
    ):
        path = devices / place / kind / name
        path.mkdir(parents=True)
        if at is not None:
            (devices / Path(place).parts[0] / Path(place).parts[1] / "numa_node").write_text(f"{at}\n")
        (root / "class" / kind).mkdir(parents=True, exist_ok=True)
        (root / "class" / kind / name).symlink_to(path)
    part = devices / "pci0000:00/0000:01:00.0/nvme/nvme0/block/nvme0n1/nvme0n1p1"
    part.mkdir()
    (part / "partition").write_text("1\n")
    (root / "class/block/nvme0n1p1").symlink_to(part)
    (root / "class/net/bonding_masters").write_text("")
    return root


def test_the_topology_of_a_host(tmp_path: Path) -> None:
    found = topology(_kernel(tmp_path))
    assert found.lines() == [
        "NUMA Node 0",
        "  CPU cores: [0-3,8]",
        "  PCI devices:",
        "    0000:00:03.0",
        "      odd (network interface)",
        "    0000:01:00.0",
        "      nvme0n1 (block device)",
        "NUMA Node 1",
        "  CPU cores: [4-7]",
        "  PCI devices:",
        "    0000:81:00.0",
        "      ib0 (network interface)",
        "Virtual devices:",
        "  lo (network interface)",
    ]
    assert found.facts() == {
        "numa_nodes": {
            "0": {
                "id": 0,
                "cores": [0, 1, 2, 3, 8],
                "pci_devices": [
                    {"name": "odd", "type": "network interface", "pci_address": "0000:00:03.0"},
                    {"name": "nvme0n1", "type": "block device", "pci_address": "0000:01:00.0"},
                ],
            },
            "1": {
                "id": 1,
                "cores": [4, 5, 6, 7],
                "pci_devices": [{"name": "ib0", "type": "network interface", "pci_address": "0000:81:00.0"}],
            },
        },
        "virtual_devices": [{"name": "lo", "type": "network interface"}],
    }


def test_a_host_that_tells_nothing(tmp_path: Path) -> None:
    assert topology(tmp_path).lines() == ["NUMA Node 0", "  CPU cores: ", "  PCI devices:"]
    assert [numbers_of(text) for text in ("", "x", "1-", "-1", "1-x", "2,5-6\n")] == [(), (), (1,), (), (), (2, 5, 6)]


def test_dump_topology(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    done = tool(capfd, "dump-topology")
    assert done.status == 0
    assert done.out.startswith("NUMA Node ")
    assert "lo (network interface)" in done.out
    path = tmp_path / "topology"
    assert tool(capfd, "dump-topology", "-o", str(path)).out == ""
    assert path.read_text() == done.out
    assert json.loads(tool(capfd, "-j", "dump-topology").out)["response"] == topology().facts()
    assert "No such file or directory: DER_INVAL" in tool(capfd, "dump-topology", "-o", f"{tmp_path}/none/x").err


def test_net_scan(capfd: pytest.CaptureFixture[str]) -> None:
    done = tool(capfd, "net-scan", "-p", "ofi+tcp")
    assert done.out.startswith("NUMA socket 0\n")
    assert "  lo (ofi+tcp)\n" in done.out
    found = json.loads(tool(capfd, "-j", "net-scan").out)["response"]["interfaces"]
    assert {"lo"} <= {one["name"] for one in found}
    done = tool(capfd, "net-scan", "-p", "ofi+verbs")
    assert done.err == (
        'ERROR: daos_agent: the provider "ofi+verbs" is not here: DER_INVAL(-1003): Invalid parameters\n'
        "hint: there is ofi+tcp\n"
    )


def test_interfaces(tmp_path: Path) -> None:
    for name, files in {
        "eth0": {"operstate": "up", "speed": "25000", "device/numa_node": "1"},
        "eth1": {"operstate": "down", "speed": "-1", "device/numa_node": "-1"},
        "lo": {"operstate": "unknown"},
    }.items():
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
    assert interfaces(tmp_path) == [
        Interface("eth0", 1, up=True, speed_mbit=25000),
        Interface("eth1", 0, up=False, speed_mbit=None),
        Interface("lo", 0, up=True, speed_mbit=None),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "/none.yml"], "/none.yml: No such file or directory: DER_INVAL(-1003): Invalid parameters"),
        (["-o", "YML", "-l", "/none/log", "start"], "log_file /none/log: No such file or directory: DER_INVAL"),
        (["-o", "YML", "-s", "/dev/null/x"], "no socket at /dev/null/x/daos_agent.sock: "),
        (["dance"], "No such command 'dance'."),
        (["net-scan", "-n"], "No such option"),
        (["-o", "BAD"], "agent.yml:1: portt: unknown key"),
    ],
)
def test_refusals(
    capfd: pytest.CaptureFixture[str],
    agent_yml: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_module, "MODULE", "tests.unit.agent.upstream_module")
    if "BAD" in words:
        agent_yml.write_text("portt: 5\n")
    given = [str(agent_yml) if word in ("YML", "BAD") else word for word in words]
    done = tool(capfd, *given)
    assert done.status == 1
    assert done.out == ""
    lines = done.err.splitlines()
    assert message in lines[-2]
    assert lines[-2].startswith("ERROR: daos_agent: ")
    assert lines[-1].startswith("hint: ")
    envelope = json.loads(tool(capfd, "-j", *given).out)
    assert envelope["response"] is None
    assert message in envelope["error"]
    assert envelope["status"] < 0


def test_certificates_are_asked_for(capfd: pytest.CaptureFixture[str], agent_yml: Path) -> None:
    agent_yml.write_text("transport_config: {ca_cert: /none/ca.crt}\n")
    done = tool(capfd, "-o", str(agent_yml))
    assert "agent.yml:1: transport_config.ca_cert: there is no file /none/ca.crt" in done.err


@pytest.mark.parametrize("allowed", [True, False])
def test_proxies_are_for_who_allows_them(
    capfd: pytest.CaptureFixture[str], agent_yml: Path, monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    agent_yml.write_text(f"transport_config: {{allow_insecure: true}}\naccess_points: ['{nobody}']\n")
    monkeypatch.setenv("HTTPS_PROXY", nobody)
    done = tool(capfd, *(["--allow-proxy"] if allowed else []), "-o", str(agent_yml), "dump-attachinfo")
    assert done.status == 1
    assert (f"the proxy {nobody} cannot be reached" in done.err) is allowed
    # The processes that an agent starts get no proxy either.
    assert ("HTTPS_PROXY" in os.environ) is allowed


@pytest.mark.parametrize("abstract", [True, False])
def test_systemd_is_told(tmp_path: Path, *, abstract: bool) -> None:
    name = f"@daos-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1))
        listening.settimeout(5)
        assert notify({"NOTIFY_SOCKET": name}, "READY=1", "STATUS=well")
        assert listening.recv(100) == b"READY=1\nSTATUS=well"
    assert not notify({"NOTIFY_SOCKET": name}, "READY=1"), "nobody is there"
    assert not notify({}, "READY=1")
    assert not notify({"NOTIFY_SOCKET": "vsock:2:1"}, "READY=1")


def test_clients_load_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import daos.agent.client; loaded = set(sys.modules) - before;"
        "print([name for name in ('pydantic', 'yaml', 'cryptography', 'grpc', 'structlog', 'asyncio', 'click')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_logs_have_the_form_that_is_asked_for(tmp_path: Path) -> None:
    import logging

    import structlog

    try:
        for as_json in (True, False):
            path = tmp_path / f"log-{as_json}"
            with path.open("w") as file:
                module.configure_log(file, logging.INFO, as_json=as_json)
                log = structlog.get_logger("x")
                log.debug("not this")
                log.info("agent ready", system="s")
        one = json.loads((tmp_path / "log-True").read_text())
        assert (one["event"], one["level"], one["system"]) == ("agent ready", "info", "s")
        assert "agent ready" in (tmp_path / "log-False").read_text()
        assert "system=s" in (tmp_path / "log-False").read_text()
    finally:
        structlog.reset_defaults()
