from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from daos.cli.dmg import _settings
from daos.cli.dmg._settings import Flags, load
from daos.errors import AccessError, InvalidError, NotFoundError
from daos.mgmt.identity import IdentityFiles
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import Role
from tests.ports import free_port
from tests.unit.cli.dmg.conftest import Dmg, Host
from tests.unit.mgmt.certificates import Authority
from tests.unit.mgmt.fake_management import FakePool

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server", hosts=("somewhere",))
ADMIN = AUTHORITY.issue("admin")

REFUSED = {
    "pool": None,
    "system stop --full --ranks 0": "--full may not be mixed with --ranks",
    "system stop --rank-hosts node1 --full": "--full may not be mixed with --rank-hosts",
    "foo": "Unknown command `foo'. Please specify one command of:",
    "pool quary x": "Unknown command `quary', did you mean `query'?",
    "-l host pool list": "unknown flag `l'",
    "pool query": "the required argument `<pool label or uuid>` was not provided",
    "pool query a b": "unexpected extra argument",
    "pool query-targets tank": "the required flag `--rank' was not specified",
    "pool query-targets tank --rank x": "invalid argument for flag `--rank'",
    "pool query-targets tank --rank 0 --target-idx x": "invalid argument for flag `--target-idx'",
    "pool create": "the required argument `<pool label>` was not provided",
    "pool create p": "unsupported option combination",
    "pool create p -z abc": 'invalid size "abc"',
    "pool create p -z 1GB -s 1GB": "unsupported option combination",
    "pool create p -n 1GB": "--nvme-size cannot be set without --scm-size",
    "pool create p -z 1GB -k 2 -r 0": "--nranks may not be mixed with --ranks",
    "pool create p -z 1GB -k x": "invalid argument for flag `-k, --nranks'",
    "pool create p -z 1GB -r x": 'invalid rank set "x"',
    "pool create p -z 1GB -t 50,40": "Storage tier ratios must add up to 100 (got 90.000000)",
    "pool create p -z 1GB -v 2": "odd number of replicas",
    "pool create p -z 1GB -P label:q": "can't set label property with label argument",
    "pool create p -z 1GB -P junk": 'invalid property "junk" (must be key:val)',
    "pool create p -z 1GB -P a:": 'invalid property "a:" (must be key:val)',
    "pool create p --meta-size 1GB --data-size 1GB": "metadata on SSD",
    "pool create p -z 1GB -a /nowhere/acl": "opening ACL file: open /nowhere/acl: no such file or directory",
    "pool create bad/label -z 1GB": 'invalid pool label "bad/label"',
    "pool create 11111111-0000-4000-8000-000000000001 -z 1GB": "invalid pool label",
    "pool create p -z 1GB -u a:b": "invalid principal",
    "pool set-prop tank": "the required argument `<key:val[,key:val...]>` was not provided",
    "pool set-prop tank junk": 'invalid property "junk" (must be key:val)',
    "pool set-prop tank a:1,a:2": 'property "a" is given twice',
    "pool get-prop tank foo": '"foo" is not a gettable property',
    "pool update-acl tank": "either ACL file or entry parameter is required",
    "pool update-acl tank -a f -e A::a@:r": "either ACL file or entry parameter is required, not both",
    "pool overwrite-acl tank": "the required flag `--acl-file' was not specified",
    "pool delete-acl tank": "the required flag `--principal' was not specified",
    "cont set-owner tank box": "at least one of user or group must be supplied",
    "system query --ranks 0 --rank-hosts a": "--ranks and --rank-hosts options cannot be set together",
    "system query --not-ok --with-states joined": "--not-ok and --with-states options cannot be set together",
    "system query --with-states foo": 'invalid state name "foo"',
    "system query -r a-b": 'invalid rank set "a-b"',
    "system stop --rank-hosts a:b": "invalid host",
    "system exclude": "no ranks or hosts specified",
    "system set-attr": "the required argument",
    "system set-attr junk": 'invalid system attribute "junk" (must be key:val)',
    "system get-attr a,,b": "invalid list of names",
    "system set-prop self_heal": 'invalid system property "self_heal" (must be key:val)',
    "storage scan -v -n": "cannot use --verbose with --nvme-health",
    "storage scan -l n[2-1]": "invalid host set",
    "storage query usage --mem-ratio 50": "--mem-ratio is only supported with --show-usable",
    "storage query usage -u --mem-ratio 50": "metadata on SSD",
    "storage query list-devices -r x": "invalid argument for flag `-r, --rank'",
    "config generate -c token-ring": 'invalid network class "token-ring"',
    "config generate -e 0": "invalid argument for flag `-e, --num-engines'",
    "config generate -f x": "invalid argument for flag `-f, --fabric-ports'",
    "telemetry metrics list -p x": "invalid argument for flag `-p, --port'",
    "support collect-log -e foo": 'invalid log type "foo"',
    "support collect-log -S 10:00:00": "a start time needs a start date",
    "support collect-log -D 2026-13-01": "invalid start",
    "support collect-log -D 2026-02-02 -F 2026-02-01": "the start is behind the end",
}


