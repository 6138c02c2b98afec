"""Configuration files: what is taken, what is refused, and at which line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from daos.config import (
    AgentConfig,
    ControlConfig,
    Host,
    Section,
    ServerConfig,
    control_file,
    load_agent,
    load_control,
    load_server,
    schema,
)
from daos.errors import InvalidError

DEPLOY = Path(__file__).parents[3] / "deploy"

ENGINE = """\
engines:
- targets: 4
  fabric_iface: lo
  fabric_iface_port: 20000
  log_file: /tmp/engine0.log
  storage:
  - class: ram
    scm_mount: /mnt/daos0
    scm_size: 4
"""
INSECURE = "transport_config:\n  allow_insecure: true\n"


def uncommented(text: str) -> str:
    """Turn on the commented keys of a sample."""
    return "\n".join("" if re.match(r"#?\s*##", line) else re.sub(r"^#", "", line) for line in text.splitlines())


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.yml"
    path.write_text(text)
    return path


def server(tmp_path: Path, text: str, **overrides: object) -> ServerConfig:
    return load_server(write(tmp_path, text), overrides, check_files=False)


def refusal(tmp_path: Path, text: str) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        server(tmp_path, text)
    return caught.value


def test_samples_as_they_come() -> None:
    assert load_server(DEPLOY / "daos_server.yml", check_files=False).engines == ()
    assert load_agent(DEPLOY / "daos_agent.yml", check_files=False).port == 10001
    assert load_control(DEPLOY / "daos_control.yml", check_files=False).hosts == (Host("localhost", 10001),)


def test_samples_with_all_keys_turned_on(tmp_path: Path) -> None:
    text = uncommented((DEPLOY / "daos_server.yml").read_text())
    assert "## " not in text
    config = server(tmp_path, text.replace("control_log_mask: INFO", "control_log_mask: debug"))
    assert [str(host) for host in config.replicas] == ["server1:10001", "server2:10001", "server3:10001"]
    assert (config.control_log_mask, config.core_dump_filter) == ("DEBUG", 0x13)
    first, second = config.engines
    assert (first.targets, first.pinned_numa_node, second.first_core) == (8, 0, 16)
    assert (first.memory.scm_mount, first.memory.scm_size) == (Path("/mnt/daos/0"), 16)
    assert first.devices[0].bdev_list == ("0000:81:00.0", "0000:82:00.0")
    assert [tier.storage_class for tier in second.storage] == ["ram", "file", "kdev"]
    assert config.control_metadata is not None
    assert config.control_metadata.directory == Path("/var/lib/daos_server/daos_control")

    agent_file = write(tmp_path, uncommented((DEPLOY / "daos_agent.yml").read_text()))
    agent = load_agent(agent_file, check_files=False)
    users = agent.credential_config.client_user_map
    assert (users["1000"].user, users["1000"].groups) == ("ada", ("readers", "writers"))
    assert users["default"].group == "nobody"
    assert (agent.telemetry_retain, agent.credential_config.cache_expiration) == (60, 30)

    control_path = write(tmp_path, uncommented((DEPLOY / "daos_control.yml").read_text()))
    control = load_control(control_path, check_files=False)
    assert [str(host) for host in control.hosts] == [*(f"server{n}:10001" for n in (1, 2, 3)), "other:10001"]


def test_keys_of_daos_that_mean_nothing_here_are_taken_and_told(tmp_path: Path) -> None:
    config = server(
        tmp_path,
        """\
access_points: ['hostname1:10001']
provider: ofi+verbs;ofi_rxm
crt_ctx_share_addr: 0
disable_srx: false
fabric_auth_key: foo:bar
bdev_include: ["0000:81:00.0","0000:81:00.2"]
bdev_exclude: ["0000:81:00.1"]
disable_vfio: true
disable_vmd: true
enable_hotplug: true
hyperthreads: true
nr_hugepages: -1
disable_hugepages: false
allow_numa_imbalance: true
allow_thp: true
kernel_config_path: /boot/config
helper_log_file: /tmp/helper.log
firmware_helper_log_file: /tmp/firmware.log
telemetry_config:
  telemetry_port: 9191
