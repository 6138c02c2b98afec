"""`daos fs copy`: what it prints, as text and as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import daos
from daos.cli._main import run
from daos.dfs import Posix, mount
from tests.integration.test_cli_uns import UUID, Run


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str, system: str | None = None) -> tuple[int, str, str]:
        status = run(list(words), system)
        out, err = capsys.readouterr()
        return status, UUID.sub("U", out), UUID.sub("U", err)

    with daos.open(tmp_path / "s.daos", pool="tank"):
        pass
    top = tmp_path / "top"
    (top / "d").mkdir(parents=True)
    (top / "f").write_text("12345")
    (top / "d" / "g").write_text("1")
    (top / "l").symlink_to("f")
    return call


def test_a_copy_is_told(tool: Run, tmp_path: Path) -> None:
    url = f"daos://{tmp_path}/s.daos//tank/new"
    assert tool("fs", "copy", "--src", f"{tmp_path}/top", "--dst", url) == (
        0,
        "Successfully created container U\n"
        f"Successfully copied to DAOS: {url}\n"
        "    Directories: 2\n    Files:       2\n    Links:       1\n",
        "",
    )
    out = f"{tmp_path}/out"
    assert tool("filesystem", "copy", "-s", f"{url}/top", "-d", out) == (
        0,
        f"Successfully copied to POSIX: {out}\n    Directories: 2\n    Files:       2\n    Links:       1\n",
        "",
    )
    assert (Path(out) / "d" / "g").read_text() == "1"
    status, text, _ = tool("fs", "copy", "-s", f"{tmp_path}/top", "-d", url, "--resume", "-j")
    assert (status, json.loads(text)) == (
        0,
        {
            "response": {
                "src_pool": "",
                "src_cont": "",
                "dst_pool": "U",
                "dst_cont": "U",
                "copy_stats": {
                    "num_dirs": 2,
                    "num_files": 2,
                    "num_links": 1,
                    "bytes": 0,
                    "skipped": 3,
                    "special": 0,
                    "modes": 0,
                    "xattrs": 0,
                },
            },
            "error": None,
            "status": 0,
        },
    )
    assert "    Skipped:     3\n" in tool("fs", "copy", "-s", f"{tmp_path}/top", "-d", url, "--resume")[1]
    # A system that the line names is that of URLs which name none, and what the environment names is not.
    done = tool("-S", f"{tmp_path}/s.daos", "fs", "copy", "-s", "daos://tank/new/top/f", "-d", "daos://tank/new/h")
    assert (done[0], done[1].splitlines()[0]) == (0, "Successfully copied to DAOS: daos://tank/new/h")
    with mount(url) as fs:
        assert fs.read_bytes("/h") == b"12345"


def test_what_was_left_out_is_an_error_after_all_else(tool: Run, tmp_path: Path) -> None:
    (tmp_path / "top" / "f").chmod(0o4755)
    out = str(tmp_path / "out")
    words = ("fs", "copy", "-s", str(tmp_path / "top"), "-d", out)
    assert tool(*words) == (
        1,
        f"Successfully copied to POSIX: {out}\n    Directories: 2\n    Files:       2\n    Links:       1\n",
        "ERROR: daos: not copied: 1 set-user-ID, set-group-ID or sticky bits\n"
        "hint: all else is copied; --ignore-unsupported says that they may be left out\n",
    )
    status, text, _ = tool(*words[:-1], f"{out}2", "-j")
    told = json.loads(text)
    assert (status, told["status"], told["response"]["copy_stats"]["modes"]) == (1, -1025, 1)
    assert tool(*words[:-1], f"{out}3", "--ignore-unsupported")[::2] == (0, "")
    os.mkfifo(tmp_path / "top" / "pipe")
    assert tool(*words[:-1], f"{out}4") == (
        1,
        "",
        f"ERROR: daos: {tmp_path}/top/pipe is a device, pipe or socket: DER_NOTSUPPORTED(-2037): Operation not"
        " supported\nhint: only files, directories and links are copied; --ignore-unsupported leaves others out\n",
    )


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("fs copy", "the required flag `--src' was not specified", "-h"),
        ("fs copy -s {tmp}", "the required flag `--dst' was not specified", "-h"),
        ("fs copy -s {tmp}/none -d {tmp}/x", "{tmp}/none: No such file or directory", "check the path"),
        ("fs copy -s {tmp}/top -d daos://{tmp}/s.daos//none/x", 'no pool "none"', ""),
        ("fs copy -s {tmp}/top -d daos://{tmp}/no.daos//tank/x", "no.daos", ""),
        ("fs copy -s daos://{tmp}/s.daos//tank/none -d {tmp}/x", "none", ""),
        ("fs copy -s {tmp}/top -d {tmp}/top/d", "cannot be copied into itself", "a place that is not in it"),
        ("fs copy -s {tmp}/top -d daos://tank", "names no container", "daos://POOL/CONTAINER"),
        ("fs copy -s {tmp}/top -d {tmp}/x --preserve-props f", "neither {tmp}/top nor {tmp}/x is in a container", ""),
    ],
)
def test_a_bad_line_is_told(tool: Run, tmp_path: Path, line: str, text: str, hint: str) -> None:
    status, out, err = tool(*(word.format(tmp=tmp_path) for word in line.split()))
    assert (status, out) == (1, "")
    assert err.startswith("ERROR: daos: ")
    assert text.format(tmp=tmp_path) in err
    assert hint in err
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        assert pool.containers() == []


def test_properties_and_attributes_are_kept(tool: Run, tmp_path: Path) -> None:
    system, kept, out = f"{tmp_path}/s.daos", f"{tmp_path}/kept.json", f"{tmp_path}/out"
    url = f"daos://{system}//tank"
    with daos.open(system, pool="tank") as pool:
        posix = Posix(chunk_size=8192, file_oclass="S1", hints="dir:max", mode="balanced")
        made = pool.container("a", create=True, type=posix, properties={"cksum": "crc64", "scrub_disabled": True})
        made.attributes.update({"ä": b"\0\xff" * 100, "empty": b""})
        with mount(made) as fs:
            fs.write_bytes("/f", b"1")
    Path(kept).write_text("what was there")
    assert tool("fs", "copy", "-s", f"{url}/a", "-d", out, "--preserve-props", kept)[0] == 0
    assert Path(kept).stat().st_mode & 0o777 == 0o600
    assert tool("fs", "copy", "-s", f"{out}/f", "-d", f"{url}/b", "-m", kept)[0] == 0
    # Between containers: the file is written, and holds for what is made.
    again = f"{tmp_path}/again.json"
    assert tool("fs", "copy", "-s", f"{url}/a", "-d", f"{url}/c", "-m", again)[0] == 0
    assert Path(again).read_bytes() == Path(kept).read_bytes()
    with daos.open(system, pool="tank") as pool:
        for label in ("b", "c"):
            container = pool.container(label)
            with mount(container) as fs:
                assert fs.read_bytes("/f") == b"1"
                assert fs.made_as() == posix.checked()
            assert [container.properties[name] for name in ("cksum", "scrub_disabled")] == ["crc64", "true"]
            assert dict(container.attributes) == {"ä": b"\0\xff" * 100, "empty": b""}
        pool.container("c").attributes.remove(["empty"])
    status, _, err = tool("fs", "copy", "-s", f"{out}/f", "-d", f"{url}/c", "-m", kept)
    assert (status, "container c is there" in err) == (1, True)
    assert tool("fs", "copy", "-s", f"{out}/f", "-d", f"{url}/c", "-m", kept, "--resume")[0] == 0
    with daos.open(system, pool="tank") as pool:
        assert "empty" in pool.container("c").attributes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "tells no properties"),
        ("{}", "tells no properties"),
        ("\0\xff", "tells no properties"),
        ('{"version":1,"properties":{},"posix":{},"attributes":{"a":"?"}}', "tells no properties"),
        ('{"version":1,"properties":{},"posix":{"chunk":1},"attributes":{}}', "tells no properties"),
        ('{"version":2,"more":1}', "is of a newer release"),
        ('{"version":1,"properties":{"cksum":"md5"},"posix":{},"attributes":{}}', 'invalid choice "md5" for cksum'),
        ('{"version":1,"properties":{"none":"1"},"posix":{},"attributes":{}}', "none"),
        ('{"version":1,"properties":{},"posix":{"chunk_size":-1},"attributes":{}}', "-1"),
        ('{"version":1,"properties":{},"posix":{"oclass":"S3"},"attributes":{}}', "S3"),
        ('{"version":1,"properties":{},"posix":{},"attributes":{"":"MQ=="}}', "attribute"),
    ],
)
def test_what_tells_no_properties_makes_no_container(tool: Run, tmp_path: Path, text: str, told: str) -> None:
    kept, url = tmp_path / "kept.json", f"daos://{tmp_path}/s.daos//tank/x"
    kept.write_bytes(text.encode("latin1"))
    status, out, err = tool("fs", "copy", "-s", f"{tmp_path}/top", "-d", url, "-m", str(kept))
    assert (status, out, told in err, len(err.splitlines()) <= 2) == (1, "", True, True), err
    status, _, err = tool("fs", "copy", "-s", f"{tmp_path}/top", "-d", url, "-m", f"{kept}.none")
    assert (status, "No such file" in err) == (1, True)
    status, _, err = tool("fs", "copy", "-s", f"{tmp_path}/top", "-d", f"{tmp_path}/y", "-m", str(kept))
    assert (status, "is in a container" in err) == (1, True)
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        assert pool.containers() == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["kept.json", "s.daos", "top"]