@pytest.mark.parametrize("line", REFUSED)
def test_bad_input_is_one_line_and_asks_nobody(line: str, dmg: Dmg) -> None:
    words = REFUSED[line]
    dmg.with_pools()
    result = dmg(*line.split())
    if words is None:
        assert result.status == 0
        assert "Usage: dmg pool" in result.text
        return
    first, *rest = result.errors.splitlines()
    assert first.startswith("ERROR: dmg: ")
    assert words in first
    assert "failed" not in first
    assert all(one.startswith("hint: ") for one in rest)
    assert len(rest) <= 1
    assert (result.status, result.text) == (1, "")
    as_json = dmg(*line.split(), "--json") if not line.startswith("-l") else dmg("-j", *line.split())
    assert as_json.status == 1
    assert as_json.errors == result.errors
    told = as_json.json
    assert told["response"] is None
    assert f"ERROR: dmg: {told['error']}" == first
    assert told["status"] in (-1003, -1025, -2037)
    assert dmg.management.calls == []
    assert dmg.server.calls == []


def test_servers_that_are_not_there_are_named(dmg: Dmg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.mgmt.client.SILENCE_S", 0.0)
    dmg.hosts = ("127.0.0.1:1",)
    result = dmg("system", "query")
    assert result.status == 1
    assert result.errors.startswith(
        "ERROR: dmg: system query failed: unable to contact the DAOS Management Service: "
        "the server at 127.0.0.1:1 refused the connection: DER_UNREACH(-1006)"
    )
    assert dmg("system", "query", "-j").json["status"] == -1006


def test_hosts_that_do_not_answer_are_told_beside_those_that_do(dmg: Dmg) -> None:
    result = dmg("storage", "scan", "-l", f"127.0.0.1:1,{dmg.address}")
    assert result.status == 1
    assert "Errors:" in result.text
    assert "the server at the host refused the connection" in result.text
    assert "107.4 GB (1 namespace)" in result.text
    assert "ERROR: dmg: storage scan failed on hosts 127.0.0.1" in result.errors
    told = dmg("storage", "scan", "-j", "-l", f"127.0.0.1:1,{dmg.address}").json
    response = told["response"]
    assert isinstance(response, dict)
    assert list(response["host_errors"].values()) == ["127.0.0.1:1"]
    assert len(response["HostStorage"]) == 1
    assert told["status"] == -1025


def test_what_went_wrong_on_a_host_is_told(dmg: Dmg) -> None:
    dmg.server.broken = True
    formatted = dmg("storage", "format")
    assert formatted.status == 1
    assert "CTL_FAILED: it cannot be written" in formatted.text
    assert "storage format failed on hosts 127.0.0.1" in formatted.errors
    scanned = dmg("storage", "scan")
    assert scanned.status == 1
    assert "the devices cannot be read: DER_IO(-2001)" in scanned.text


def test_the_request_says_what_the_line_says(dmg: Dmg, tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("# people\n\nA::alice@:rw\nA:G:readers@:r\n")
    line = (
        "pool",
        "create",
        "p",
        "-z",
        "300GB",
        "-v",
        "3",
        "-P",
        "reclaim:time",
        "-a",
        str(acl),
        "-u",
        "bob",
        "-g",
        "ops",
    )
    assert dmg(*line).status == 0
    pool = dmg.management.pool("p")
    assert (pool.owner, pool.group, pool.acl.lines()) == ("bob@", "ops@", ("A::alice@:rw", "A:G:readers@:r"))
    assert (pool.properties["svc_rf"], pool.properties["reclaim"]) == (1, "time")
    assert (pool.ranks, pool.tiers) == ([0, 1, 2], [6 * 10**9, 94 * 10**9])
    assert {caller.role for _, caller in dmg.management.calls} == {Role.ADMIN}
    own = dmg("pool", "create", "q", "-z", "300GB", "-P", "svc_rf:0", "-v", "5")
    assert own.status == 0
    assert dmg.management.pool("q").properties["svc_rf"] == 0, "the property wins"


def test_an_access_list_goes_to_a_file_and_comes_back(dmg: Dmg, tmp_path: Path) -> None:
    dmg.with_pools()
    path = tmp_path / "acl"
    assert dmg("pool", "get-acl", "tank", "-O", str(path)).text == f"Wrote ACL to output file: {path}\n"
    assert path.read_text() == "# Owner: root@\n# Owner Group: root@\n# Entries:\nA::OWNER@:rw\nA:G:GROUP@:rw\n"
    refused = dmg("pool", "get-acl", "tank", "-O", str(path))
    assert f"file already exists: {path}" in refused.errors
    assert dmg("pool", "get-acl", "tank", "-O", str(path), "--force").status == 0
    path.write_text("A::bob@:r\n")
    replaced = dmg("pool", "overwrite-acl", "tank", "-a", str(path))
    assert replaced.text.splitlines()[0] == "Pool-overwrite-ACL command succeeded, ID: tank"
    assert dmg.management.pool("tank").acl.lines() == ("A::bob@:r",)
    path.write_text("# none\n")
    assert f"ACL file '{path}' contains no entries" in dmg("pool", "overwrite-acl", "tank", "-a", str(path)).errors
    path.write_bytes(b"\xff\n")
    assert "is no text" in dmg("pool", "update-acl", "tank", "-a", str(path)).errors
    path.write_text("A::eve@:r\n" + "#" * (1 << 20))
    assert f"ACL file '{path}' is too long" in dmg("pool", "overwrite-acl", "tank", "-a", str(path)).errors
    assert dmg.management.pool("tank").acl.lines() == ("A::bob@:r",), "no part of it counts"
    deleted = dmg("pool", "delete-acl", "tank", "-p", "u:bob@")
    assert deleted.text.endswith("# Entries:\n#   None\n")
    assert dmg("pool", "get-acl", "tank", "-j").json["response"] == {
        "ACL": {"entries": None, "owner_user": "root@", "owner_group": "root@"}
    }


def test_a_failed_access_list_has_an_empty_one_in_json(dmg: Dmg) -> None:
    told = dmg("pool", "get-acl", "nothing", "-j")
    assert told.status == 1
    assert told.json["status"] == -1005
    assert told.json["response"] == {"ACL": {"entries": None, "owner_user": "", "owner_group": ""}}


def test_no_pools(dmg: Dmg) -> None:
    for line in (["pool", "list"], ["pool", "ls", "-v"], ["pool", "list", "-n"], ["system", "list-pools"]):
        assert dmg(*line).text == "No pools in system\n"
        assert dmg(*line, "-j").json["response"] == {"status": 0, "pools": None}


def test_pools_that_come_and_go_are_listed_as_what_they_are(dmg: Dmg) -> None:
    dmg.with_pools()
    small = dmg.management.pool("small")
    for state in ("Creating", "Destroying"):
        small.state = state
        told = dmg("pool", "list")
        assert (told.status, told.errors) == (0, "")
        assert f"small 1.1 GB   {state}" in told.text
        assert "tank  322.1 GB Ready" in told.text
        assert state in dmg("pool", "list", "-v").text
        assert "small" not in dmg("pool", "list", "-r").text
        pools = json.loads(dmg("pool", "list", "-j").text)["response"]["pools"]
        told_of = {pool["label"]: (pool["state"], pool["total_targets"]) for pool in pools}
        assert told_of == {"small": (state, 0), "tank": ("Ready", 12)}
    dmg.management.pools.pop(dmg.management.pool("tank").uuid)
    assert dmg("pool", "list").status == 0


@pytest.mark.parametrize("gone", [True, False])
def test_a_pool_that_goes_while_pools_are_asked_is_no_failure(dmg: Dmg, *, gone: bool) -> None:
    dmg.with_pools()
    small = dmg.management.pool("small")

    def go(pool: FakePool) -> None:
        if pool is not small:
            return
        small.state = "Destroying"
        if gone:
            del dmg.management.pools[small.uuid]
            raise NotFoundError("unable to find pool service")

    dmg.management.before_query = go
    told = dmg("pool", "list")
    assert (told.status, told.errors) == (0, "")
    assert ("small" in told.text) is not gone
    assert "tank" in told.text


def test_a_pool_that_does_not_answer_is_told_beside_the_others(dmg: Dmg) -> None:
    dmg.with_pools()
    dmg.management.pool("small").label = "mute"
    told = dmg("pool", "list")
    assert told.status == 1
    assert "tank 322.1 GB Ready" in told.text
    assert "mute" not in told.text
    assert 'Query on pool "mute" unsuccessful, error: "unable to find any available service ranks' in told.errors


def test_what_a_pool_does_not_heal_is_told(dmg: Dmg) -> None:
    dmg.with_pools()
    dmg.management.pool("tank").properties["self_heal"] = "exclude"
    dmg.management.properties["self_heal"] = "exclude;pool_rebuild"
    text = dmg("pool", "query", "tank", "-t").text
    assert "- exclude disabled on pool due to system policy\n" in text
    assert "- rebuild disabled on pool due to policy\n" in text
    assert "disabled on pool" not in dmg("pool", "query", "tank", "-t", "--no-self-heal-check").text


def test_ranks_of_hosts_without_any(dmg: Dmg) -> None:
    assert "no ranks on hosts node[8-9]:10001" in dmg("system", "stop", "--rank-hosts", "node[8-9],node1").errors
    assert dmg.management.members[0].state == pb.MEMBER_STATE_JOINED


def test_erase_when_all_are_stopped(dmg: Dmg) -> None:
    dmg("system", "stop")
    assert dmg("system", "erase").text.splitlines()[2].split() == ["[0-2]", "erase", "OK"]


def test_debugging_tells_what_is_asked(dmg: Dmg, tmp_path: Path) -> None:
    assert "SystemQuery at 127.0.0.1:PORT: done in 0." in dmg("-d", "system", "query").errors
    log = tmp_path / "log"
    quiet = dmg("system", "query", "--debug", "--log-file", str(log), "-J")
    assert quiet.errors == ""
    (line,) = log.read_text().splitlines()
    assert list(json.loads(line)) == ["time", "level", "event"]
    assert dmg("system", "query").errors == ""


def test_set_logmasks_has_a_d_of_its_own(dmg: Dmg) -> None:
    assert dmg("server", "set-logmasks", "-d", "mgmt,md", "-m", "ERR", "-s", "net").status == 0
    (masks,) = dmg.server.masks
    assert (masks.masks, masks.streams, masks.subsystems) == ("ERR", "mgmt,md", "net")


@pytest.fixture(scope="module")
def secure_host() -> Iterator[Host]:
    host = Host(lambda: SERVER)
    yield host
    host.close()


def test_with_certificates(secure_host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    dmg = Dmg(secure_host, capfd)
    dmg.identity = lambda: ADMIN
    assert dmg("system", "query").status == 0
    assert dmg.management.calls[0][1].role is Role.ADMIN
    assert dmg("storage", "scan").status == 0
    dmg.identity = lambda: AUTHORITY.issue("agent")
    wrong = dmg("pool", "query", "tank")
    assert wrong.errors == (
        "ERROR: dmg: pool query failed: PoolQuery is not for the role agent: "
        "DER_NO_PERM(-1001): Operation not permitted\n"
        "hint: it takes the certificate admin.crt\n"
    )
    dmg.identity = None
    plain = dmg("pool", "list", "-j")
    assert "speaks TLS only" in plain.errors
    assert plain.json["status"] == -2043
    assert [name for name, _ in dmg.management.calls] == ["system_query"]


# The configuration


class _Config(ModuleType):
    """Stands for `daos.config`."""

    def __init__(self, insecure: bool, folder: Path) -> None:
        super().__init__("daos.config")
        self.asked: list[tuple[Path | None, dict[str, object]]] = []
        self._transport = SimpleNamespace(
            allow_insecure=insecure, ca_cert=folder / "ca", cert=folder / "crt", key=folder / "key"
        )

    def load_control(self, path: Path | None, overrides: dict[str, object]) -> object:
        self.asked.append((path, overrides))
        hosts = ("node1:10001", "node2:10001")
        insecure = overrides.get("transport_config.allow_insecure", self._transport.allow_insecure)
        transport = SimpleNamespace(**{**vars(self._transport), "allow_insecure": insecure})
        return SimpleNamespace(name="sys", port=10001, hosts=hosts, transport_config=transport)

    @staticmethod
    def control_file(home: str | None) -> Path | None:
        return None if home is None else Path(home) / ".daos_control.yml"


def _configured(monkeypatch: pytest.MonkeyPatch, folder: Path, *, insecure: bool) -> _Config:
    module = _Config(insecure, folder)
    monkeypatch.setitem(sys.modules, "daos.config", module)
    return module


def test_the_configuration_says_whom_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = _configured(monkeypatch, tmp_path, insecure=True)
    found = load(Flags(home="/home/me"))
    assert (found.hosts, found.identity, found.system, found.port) == (
        ("node1:10001", "node2:10001"),
        None,
        "sys",
        10001,
    )
    assert module.asked[0] == (Path("/home/me/.daos_control.yml"), {})
    load(Flags())
    assert module.asked[1:] == [(None, {})]
    named = tmp_path / "control.yml"
    with pytest.raises(InvalidError, match=f"failed to load control configuration: open {named}: no such file"):
        load(Flags(config=str(named)))
    named.write_text("")
    load(Flags(config=str(named)))
    assert module.asked[-1] == (named, {})


def test_certificates_are_read_unless_it_is_insecure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = _configured(monkeypatch, tmp_path, insecure=False)
    with pytest.raises(AccessError, match="cannot read"):
        load(Flags())
    assert load(Flags(insecure=True)).identity is None
    assert module.asked[-1][1] == {"transport_config.allow_insecure": True}
    for name, content in (("ca", ADMIN.ca), ("crt", ADMIN.certificate), ("key", ADMIN.key)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o400)
    identity = load(Flags()).identity
    assert isinstance(identity, IdentityFiles)
    assert identity() == ADMIN


def test_flags_stand_anywhere(dmg: Dmg) -> None:
    dmg("-o", "/a", "system", "-i", "query", "-j")
    assert dmg.flags == Flags(config="/a", insecure=True)
    dmg("system", "query", "--config-path", "/b", "--insecure")
    assert dmg.flags == Flags(config="/b", insecure=True)
    assert _settings.Flags() == Flags(config=None, insecure=False, home=None)


def test_proxies_are_for_who_allows_them(dmg: Dmg, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("https_proxy", nobody)
    assert dmg("system", "query").status == 0
    for words in (("--allow-proxy", "system", "query"), ("system", "query", "--allow-proxy")):
        refused = dmg(*words)
        assert refused.status == 1
        assert f"the proxy {nobody} cannot be reached" in refused.errors
    monkeypatch.setenv("https_proxy", "socks5://proxy:1080")
    refused = dmg("system", "query", "--allow-proxy")
    assert refused.errors.splitlines() == [
        "ERROR: dmg: system query failed: https_proxy names no proxy: DER_INVAL(-1003): Invalid parameters",
        "hint: such as http://proxy:3128; no https, no socks",
    ]


def test_metrics_come_by_a_proxy_only_if_that_is_allowed(dmg: Dmg, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("http_proxy", f"http://{nobody}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"# TYPE up gauge\nup 1\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name is given
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        words = ("telemetry", "metrics", "list", "-l", "127.0.0.1", "-p", str(server.server_address[1]))
        try:
            assert dmg(*words).status == 0
            assert "refused" in dmg(*words, "--allow-proxy").errors
        finally:
            server.shutdown()
