"""Logs that are collected on this host: which lines, where to, and what the tools say of it.

DAOS_GOLDEN=write in the environment writes their files anew; what changed is then seen in the difference.
"""

from __future__ import annotations

import os
import re
import socket
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from daos.agent.main import run as run_agent
from daos.cli._output import table
from daos.errors import AccessError, InvalidError
from daos.mgmt import logs
from daos.mgmt.logs import Collected, Span, collect
from daos.server.main import run as run_server

GOLDEN = Path(__file__).parent / "golden"
HOST = socket.gethostname().split(".", maxsplit=1)[0]
LOG = b"2026-01-01T00:00:00Z one\n2026-01-02T00:00:00Z two\n  more of two\n2026-01-03T00:00:00Z three\n"


def tools(directory: Path) -> dict[str, tuple[Callable[[Sequence[str]], int], Path]]:
    """Return the tools, each with a configuration whose logs are in a directory."""
    for name in ("daos_server.log", "engine0.log", "daos_agent.log"):
        (directory / name).write_bytes(LOG)
    storage = [{"class": "ram", "scm_mount": str(directory / "scm"), "scm_size": 4}]
    engine = {"targets": 1, "fabric_iface": "lo", "fabric_iface_port": 31316, "storage": storage}
    engines = [engine | {"log_file": str(directory / "engine0.log")}]
    server, agent = directory / "server.yml", directory / "agent.yml"
    server.write_text(yaml.safe_dump({"control_log_file": str(directory / "daos_server.log"), "engines": engines}))
    plain = {"allow_insecure": True}
    agent.write_text(yaml.safe_dump({"transport_config": plain, "log_file": str(directory / "daos_agent.log")}))
    return {"daos_server": (lambda words: run_server(list(words)), server), "daos_agent": (run_agent, agent)}


CASES = {
    "daos_server": (
        "support collect-log -t DIR/out",
        "support collect-log -t DIR/out -e server -D 2026-01-02 -F 2026-01-02 --archive",
        "support collect-log -t DIR/out -e admin -S 01:00:00 -D 2026-01-01 -E 02:00:00 -F 2026-01-02",
        "support collect-log -t DIR/out -c DIR/more",
        "support collect-log -t DIR/out -e what",
        "support collect-log -t DIR/out -c absent",
        "support collect-log -t DIR/out -S 01:00:00",
        "support collect-log -t DIR/out -D 2026-13-01",
        "support collect-log -t DIR/out -D 2026-01-02 -F 2026-01-01",
        "support collect-log -t DIR/server.yml/x",
    ),
    "daos_agent": (
        "support collect-log -t DIR/out",
        "support collect-log -t DIR/out -D 2026-01-02 -F 2026-01-02 --archive",
        "support collect-log -t DIR/out -c DIR/more",
        "support collect-log -t DIR/out -c absent",
        "support collect-log -t DIR/out -F x",
        "support collect-log -t DIR/agent.yml/x",
    ),
}


