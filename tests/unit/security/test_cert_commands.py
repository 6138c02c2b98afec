"""`daos cert`: text, JSON, files, refusals."""

from __future__ import annotations

import json
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daos.cli import _main
from daos.security.certificates import Authority, Folder, hosts_of, load_identity, read_certificate, store_issued
from tests.cli_tool import Result, Tool


@pytest.fixture
def tool(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    monkeypatch.chdir(tmp_path)

    def run(*words: str, system: str | None = None) -> Result:
        status = _main.run(list(words), system)
        captured = capfd.readouterr()
        return Result(status, captured.out, captured.err)

    return run


def test_init(tool: Tool, tmp_path: Path) -> None:
    done = tool("cert", "init", "--host", "node1", "--ip", "10.0.0.1")
    assert done.status == 0, done.errors
    until = f"{datetime.now(UTC) + timedelta(days=1095):%Y-%m-%d}"
    assert done.raw == (
        "CA created in daosCA\n\n"
        "Role   Hosts                 Expires    Certificate             \n"
        "----   -----                 -------    -----------             \n"
        f"server node1,server,10.0.0.1 {until} daosCA/certs/server.crt \n"
        f"agent  node1,10.0.0.1        {until} daosCA/certs/agent.crt  \n"
        f"admin  10.0.0.1              {until} daosCA/certs/admin.crt  \n"
    )
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == [
        *(f"daosCA/certs/{name}" for name in ("admin.crt", "admin.key", "agent.crt", "agent.key")),
        *(f"daosCA/certs/{name}" for name in ("clients/agent.crt", "daosCA.crt", "server.crt", "server.key")),
        "daosCA/private/daosCA.key",
    ]
    again = tool("cert", "init")
    assert again.status == 1
    assert again.errors.startswith("ERROR: daos: daosCA holds a CA already: DER_EXIST(-1004)")


def test_init_in_json(tool: Tool) -> None:
    done = tool("-j", "cert", "init", "here", "--days", "5")
    response = done.json["response"]
    assert isinstance(response, dict)
    assert response["ca"]["certificate"] == "here/daosCA/certs/daosCA.crt"
    roles = [one["role"] for one in response["certificates"]]
    assert roles == ["server", "agent", "admin"]
    host = socket.gethostname().lower()
    assert response["certificates"][1]["hosts"] == [*dict.fromkeys([host, "localhost"])]
    assert "PRIVATE" not in done.raw


def test_issue(tool: Tool, tmp_path: Path) -> None:
    tool("cert", "init", "--host", "node1")
    done = tool("cert", "issue", "agent", "--host", "node2", "--host", "node2.lan", "--out", "node2", "--days", "9")
    assert done.status == 0, done.errors
    identity = load_identity(
        tmp_path / "node2/agent.crt",
        tmp_path / "node2/agent.key",
        Folder(tmp_path).ca_certificate,
        now=datetime.now(UTC),
        expected="agent",
    )
    assert identity.hosts == ("node2", "node2.lan")
    assert timedelta(days=8) < identity.expires - datetime.now(UTC) <= timedelta(days=9)
    again = tool("cert", "issue", "agent", "--host", "node2", "--out", "node2")
    assert (again.status, "--force" in again.errors) == (1, True)
    forced = tool("cert", "issue", "agent", "--host", "node3", "--out", "node2", "-f", "-j")
    assert json.loads(forced.raw)["response"]["certificates"][0]["hosts"] == ["node3"]
    assert hosts_of(read_certificate(tmp_path / "node2/agent.crt")) == ("node3",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("issue agent --host node1", r"daosCA/certs/daosCA\.crt: No such file or directory: DER_NO_CERT"),
        ("issue client", "'client' is not one of"),
        ("init --ip 10.0.0", '"10.0.0" is no address: DER_INVAL'),
        ("init --host a,b", '"a,b" is no name of a host: DER_INVAL'),
        ("init --days 0", "0 days are out of range: DER_INVAL"),
        ("init /proc/none", "No such file or directory"),
        ("renew", "No such file or directory: DER_NO_CERT"),
    ],
)
def test_refusals(tool: Tool, tmp_path: Path, words: str, message: str) -> None:
    done = tool("cert", *words.split())
    assert done.status == 1
    assert re.search(f"ERROR: daos: .*{message}", done.errors)
    assert "hint: " in done.errors
    assert not list(tmp_path.iterdir())


def test_renew(tool: Tool, tmp_path: Path) -> None:
    tool("cert", "init", "--host", "node1")
    folder = Folder(tmp_path)
    assert tool("cert", "renew").raw == "Nothing expires within 30 days\n"
    now = datetime.now(UTC)
    short = folder.authority().issue("agent", ["node7"], (), now, 5)
    store_issued("agent", short, folder.certificates, replace=True)
    server = read_certificate(folder.certificates / "server.crt").serial_number
    assert tool("cert", "renew", "--within", "3").raw == "Nothing expires within 3 days\n"
    done = tool("-j", "cert", "renew")
    response = done.json["response"]
    assert isinstance(response, dict)
    assert [(one["role"], one["hosts"]) for one in response["certificates"]] == [("agent", ["node7"])]
    assert response["ca"]["renewed"] is False
    assert read_certificate(folder.certificates / "server.crt").serial_number == server


def test_renew_with_the_ca(tool: Tool, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    old = Authority.make(datetime.now(UTC), 10)
    folder.create(old)
    issued = old.issue("server", ["node1"], (), datetime.now(UTC))
    files = store_issued("server", issued, folder.certificates, replace=False)
    done = tool("cert", "renew")
    assert done.raw.startswith("CA renewed until ")
    assert "server node1,server " in done.raw
    later = datetime.now(UTC) + timedelta(days=1000)
    assert load_identity(*files, folder.ca_certificate, now=later).hosts == ("node1", "server")
    # What the old one issued is good under the new one.
    store_issued("server", issued, folder.certificates, replace=True)
    load_identity(*files, folder.ca_certificate, now=datetime.now(UTC))


def test_without_the_library(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "daos.security.certificates", raising=False)
    monkeypatch.delattr("daos.security.certificates", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    done = tool("cert", "init")
    assert done.status == 1
    assert "hint: pip install 'daos[server]'" in done.errors
