"""The tool `daos` on a running system, over a fake of its service: what it prints, and how it asks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import daos
from daos.cli import _main
from daos.cli._autotest import DESTROY, Step, Trial, run
from daos.cli._net_test import Measured, measure, percentile
from daos.client import _probe, served
from daos.errors import AccessError, BusyError, CorruptionError, UnavailableError
from tests.cli_tool import Result, Tool
from tests.fake_core import ContainerFake, FakeDisk, PoolFake
from tests.unit.cli.fake_service import FakeEngines, FakeService


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """Put a fake in the place of a running system."""
    fake = FakeService()
    monkeypatch.setattr(daos, "connect", fake.connect, raising=False)
    monkeypatch.setattr(served, "pools", fake.pools)
    monkeypatch.setattr(_probe, "Engines", FakeEngines)
    for core in (PoolFake, ContainerFake):
        monkeypatch.setattr(core, "service_request", fake.answer_of(), raising=False)
    return fake


@pytest.fixture
def remote(made: Tool, service: FakeService, disk: FakeDisk, capfd: pytest.CaptureFixture[str]) -> Tool:
    """Run a command line that names no embedded system."""
    assert made is not None
    assert service.asked == []

    def run_line(*words: str, system: str | None = None) -> Result:
        status = _main.run(list(words), system)
        captured = capfd.readouterr()
        assert all(not held.held for held in disk.systems.values()), "left open"
        return Result(status, captured.out, captured.err)

    return run_line


ACL = "# Owner: ada@\n# Owner Group: analysts@\n# Entries:\n"
OWN = "A::OWNER@:rwdtTaAo\n"
GROUP = "A:G:GROUP@:rwtT\n"
TIERS = (
    "- Storage tier 0 (SCM):\n  Total size: 6.0 kB\n  Free: 4.5 kB{each}\n"
    "- Storage tier 1 (NVME):\n  Total size: 0 B\n  Free: 0 B{none}\n"
)
HEALTH = (
    "Pool U, ntarget=6, disabled=0, leader=1, version=3, state=Ready\nPool health info:\n"
    "- Rebuild idle, 0 objs, 0 recs\n- Data redundancy: normal\n"
)
GOLDEN = [
    (
        "pool list",
        "Pool Size   State Used Imbalance Disabled \n---- ----   ----- ---- --------- -------- \n"
        "tank 6.0 kB Ready 25%  10%       0/6      \n\n",
    ),
    ("pool list -n", "Pool State \n---- ----- \ntank Ready \n\n"),
    ("pool query tank -t", HEALTH),
    ("pool query tank -t -e", HEALTH.replace("info:\n", "info:\n- Enabled ranks: [0-2]\n")),
    (
        "pool query tank",
        HEALTH
        + "Pool space info:\n- Target count:6\n"
        + TIERS.format(each=", min:700 B, max:800 B, mean:750 B", none=", min:0 B, max:0 B, mean:0 B"),
    ),
    ("pool query-targets tank --rank 1 --target-idx 0", "Target: state up_in\n" + TIERS.format(each="", none="")),
    ("pool list-cont tank", "Containers in pool tank:\n  Label UUID \n  ----- ---- \n  run7  U \n"),
    (
        "cont query tank run7",
        "  Container UUID             : U\n  Container Label            : run7\n  Container Type             : PYTHON\n"
        "  Pool UUID                  : U\n  Container redundancy factor: 0\n  Owner                      : ada@\n"
        "  Owner Group                : analysts@\n  Number of open handles     : 2\n"
        "  Latest open time           : 2025-07-26T23:59:48.075+00:00 (0x2000000000000000)\n"
        "  Number of snapshots        : 0\n\n",
    ),
    ("cont get-acl tank run7", ACL + OWN + GROUP),
    (
        "cont get-acl tank run7 -V",
        f"{ACL}# Allow::Owner:Read/Write/Delete-Container/Get-Prop/Set-Prop/Get-ACL/Set-ACL/Set-Owner\n{OWN}"
        f"# Allow:Group:Owner-Group:Read/Write/Get-Prop/Set-Prop\n{GROUP}",
    ),
    ("cont update-acl tank run7 -e A::bob@:r", f"{ACL}{OWN}{GROUP}A::bob@:r\n"),
    ("cont delete-acl tank run7 -P GROUP@", ACL + OWN),
    ("cont chown tank run7 -u root -g root", "Successfully set owner for container run7\n"),
    ("cont evict tank run7 --all", ""),
    ("cont destroy tank run7", "Successfully destroyed container run7\n"),
    ("kv get tank run7 params lr", "0.1"),
    (
        "system query",
        "connected to DAOS system:\n\tname: daos_server\n\tfabric provider: ofi+tcp\n\tagent path: /run/agent\n"
        "\taccess point ranks:\n\t\trank[0]: ofi+tcp://10.0.0.1:20000\n\trank URIs:\n"
        "\t\trank[0]: ofi+tcp://10.0.0.1:20000\n\t\trank[1]: ofi+tcp://10.0.0.2:20000\n"
        "\t\trank[2]: ofi+tcp://10.0.0.3:20000\n",
    ),
    (
        "health check",
        f"Checking DAOS system: daos_server\n\nComponent Build Information\n  Client: {daos.__version__}\n\n"
        "System Information\n  System Name: daos_server\n  Fabric Provider: ofi+tcp\n"
        "  Access Points: [10.0.0.1:20000]\n\nPool Status\n  tank: Healthy (4.5 kB Free)\n    Container Status\n"
        "      run7: Healthy\n",
    ),
]


@pytest.mark.parametrize(("line", "text"), GOLDEN, ids=[line for line, _ in GOLDEN])
def test_text(remote: Tool, line: str, text: str) -> None:
    result = remote(*line.split())
    assert re.sub(r"(UUID|----)  +\n", r"\1 \n", result.text) == text
    assert (result.status, result.errors) == (0, "")


def test_json(remote: Tool) -> None:
    def said(line: str) -> object:
        result = remote(*line.split(), "--json")
        assert (result.status, result.errors) == (0, "")
        return result.json["response"]

    assert said("cont get-acl tank run7") == {
        "entries": ["A::OWNER@:rwdtTaAo", "A:G:GROUP@:rwtT"],
        "owner_user": "ada@",
        "owner_group": "analysts@",
    }
    assert said("cont set-owner tank run7 -u me --no-check") is None
    assert said("cont evict tank run7") is None
    told = said("cont query tank run7")
    assert isinstance(told, dict)
    assert (told["num_handles"], told["health"]) == (2, "HEALTHY")
    assert told["open_time"] == "2025-07-26T23:59:48.075+00:00"
    listed = said("pool list")
    assert isinstance(listed, dict)
    (pool,) = listed["pools"]
    assert (pool["svc_ldr"], pool["svc_reps"], pool["total_engines"]) == (1, [0, 1, 2], 3)
    assert pool["usage"][0] == {"tier_name": "SCM", "size": 6000, "free": 4500, "imbalance": 10}
    assert said("pool list -n") == {
        "pools": [{"query_mask": "", "state": "Ready", "uuid": "U", "label": "tank", "svc_reps": [0, 1, 2]}]
    }
    targets = said("pool query-targets tank --rank 0")
    assert isinstance(targets, list)
    assert [(each["target_state"], each["space"][0]["free"]) for each in targets] == [("up_in", 4500)] * 2
    where = said("system query")
    assert isinstance(where, dict)
    assert where["access_point_rank_uris"] == [{"rank": 0, "uri": "ofi+tcp://10.0.0.1:20000"}]
    health = said("health check")
    assert isinstance(health, dict)
    assert list(health["pool_containers"]) == ["U"]


def test_what_only_reads_opens_for_reading(remote: Tool, service: FakeService) -> None:
    for line in ("pool query tank", "cont list tank", "kv get tank run7 params lr", "cont get-acl tank run7"):
        assert remote(*line.split()).status == 0
    assert set(service.modes) == {"r"}
    for line in (
        "kv put tank run7 params a b",
        "cont set-attr tank run7 a:1",
        "pool set-attr tank a:1",
        "cont update-acl tank run7 -e A::x@:r",
        "cont create-snap tank run7",
    ):
        service.modes.clear()
        assert remote(*line.split()).status == 0
        assert service.modes == ["rw"], line


def test_a_container_is_created_with_all_it_is_given_or_not_at_all(
    remote: Tool, service: FakeService, tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("# mine\nA::OWNER@:rw\n\nA::bob@:r\n")
    create = ("container", "create", "tank", "next", "-g", "readers", "-a", "a:1", "-A", str(acl))
    result = remote(*create)
    assert result.text.startswith('Attributes successfully set on container "next"\nSuccessfully created container U')
    assert [request.type for request in service.asked] == ["container_set_owner", "container_overwrite_acl"]
    assert service.asked[0].group == "readers@"
    assert service.acl == ["A::OWNER@:rw", "A::bob@:r"]
    assert remote("cont", "destroy", "tank", "next").status == 0
    service.refuse["container_overwrite_acl"] = AccessError("not you")
    assert remote(*create).status == 1
    assert "next" not in remote("cont", "list", "tank").text
    acl.write_text("# nothing\n")
    assert "contains no entries" in remote(*create).errors
    acl.write_text("junk\n")
    assert 'invalid ACL entry "junk"' in remote(*create).errors
    assert "no such file or directory" in remote("cont", "overwrite-acl", "tank", "run7", "-f", "/nope").errors


def test_an_access_list_is_written_to_a_file_that_can_be_given_back(remote: Tool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert remote("cont", "get-acl", "tank", "run7", "-O", str(out)).text == ACL + OWN + GROUP == out.read_text()
    assert "file already exists" in remote("cont", "get-acl", "tank", "run7", "-O", str(out)).errors
    assert remote("cont", "replace", "tank", "run7", "-f", str(out)).text == ACL + OWN + GROUP
    assert remote("cont", "get-acl", "tank", "run7", "-O", str(out), "-f").status == 0


def test_an_empty_access_list(remote: Tool, service: FakeService) -> None:
    service.acl = []
    assert remote("cont", "get-acl", "tank", "run7").text == ACL + "\n"
    told = remote("cont", "get-acl", "tank", "run7", "-j").json["response"]
    assert told == {"entries": [""], "owner_user": "ada@", "owner_group": "analysts@"}


BAD = [
    ("cont update-acl tank run7", "one of --entry or --acl-file must be supplied"),
    ("cont update-acl tank run7 -e A::a@:r -f x", "only one of --entry and --acl-file"),
    ("cont update-acl tank run7 -e junk", 'invalid ACL entry "junk"'),
    ("cont delete-acl tank run7 -P bob@", 'invalid principal "bob@"'),
    ("cont delete-acl tank run7", "the required flag `--principal' was not specified"),
    ("cont overwrite-acl tank run7", "the required flag `--acl-file' was not specified"),
    ("cont set-owner tank run7", "at least one of user or group must be supplied"),
    ("cont set-owner tank run7 -u no-such-user", "there is no user no-such-user: DER_NONEXIST"),
    ("cont set-owner tank run7 -g no-such-group", "there is no group no-such-group: DER_NONEXIST"),
    ("cont set-owner tank run7 -u a --uid 0 --no-check", "a user is given twice"),
    ("pool query-targets tank --rank x", "Invalid value"),
    ("pool query-targets tank --rank 0 --target-idx x", 'invalid argument for flag `--target-idx\': "x"'),
    ("pool query river", 'no pool "river" in daos_server: DER_NONEXIST'),
    ("-G prod pool query river", 'no pool "river" in prod: DER_NONEXIST'),
    ("-G a/b pool query tank", 'invalid system name "a/b"'),
    ("-G prod -S sys pool list", "--system names an embedded system, --sys-name a running one"),
    ("pool -S sys list -G prod", "--system names an embedded system, --sys-name a running one"),
    ("health net-test -s 2MiB", "a request of 2.0 MiB"),
    ("health net-test -t 1", 'tags "1" cannot be measured'),
    ("pool create new --size 1GB", "pools are created by the administrator of a running system: DER_NO_PERM(-1001)"),
    ("pool destroy tank", "pools are destroyed by the administrator of a running system: DER_NO_PERM(-1001)"),
    ("pool set-prop tank scrub:lazy", "properties of pools are changed by the administrator of a running system"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_one_line_and_an_envelope(remote: Tool, service: FakeService, line: str, message: str) -> None:
    result = remote(*line.split(), "--json")
    assert result.status == 1
    first, *rest = result.errors.splitlines()
    assert first.startswith("ERROR: daos: ")
    assert message in first
    assert all(more.startswith("hint: ") for more in rest)
    assert len(rest) <= 1
    assert result.json["response"] is None
    assert message in str(result.json["error"])
    assert service.asked == []


def test_an_administrator_s_command_is_named(remote: Tool) -> None:
    assert "dmg pool create new --size 1GB;" in remote("pool", "create", "new", "--size", "1GB").errors
    assert "dmg pool create new --size SIZE;" in remote("pool", "create", "new").errors
    assert "dmg pool set-prop tank scrub:lazy;" in remote("pool", "set-prop", "tank", "scrub:lazy").errors


def test_an_agent_that_is_absent(tool: Tool) -> None:
    for line in ("pool list", "pool query tank", "cont list tank", "system query", "health check", "health net-test"):
        result = tool(*line.split(), "-j", system=None)
        assert result.status == 1
        assert "/daos_agent.sock cannot be reached: No such file or directory: DER_AGENT_COMM(-2034)" in result.errors
        assert result.json["status"] == -2034, line


def test_the_variable_gives_way_to_a_name(remote: Tool, service: FakeService) -> None:
    assert remote("-G", "prod", "pool", "list", system="elsewhere").status == 0
    assert service.modes == ["r"]


def test_embedded_systems_say_what_they_have_not(made: Tool) -> None:
    for line in (
        "cont get-acl tank run7",
        "cont update-acl tank run7 -e A::x@:r",
        "cont set-owner tank run7 -u root",
        "cont evict tank run7",
        "cont create tank next -g root",
        "system query",
        "health net-test",
    ):
        result = made(*line.split())
        assert result.status == 1, line
        assert "DER_NOTSUPPORTED" in result.errors, line
    assert "next" not in made("cont", "list", "tank").text
    assert made("pool", "query-targets", "tank", "--rank", "0").text.startswith("Target: state up_in\n")
    assert "DER_NONEXIST" in made("pool", "query-targets", "tank", "--rank", "1").errors
    assert "run7: Healthy" in made("health", "check").text


def test_a_pool_that_does_not_answer_is_told_beside_the_others(remote: Tool, made: Tool, service: FakeService) -> None:
    made("pool", "create", "other")
    service.usable.append("other")
    service.refuse["pool_query"] = UnavailableError("nobody leads")
    result = remote("pool", "list")
    assert (result.status, result.text) == (1, "No pools in system\n")
    assert result.errors.count('Query on pool "') == 2
    check = remote("health", "check")
    assert check.status == 1
    assert "  tank: Unhealthy (nobody leads: DER_NO_SERVICE(-2039): No service available)" in check.text


def test_a_pool_with_targets_that_are_gone(remote: Tool, service: FakeService) -> None:
    service.disabled = 2
    text = remote("pool", "query", "tank", "-t").text
    assert "disabled=2, leader=1, version=3, state=TargetsExcluded\n" in text
    assert "- Disabled ranks: 2\n" in text
    assert "- Data redundancy: degraded\n" in text
    check = remote("health", "check")
    assert (check.status, "tank: Degraded" in check.text) == (1, True)
    assert "pool tank: 2 of 6 targets are disabled" in check.errors


def test_net_test(remote: Tool) -> None:
    good = remote("health", "net-test", "-r", "0-1", "-c", "20", "-m", "4")
    assert good.status == 0
    assert re.findall(r"Server Endpoint: (\S+)", good.text) == ["0:0", "1:0"]
    assert "  RPCs Per Server: 20\n" in good.text
    bad = remote("health", "net-test", "-c", "20", "-j")
    assert bad.status == 1
    told = bad.json["response"]
    assert isinstance(told, dict)
    fails = [one["target_latencies"] for one in told["results"]]
    assert [next(iter(one.values()))["fail_count"] for one in fails] == [0, 0, 20]
    assert "rank 2: the engine does not believe you" in bad.errors
    assert "rank 9: there is no rank 9" in remote("health", "net-test", "-r", "9").errors


def test_what_requests_took() -> None:
    assert [percentile(range(1, 101), at) for at in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile((), 50) == 0
    assert percentile((7,), 1) == 7
    one = Measured(0, (1, 3), 2, 0.5)
    assert (one.total, one.per_second, one.mean_ns, one.deviation_ns) == (4, 4.0, 2, 1)
    assert Measured(0, (), 3, 0.0).deviation_ns == 0
    done = measure(0, lambda: None, 50, 8, deadline=float("inf"))
    assert (len(done.took_ns), done.failed) == (50, 0)
    assert measure(0, lambda: None, 50, 8, deadline=0.0).failed == 50
    calls: list[int] = []

    def third() -> None:
        calls.append(1)
        if len(calls) >= 3:
            raise BusyError("enough")

    failed = measure(0, third, 50, 1, deadline=float("inf"))
    assert (len(failed.took_ns), failed.failed, str(failed.error)[:6]) == (2, 48, "enough")


def test_autotest(made: Tool) -> None:
    result = made("pool", "autotest", "tank", "--count", "128", "--skip-big")
    assert result.status == 0, result.text
    rows = [line.split() for line in result.text.splitlines()[2:]]
    numbers = "1 2 3 10 11 20 21 23 24 25 26 27 28 30 40 98"
    assert " ".join(row[0] for row in rows) == numbers
    assert [line for line in result.text.splitlines() if " SKIP " in line] == [
        "27   Inserting 1MB values       SKIP   0.000     asked for",
        "28   Reading 1MB values back    SKIP   0.000     asked for",
    ]
    assert made("cont", "list", "tank").text.count("\n") == 4, "its container is gone"
    late = made("pool", "autotest", "tank", "-D", "0.000001", "-j")
    assert late.status == 1
    told = late.json["response"]
    assert isinstance(told, list)
    assert [one["status"] for one in told] == ["FAIL", *["SKIP"] * 14, "PASS"]


def test_autotest_tells_what_reads_back_otherwise(made: Tool) -> None:
    def broken(trial: Trial, _: object) -> str:
        trial.pool.container(trial.label, create=True)
        raise CorruptionError("other bytes")

    steps = (Step(1, "Breaking", broken), Step(2, "Going on", lambda *_: "never"))
    assert made is not None
    with daos.open_system("sys", create=False) as system:
        trial = Trial(system.pool("tank"), "trial", float("inf"), 1)
        outcomes = list(run(trial, skip_big=False, told=lambda *_: None, steps=steps))
        assert [(one.number, one.status) for one in outcomes] == [(1, "FAIL"), (2, "SKIP"), (DESTROY.number, "PASS")]
        assert outcomes[0].comment == "other bytes: DER_CSUM(-2021): Checksum error"
        assert [each.label for each in system.pool("tank").containers()] == ["run7"]