@pytest.mark.parametrize("tool", CASES)
def test_what_the_tools_say(tool: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, config = tools(tmp_path)[tool]
    (tmp_path / "more").mkdir()
    (tmp_path / "more/core").write_bytes(b"x" * 5000)
    told = []
    for line in CASES[tool]:
        for words in (line.split(), [*line.split(), "-j"] if tool == "daos_server" else ["-j", *line.split()]):
            status = run(["-o", str(config), *(word.replace("DIR", str(tmp_path)) for word in words)])
            said = capfd.readouterr()
            shown = " ".join([tool, *words])
            ends = [f"[{status}]\n"] if status else []
            told.append("".join([f"$ {shown}\n", said.out, said.err, *ends]))
    text = re.sub(rf"{re.escape(HOST)} +", "HOST ", "\n".join(told).replace(str(tmp_path), "DIR"))
    # What is as wide as the name of this host.
    text = re.sub(r"^(Host|----) +", r"\1 ", text.replace(HOST, "HOST"), flags=re.MULTILINE).replace(" \n", "~\n")
    path = GOLDEN / f"{tool}-collect-log.txt"
    if os.environ.get("DAOS_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_files_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    run, config = tools(tmp_path)["daos_server"]
    (tmp_path / "more/deep").mkdir(parents=True)
    (tmp_path / "more/deep/core").write_bytes(b"x")
    (tmp_path / "more/link").symlink_to("/etc/passwd")
    out = tmp_path / "out"
    arguments = ["-o", str(config), "support", "collect-log", "-t", str(out), "-D", "2026-01-02", "-F", "2026-01-02"]
    assert run([*arguments, "-z", "-c", str(tmp_path / "more")]) == 0
    two = b"2026-01-02T00:00:00Z two\n  more of two\n"
    assert (out / HOST / "control/daos_server.log").read_bytes() == two
    assert (out / HOST / "engine0/engine0.log").read_bytes() == two
    with tarfile.open(tmp_path / "out.tar.gz") as tar:
        assert f"out/{HOST}/engine0/engine0.log" in tar.getnames()
        assert not [name for name in tar.getnames() if "link" in name]


def test_what_cannot_be_read_is_told_and_may_end_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for tool, (run, config) in tools(tmp_path).items():
        for name in ("daos_server.log", "daos_agent.log"):
            (tmp_path / name).unlink(missing_ok=True)
        for stop in ([], ["-s"]):
            out = tmp_path / f"out-{tool}{''.join(stop)}"
            assert run(["-o", str(config), "support", "collect-log", "-t", str(out), *stop]) == 1
            said = capfd.readouterr()
            assert f"ERROR: {tool}: support collect-log failed: {HOST}: " in said.err
            assert f"/{tool}.log: No such file or directory" in said.err
            assert (out / HOST / "engine0/engine0.log").exists() is (tool == "daos_server" and not stop)


def test_without_a_log_there_is_none_to_collect(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "agent.yml"
    config.write_text("transport_config: {allow_insecure: true}\nlog_file:\n")
    assert run_agent(["-o", str(config), "support", "collect-log", "-t", str(tmp_path / "out")]) == 1
    assert "no log is configured" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_default_folder_that_is_somebody_elses_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = logs.folder_for(None, str(tmp_path / "mine"))
    assert made.stat().st_mode & 0o777 == 0o700
    assert logs.folder_for(None, str(made)) == made
    (tmp_path / "link").symlink_to(made)
    with pytest.raises(AccessError, match="somebody else's"):
        logs.folder_for(None, str(tmp_path / "link"))
    assert logs.folder_for(str(tmp_path / "link"), "/absent") == tmp_path / "link"
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(AccessError, match="somebody else's"):
        logs.folder_for(None, str(made))


def test_spans() -> None:
    assert Span.of(None, None) == Span()
    assert Span.of("2026-01-01", "2026-01-01") == Span(1_767_225_600, 1_767_225_600 + 86_399)
    assert Span.of("2026-01-01", None, "00:00:05").start == 1_767_225_605
    for given in (
        (None, None, "00:00:01"),
        ("2026-02-30", None),
        ("2026-01-02", "2026-01-01"),
        ("2026-01-01", None, "9"),
    ):
        with pytest.raises(InvalidError):
            Span.of(*given)


def test_the_table_is_that_of_the_other_tools(tmp_path: Path) -> None:
    done = Collected("a-long-name", tmp_path, 12, 1_500_000, ())
    assert done.lines()[:3] == list(table(("Host", "Files", "Size"), [("a-long-name", "12", "1.5 MB")]))


def test_an_empty_log_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "big").write_bytes(b"x\n" * (2 << 20))
    done = collect([("a/empty", tmp_path / "empty"), ("a/big", tmp_path / "big")], tmp_path / "out", Span())
    assert (done.files, done.size, done.missing) == (1, 4 << 20, ())
    assert (tmp_path / "out" / HOST / "a/big").stat().st_size == 4 << 20
