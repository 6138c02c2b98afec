"""What is installed on hosts: units, users, directories."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from daos.config import AgentConfig, ServerConfig

DEPLOY = Path(__file__).parents[3] / "deploy"
UNITS = ["daos_server", "daos_agent"]


def unit(name: str) -> configparser.SectionProxy:
    parsed = configparser.ConfigParser(interpolation=None, strict=True)
    parsed.optionxform = str  # type: ignore[assignment,method-assign] # keys have capitals
    parsed.read_string((DEPLOY / f"{name}.service").read_text())
    return parsed["Service"]


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    copy = tmp_path / f"{name}.service"
    copy.write_text((DEPLOY / copy.name).read_text().replace(f"/usr/bin/{name}", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], check=False, capture_output=True, text=True, timeout=50
    )
    own = [line for line in (done.stdout + done.stderr).splitlines() if name in line]
    assert (done.returncode, own) == (0, []), done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_a_unit_that_is_wrong_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "daos_agent.service"
    copy.write_text((DEPLOY / copy.name).read_text().replace("Type=notify", "Kind=notify"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], check=False, capture_output=True, text=True, timeout=50
    )
    assert "Kind" in done.stdout + done.stderr


def test_units_and_configurations_agree() -> None:
    server, agent = ServerConfig(), AgentConfig()
    for name, folder in (("daos_server", server.socket_dir), ("daos_agent", agent.runtime_dir)):
        section = unit(name)
        assert Path("/var/run") / section["RuntimeDirectory"] == folder
        assert section["ExecStart"] == f"/usr/bin/{name} start"
        assert section["User"] == section["Group"] == name
    assert unit("daos_agent")["Type"] == "notify"
    assert unit("daos_server")["Restart"] == "on-failure"


def test_users_of_the_units_are_made() -> None:
    made = {line.split()[1] for line in (DEPLOY / "daos.sysusers.conf").read_text().splitlines() if line[:2] == "u "}
    assert made == {unit(name)["User"] for name in UNITS}
    owners = {
        word
        for line in (DEPLOY / "daos.tmpfiles.conf").read_text().splitlines()
        if line.startswith("d ")
        for word in line.split()[3:5]
    }
    assert owners == {"root", "daos_server", "daos_agent", "daos_daemons"}
