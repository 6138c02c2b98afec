"""The command line of `daos_server`, but for `start`, which the integration tests run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from daos.agent.topology import topology
from daos.server.main import run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith("DAOS Control Server v")
    assert run(["-j", "version"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["response"]["name"], found["error"], found["status"]) == ("DAOS Control Server", None, 0)


def test_scans(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["network", "scan", "-p", "all"]) == 0
    assert " lo " in capsys.readouterr().out
    config = tmp_path / "s.yml"
    storage = [{"class": "ram", "scm_mount": str(tmp_path / "scm"), "scm_size": 4}]
    engine = {"targets": 1, "fabric_iface": "lo", "fabric_iface_port": 31316, "storage": storage}
    config.write_text(yaml.safe_dump({"engines": [engine]}))
    assert run(["storage", "scan", "-o", str(config), "--json"]) == 0
    devices = json.loads(capsys.readouterr().out)["response"]
    assert (devices[0]["address"], devices[0]["engine"], devices[0]["formatted"]) == (str(tmp_path / "scm"), 0, False)
    assert run(["storage", "scan", "--ignore-config"]) == 0
    capsys.readouterr()


def test_the_topology(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["dump-topology"]) == 0
    text = capsys.readouterr().out
    assert text == "\n".join([*topology().lines(), ""])
    assert run(["dump-topology", "--output", str(tmp_path / "t")]) == 0
    assert (capsys.readouterr().out, (tmp_path / "t").read_text()) == ("", text)
    assert run(["-j", "dump-topology"]) == 0
    assert json.loads(capsys.readouterr().out)["response"] == topology().facts()


def test_a_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "generate", "--net-class", "loopback", "--scm-only", "-e", "2", "-f", "20000,30000"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert [engine["fabric_iface_port"] for engine in found["engines"]] == [20000, 30000]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["start", "-o", "/absent/s.yml"], "/absent/s.yml"),
        (["start", "--ignore-config"], "--ignore-config"),
        (["start", "-p", "70000"], "70000"),
        (["what"], "what"),
        (["dump-topology", "-O", "/absent/t"], "/absent/t: No such file or directory"),
        (["network", "scan", "--what"], "unknown flag"),
        (["config", "generate", "-f", "x", "-c", "loopback"], "no port"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert run(arguments) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.startswith("ERROR: daos_server: ")
    assert run(["-j", *arguments]) == 1
    found = json.loads(capsys.readouterr().out)
    assert words in found["error"]
    assert found["status"] < 0