fault_cb: ./.daos/fd_callback
control_metadata: {path: /var/daos/config}
engines:
- rank: 0
  targets: 16
  nr_xs_helpers: 4
  pinned_numa_node: 0
  first_core: 0
  bypass_health_chk: true
  fabric_iface: ib0
  fabric_iface_port: 20000
  modules: vos,rdb
  env_vars: [CRT_TIMEOUT=30]
  accel_engine: spdk
  accel_opt_move: true
  accel_opt_crc: true
  acceleration: {engine: dml, options: [move, crc]}
  spdk_rpc_server: {enable: true, sock_addr: /tmp/spdk.sock}
  spdk_iobuf: {small_pool_count: 1, large_pool_count: 1}
  allow_spdk_conf_override: true
  storage:
  - {class: ram, scm_mount: /mnt/daos/1, scm_hugepages_disabled: true}
  - {class: nvme, bdev_list: [0000:81:00.0], bdev_busid_range: 0x80-0x8f, bdev_roles: [data, meta, wal]}
""",
    )
    told = list(config.ignored())
    assert "nr_hugepages" in told
    assert "engines[0].acceleration.engine" in told
    assert "engines[0].storage[1].bdev_busid_range" in told
    assert "engines[0].targets" not in told
    assert config.telemetry_port == 9191
    assert config.replicas == (Host("hostname1", 10001),)


def test_an_unquoted_pci_address_is_no_number_to_the_base_of_60(tmp_path: Path) -> None:
    config = server(tmp_path, ENGINE + "  - class: nvme\n    bdev_list: [0000:18:00.0, 0000:19:00.0]\n")
    assert config.engines[0].devices[0].bdev_list == ("0000:18:00.0", "0000:19:00.0")


def test_defaults_and_what_follows_from_others(tmp_path: Path) -> None:
    config = server(tmp_path, "port: 7001\nmgmt_svc_replicas: host1\nfault_path:\n")
    assert (config.port, config.raft_port, config.name) == (7001, 7002, "daos_server")
    assert config.replicas == (Host("host1", 7001),)
    assert config.fault_domain.startswith("/")
    assert config.engine_restart_min_s == 300
    assert server(tmp_path, "engine_auto_restart_min_delay: 5").engine_restart_min_s == 5
    assert server(tmp_path, "").transport_config.key == Path("/etc/daos/certs/server.key")


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "port: 7001\ntransport_config:\n  ca_cert: /ca.crt\n")
    config = load_server(path, {"port": 8001, "transport_config.allow_insecure": True})
    assert (config.port, config.raft_port) == (8001, 8002)
    assert config.transport_config.allow_insecure
    assert config.transport_config.ca_cert == Path("/ca.crt")
    with pytest.raises(InvalidError, match="transport_config"):
        load_server(write(tmp_path, "transport_config: 5"), {"transport_config.allow_insecure": True})


@pytest.mark.parametrize(
    ("text", "line", "key", "what", "hint"),
    [
        ("name: a\nprot: 5\n", 2, "prot", "unknown key", "did you mean port?"),
        (ENGINE + "  target: 4\n", 10, "engines[0].target", "unknown key", "did you mean targets?"),
        (ENGINE + "  xyzzy: 4\n", 10, "engines[0].xyzzy", "unknown key", "known are: rank, targets"),
        ("port: 5\n\nport: 6\n", 3, None, "port is given twice", "line 1"),
        ("port: many\n", 1, "port", '"many" is not a whole number', "The control port"),
        ("port: '10001'\n", 1, "port", '"10001" is not a whole number', ""),
        ("port: 0\n", 1, "port", "0 is too small", "1 to 65535"),
        ("port: 70000\n", 1, "port", "70000 is too large", "1 to 65535"),
        ("port: 1.5\n", 1, "port", "not a whole number", ""),
        ("port: [1]\n", 1, "port", "a list is not a whole number", ""),
        ("engines: 5\n", 1, "engines", "5 is not a list", "The engines"),
        ("engines:\n- 5\n", 2, "engines[0]", "5 is not a mapping", ""),
        ("engines:\n- targets: 1\n", 2, "engines[0].fabric_iface", "is missing", "network interface"),
        ("disable_vfio: maybe\n", 1, "disable_vfio", '"maybe" is not true or false', ""),
        ("control_log_mask: LOUD\n", 1, "control_log_mask", "none of the values", "'TRACE'"),
        ("name: 'a b'\n", 1, "name", "no name of a system", "1 to 15"),
        ("name: abcdefghijklmnop\n", 1, "name", "no name of a system", "1 to 15"),
        ("name: ''\n", 1, "name", "no name of a system", ""),
        ("socket_dir: ''\n", 1, "socket_dir", '"" is not a path', ""),
        ("provider: bluetooth\n", 1, "provider", "no provider", "ofi+tcp"),
        ("fault_path: rack1\n", 1, "fault_path", "no fault domain", "/rack1/host3"),
        ("fault_path: /a\nfault_cb: /b\n", 2, "fault_cb", "fault_path is given as well", "one of the two"),
        ("client_env_vars:\n- A=1\n- B\n", 3, "client_env_vars[1]", "no variable", "NAME=VALUE"),
        ("mgmt_svc_replicas: [a, b]\n", 1, "mgmt_svc_replicas", "2 replicas", "odd number"),
        ("mgmt_svc_replicas: []\n", 1, "mgmt_svc_replicas", "is empty", "odd number"),
        ("access_points:\n- a\n- b\n- a:10001\n", 4, "access_points[2]", "there twice", "once"),
        ("mgmt_svc_replicas: ['a b']\n", 1, "mgmt_svc_replicas[0]", "no host", "host:port"),
        ("mgmt_svc_replicas: ['a:0']\n", 1, "mgmt_svc_replicas[0]", "no valid port", "1 to 65535"),
        ("mgmt_svc_replicas: [a]\naccess_points: [b]\n", 2, "access_points", "differs", "older name"),
        ("engine_restart_min_s: 3\nengine_auto_restart_min_delay: 4\n", 2, "engine_auto_restart_min_delay", "dif", ""),
        ("port: 9191\ntelemetry_port: 9191\n", 2, "telemetry_port", "9191 is port as well", "own"),
        ("raft_port: 10001\n", 1, "raft_port", "10001 is port as well", "own"),
        ("- 5\n", 1, None, "not a mapping", "key: value"),
        ("port: {\n", 2, None, "no YAML", "tabs"),
        ("a:\n\tb: 5\n", 2, None, "no YAML", "tabs"),
        ("port: !!python/object:os.system 5\n", 1, None, "the tag", "remove"),
        ("? [a]\n: 5\n", 1, None, "a key is a word", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, key: str | None, what: str, hint: str
) -> None:
    error = refusal(tmp_path, text)
    assert error.message.startswith(f"{tmp_path}/some.yml:{line}: {key or ''}")
    assert what in error.message
    assert hint in (error.hint or "")
    assert "\n" not in error.message
    if key is not None:
        assert (error.context["line"], error.context["key"]) == (line, key)


SECOND = """\
- targets: 2
  fabric_iface: lo
  fabric_iface_port: 20005
  log_file: /tmp/engine1.log
  storage:
  - class: ram
    scm_mount: /mnt/daos1
"""


def test_two_engines_beside_each_other(tmp_path: Path) -> None:
    config = server(tmp_path, ENGINE + SECOND)
    assert [list(engine.ports)[:: len(engine.ports) - 1] for engine in config.engines] == [
        [20000, 20004],
        [20005, 20007],
    ]


@pytest.mark.parametrize(
    ("was", "now", "key", "what"),
    [
        ("20005", "20004", "engines[1].fabric_iface_port", "clash with 20000 to 20004 of engines[0] on lo"),
        ("20005", "19999", "engines[1].fabric_iface_port", "clash"),
        ("20005", "10000", "engines[1].fabric_iface_port", "hold port 10001"),
        ("20005", "65534", "engines[1].fabric_iface_port", "no port for each of 2 targets"),
        ("engine1", "engine0", "engines[1].log_file", "is of engines[0] as well"),
        ("daos1", "daos0", "engines[1].storage[0].scm_mount", "is of engines[0] as well"),
        ("- targets: 2", "- rank: 1\n  targets: 2", "engines[1].rank", "the rank 1 is of engines[0] as well"),
    ],
)
def test_what_engines_may_not_share(tmp_path: Path, was: str, now: str, key: str, what: str) -> None:
    first = ENGINE.replace("- targets: 4", "- rank: 1\n  targets: 4")
    error = refusal(tmp_path, first + SECOND.replace(was, now))
    assert error.context["key"] == key
    assert what in error.message


def test_the_same_ports_on_two_interfaces(tmp_path: Path) -> None:
    other = SECOND.replace("fabric_iface: lo", "fabric_iface: eth0").replace("20005", "20000")
    assert len(server(tmp_path, ENGINE + other).engines) == 2


@pytest.mark.parametrize(
    ("storage", "key", "what"),
    [
        ("[]", "engines[0].storage", "there is no storage tier"),
        ("[{class: file, bdev_list: [/a], bdev_size: 1}]", "engines[0].storage[0].class", "the first tier is file"),
        ("[{class: ram}]", "engines[0].storage[0]", "scm_mount is missing"),
        ("[{class: tape, scm_mount: /m}]", "engines[0].storage[0].class", '"tape" is none of the values'),
        ("[{class: ram, scm_mount: /m, scm_list: [/d]}]", "engines[0].storage[0].scm_list", "means nothing for ram"),
        ("[{class: ram, scm_mount: /m, scm_size: 1}]", "engines[0].storage[0].scm_size", "1 GiB is too small for 32"),
        ("[{class: ram, scm_mount: /m, bdev_roles: [wal]}]", "engines[0].storage[0].bdev_roles", "means nothing"),
        ("[{class: dcpm, scm_mount: /m}]", "engines[0].storage[0]", "0 devices"),
        (
            "[{class: dcpm, scm_mount: /m, scm_list: [/d], scm_size: 2}]",
            "engines[0].storage[0].scm_size",
            "nothing for",
        ),
    ],
)
def test_tiers_of_memory(tmp_path: Path, storage: str, key: str, what: str) -> None:
    text = f"engines:\n- targets: 32\n  fabric_iface: lo\n  fabric_iface_port: 20000\n  storage: {storage}\n"
    error = refusal(tmp_path, text)
    assert str(error.context["key"]).startswith(key)
    assert what in error.message


@pytest.mark.parametrize(
    ("tiers", "what"),
    [
        (["{class: ram, scm_mount: /n}"], "a second tier of ram"),
        (["{class: nvme}"], "nvme without bdev_list"),
        (["{class: nvme, bdev_list: [/dev/sda]}"], "no PCI address"),
        (["{class: nvme, bdev_list: ['0000:81:00.0'], scm_mount: /m}"], "scm_mount: means nothing for nvme"),
        (["{class: nvme, bdev_list: ['0000:0A:00.0', '0000:0a:00.0']}"], "there twice"),
        (["{class: nvme, bdev_list: ['0000:99:00.0']}"], "in bdev_exclude"),
        (["{class: file, bdev_list: [/a]}"], "file without bdev_size"),
        (["{class: kdev, bdev_list: [sda]}"], "no absolute path"),
        (["{class: kdev, bdev_list: [/a]}", "{class: kdev, bdev_list: [/a]}"], "in another tier as well"),
        (["{class: kdev, bdev_list: [/a], bdev_roles: [wal]}", "{class: kdev, bdev_list: [/b]}"], "has no bdev_roles"),
        (["{class: kdev, bdev_list: [/a], bdev_roles: [wal, wal]}"], "a role is there twice"),
        (["{class: kdev, bdev_list: [/a], bdev_roles: [wal, meta]}"], "0 tiers have the role data"),
        (["{class: kdev, bdev_list: [/a], bdev_roles: [tea]}"], '"tea" is none of the values'),
        (
            [
                "{class: kdev, bdev_list: [/a], bdev_roles: [wal, data]}",
                "{class: kdev, bdev_list: [/b], bdev_roles: [meta]}",
            ],
            "wal and data without meta",
        ),
        (
            [
                "{class: kdev, bdev_list: [/a], bdev_roles: [wal, meta]}",
                "{class: kdev, bdev_list: [/b], bdev_roles: [meta, data]}",
            ],
            "2 tiers have the role meta",
        ),
        (["{class: kdev, bdev_list: [/a], bdev_roles: [wal, meta, data]}"], "roles need control_metadata"),
        (["{class: nvme, bdev_list: ['0000:81:00.0'], bdev_busid_range: 9-1}"], "no range of bus ids"),
        ([f"{{class: kdev, bdev_list: [/d{n}]}}" for n in range(4)], "5 tiers"),
    ],
)
def test_tiers_of_devices(tmp_path: Path, tiers: list[str], what: str) -> None:
    text = ENGINE + "".join(f"  - {tier}\n" for tier in tiers) + "bdev_exclude: ['0000:99:00.0']\n"
    error = refusal(tmp_path, text)
    assert any(what in line for line in map(str, error.context["problems"]))  # type: ignore[call-overload]


def test_dcpm_takes_the_role_data_only(tmp_path: Path) -> None:
    dcpm = ENGINE.replace("class: ram", "class: dcpm").replace("scm_size: 4", "scm_list: [/dev/pmem0]")
    tier = "  - {class: kdev, bdev_list: [/a], bdev_roles: [ROLES]}\n"
    assert server(tmp_path, dcpm + tier.replace("ROLES", "data")).engines[0].devices[0].bdev_roles == ("data",)
    assert "keeps wal and meta itself" in refusal(tmp_path, dcpm + tier.replace("ROLES", "data, wal, meta")).message


def test_engine_keys_against_each_other(tmp_path: Path) -> None:
    error = refusal(tmp_path, ENGINE + "  pinned_numa_node: 0\n  first_core: 3\n")
    assert (error.context["line"], error.context["key"]) == (11, "engines[0].first_core")
    assert "no log mask" in refusal(tmp_path, ENGINE + "  log_mask: LOUD\n").message
    config = server(tmp_path, ENGINE + "  log_mask: info,net=debug\n  env_vars: [A=1, B=x=y, A=2]\n")
    assert config.engines[0].log_mask == "INFO,NET=DEBUG"
    assert config.engines[0].environment == {"A": "2", "B": "x=y"}


def test_the_first_of_several_is_told_and_how_many_more(tmp_path: Path) -> None:
    error = refusal(tmp_path, "prot: 1\nport: 0\nname: 'a b'\n")
    assert error.message.endswith("(and 2 more)")
    assert error.context["line"] == 1
    assert len(error.context["problems"]) == 3  # type: ignore[arg-type]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="No such file") as caught:
        load_server(tmp_path / "none.yml")
    assert "-o" in str(caught.value.hint)
    with pytest.raises(InvalidError, match="Is a directory"):
        load_server(tmp_path)
    path = tmp_path / "some.yml"
    path.write_bytes(b"name: a\nport: \xff\n")
    with pytest.raises(InvalidError, match=":2: no UTF-8"):
        load_server(path)
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(InvalidError, match="longer than"):
        load_server(path)


def test_a_small_file_does_not_grow(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    assert "too much" in refusal(tmp_path, bomb).message
    assert "too much, or too deep" in refusal(tmp_path, "a: &a [*a]\n").message
    assert "too deep" in refusal(tmp_path, "[" * 100 + "]" * 100).message
    assert "too deep" in refusal(tmp_path, "[" * 100_000).message


def test_aliases_are_taken(tmp_path: Path) -> None:
    config = server(tmp_path, "mgmt_svc_replicas: &hosts [a]\naccess_points: *hosts\n")
    assert config.replicas == (Host("a", 10001),)


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    path = write(
        tmp_path, f"transport_config:\n  ca_cert: {tmp_path}/ca.crt\n  cert: {tmp_path}/c\n  key: {tmp_path}/k\n"
    )
    (tmp_path / "ca.crt").touch()
    for load in (load_server, load_agent, load_control):
        with pytest.raises(InvalidError, match=r":3: transport_config.cert: there is no file .*and 1 more"):
            load(path)
    (tmp_path / "c").touch()
    (tmp_path / "k").touch()
    assert load_agent(path).transport_config.cert == tmp_path / "c"
    assert load_server(write(tmp_path, INSECURE)).transport_config.allow_insecure


def test_programs_that_are_not_there(tmp_path: Path) -> None:
    program = tmp_path / "program"
    text = INSECURE + f"fault_cb: {program}\nsupport_config:\n  file_transfer_exec: {program}\n"
    path = write(tmp_path, text)
    with pytest.raises(InvalidError, match=r":3: fault_cb: .* is no program that can be run \(and 1 more\)"):
        load_server(path)
    program.touch(mode=0o644)
    assert load_server(path, check_files=False).fault_cb == program
    program.chmod(0o755)
    assert load_server(path).support_config.file_transfer_exec == program


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ("access_points: []\n", "access_points", "is empty"),
        ("access_points: [':5']\n", "access_points[0]", "no host"),
        ("telemetry_retain: soon\ntelemetry_port: 1\n", "telemetry_retain", "no duration"),
        ("telemetry_retain: 5m\n", "telemetry_retain", "needs telemetry_port"),
        ("telemetry_enabled: true\n", "telemetry_enabled", "needs telemetry_port"),
        ("telemetry_port: 1\ntelemetry_enabled_procs: '('\n", "telemetry_enabled_procs", "no regular expression"),
        (
            "telemetry_port: 1\ntelemetry_enabled_procs: a\ntelemetry_disabled_procs: b\n",
            "telemetry_disabled_procs",
            "as well",
        ),
        ("include_fabric_ifaces: [a]\nexclude_fabric_ifaces: [b]\n", "exclude_fabric_ifaces", "as well"),
        ("cache_expiration: -1\n", "cache_expiration", "too small"),
        (
            "credential_config: {client_user_map: {ada: {user: a, group: b}}}\n",
            "credential_config",
            "neither a uid nor",
        ),
        ("credential_config: {client_user_map: {7: {user: a}}}\n", "credential_config", "is missing"),
        ("credential_config: {client_user_map: {7: {user: 'a:b', group: c}}}\n", "credential_config", "invalid princ"),
        ("credential_config: {client_user_map: {7: {usr: a, group: b}}}\n", "credential_config", "unknown key"),
        ("mgmt_svc_replicas: [a]\naccess_points: [b]\n", "access_points", "differs"),
    ],
)
def test_agents(tmp_path: Path, text: str, key: str, what: str) -> None:
    with pytest.raises(InvalidError, match=what) as caught:
        load_agent(write(tmp_path, text), check_files=False)
    assert str(caught.value.context["key"]).startswith(key)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5", 1.5), ("1h30m", 5400), ("500ms", 0.5)])
def test_durations(tmp_path: Path, text: str, seconds: float) -> None:
    config = load_agent(write(tmp_path, f"telemetry_port: 1\ntelemetry_retain: {text}\n"), check_files=False)
    assert config.telemetry_retain == seconds


def test_agents_take_the_newer_name_too(tmp_path: Path) -> None:
    config = load_agent(write(tmp_path, "mgmt_svc_replicas: [a, b]\nruntime_dir: /run/x\n"), check_files=False)
    assert config.replicas == (Host("a", 10001), Host("b", 10001))
    assert config.socket == Path("/run/x/daos_agent.sock")


def test_the_file_of_dmg(tmp_path: Path) -> None:
    assert control_file(tmp_path) in (None, Path("/etc/daos/daos_control.yml"))
    (tmp_path / ".daos_control.yml").write_text("hostlist: node[01-03]:7\n")
    path = control_file(tmp_path)
    config = load_control(path, check_files=False)
    assert list(map(str, config.hosts)) == ["node01:7", "node02:7", "node03:7"]
    assert load_control(None, {"hostlist": ("a", "b")}, check_files=False).hosts[1] == Host("b", 10001)
    with pytest.raises(InvalidError, match="no valid range"):
        load_control(write(tmp_path, "hostlist: ['node[3-1]']\n"), check_files=False)


@pytest.mark.parametrize("kind", [ServerConfig, AgentConfig, ControlConfig])
def test_schemas(kind: type[Section]) -> None:
    made = schema(kind)
    json.dumps(made)
    properties = made["properties"]
    assert isinstance(properties, dict)
    assert "transport_config" in properties
    assert all("description" in one or "$ref" in one for one in properties.values())
    assert made["additionalProperties"] is False


def test_configurations_are_frozen(tmp_path: Path) -> None:
    config = server(tmp_path, "")
    with pytest.raises(ValueError, match="frozen"):
        config.port = 5
