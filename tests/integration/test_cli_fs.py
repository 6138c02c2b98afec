"""`daos fs`, and `daos container create --type POSIX`: what they print, as text and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Protocol

import pytest

import daos
from daos.cli._main import run
from daos.dfs import mount

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Run(Protocol):
    """Runs a command line; returns its status and what it printed."""

    def __call__(self, *words: str) -> tuple[int, str, str]: ...


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    system = str(tmp_path / "s.daos")

    def call(*words: str) -> tuple[int, str, str]:
        status = run(list(words), system)
        out, err = capsys.readouterr()
        return status, UUID.sub("U", out), UUID.sub("U", err)

    call("pool", "create", "tank")
    assert call(
        "cont", "create", "tank", "home", "-t", "posix", "-z", "64KiB", "-H", "file:single", "-M", "RELAXED"
    ) == (
        0,
        "Successfully created container U type POSIX\n"
        "  Container UUID : U\n  Container Label: home\n  Container Type : POSIX\n\n",
        "",
    )
    return call


def test_attributes_are_told_and_set(tool: Run) -> None:
    assert tool("fs", "get-attr", "tank", "home") == (
        0,
        "OID = 281479271677953.0\n"
        "Object Class = S1\n"
        "Directory Creation Object Class = S1\n"
        "File Creation Object Class = S1\n"
        "File Creation Chunk Size = 65536\n",
        "",
    )
    assert tool("fs", "set-attr", "tank", "home", "-o", "sx", "-z", "1MiB") == (
        0,
        "Attributes successfully set on /\n",
        "",
    )
    assert tool("fs", "set-attr", "tank", "home", "-H", "f", "-z", "4096") == (
        0,
        "Created file /f with these attributes\n",
        "",
    )
    status, text, _ = tool("filesystem", "get-attr", "tank", "home", "-H", "/mnt/f", "-I", "/mnt", "-j")
    told = json.loads(text)["response"]
    assert (status, told["chunk_size"], told["oclass"], set(told)) == (0, 4096, "S1", {"oid", "oclass", "chunk_size"})
    told = json.loads(tool("fs", "get-attr", "tank", "home", "-j")[1])["response"]
    assert told == {
        "oid": "281479271677953.0",
        "oclass": "S1",
        "dir_oclass": "SX",
        "file_oclass": "SX",
        "chunk_size": 1 << 20,
    }
    for words, chunk_size, oclass in (
        (("reset-oclass",), 1 << 20, "S1"),
        (("reset-chunk-size",), 65536, "S1"),
        (("set-attr", "-o", "S1", "-z", "8KiB"), 8192, "S1"),
        (("reset-attr",), 65536, "S1"),
    ):
        assert tool("fs", words[0], "tank", "home", *words[1:])[0] == 0
        told = json.loads(tool("fs", "get-attr", "tank", "home", "-j")[1])["response"]
        assert (told["chunk_size"], told["file_oclass"]) == (chunk_size, oclass), words


def test_a_check_tells_and_repairs(tool: Run, tmp_path: Path) -> None:
    url = f"daos://{tmp_path}/s.daos//tank/home"
    with mount(url) as fs:
        fs.makedirs("/a/b")
        fs.write_bytes("/a/f", b"12345")
        fs.symlink("f", "/a/s")
        fs.write_bytes("/lost", b"x")
        hi, lo = fs.info("/lost").oid
        fs.container.object(daos.ObjectId(281479271677953, 0)).punch("lost")
    assert tool("fs", "scan", "tank", "home") == (
        0,
        "File system of container home:\n"
        "  Files            : 1\n"
        "  Directories      : 3\n"
        "  Symbolic links   : 1\n"
        "  Bytes of files   : 5 (5 B)\n"
        "  Largest file     : 5 bytes\n"
        "  Largest directory: 3 entries\n"
        "  Depth            : 2\n",
        "",
    )
    assert json.loads(tool("fs", "scan", "--path", url, "-j")[1])["response"]["directories"] == 3
    head = "checked the file system of container home\ndirectories: 3\nfiles: 1\nsymbolic links: 1\n"
    wrong = f"leaked file: {hi}.{lo}\nwrong: 1\n"
    assert tool("fs", "check", "tank", "home") == (
        1,
        f"{head}{wrong}repaired: 0\n",
        "ERROR: daos: 1 wrong in the file system of container home\n"
        "hint: daos fs check --flags relink, or remove, repairs it\n",
    )
    status, text, _ = tool("fs", "check", "--path", url, "-j")
    told = json.loads(text)
    assert (status, told["status"]) == (1, -1025)
    assert told["response"] == {
        "directories": 3,
        "files": 1,
        "symlinks": 1,
        "repaired": 0,
        "findings": [
            {"kind": "leaked_file", "oid": [hi, lo], "paths": [], "stored": None, "counted": None, "why": None}
        ],
    }
    assert tool("fs", "check", "tank", "home", "-f", "relink,evict", "-n", "found") == (
        0,
        f"{head}{wrong}repaired: 1\n",
        "",
    )
    status, text, _ = tool("fs", "check", "tank", "home", "--flags", "print,verify", "-j")
    told = json.loads(text)["response"]
    assert (status, told["findings"], told["damaged"], told["files"]) == (0, [], [], 2)
    with mount(url) as fs:
        assert [fs.read_bytes(path) for path in map(str, fs.path("/lost+found/found").iterdir())] == [b"x"]


def test_permissions_are_set(tool: Run, tmp_path: Path) -> None:
    assert tool("fs", "chmod", "tank", "home", "-m", "0750") == (0, "Mode of / set to 0750\n", "")
    with mount(f"daos://{tmp_path}/s.daos//tank/home", read_only=True) as fs:
        assert fs.stat("/").st_mode == 0o40750


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("fs get-attr", "`<pool>` was not provided", "-h"),
        ("fs get-attr tank", "`<container>` was not provided", "-h"),
        ("fs get-attr tank home --path daos://a/b", "unexpected extra arguments (tank home)", "-h"),
        ("fs get-attr tank names", "of type PYTHON: it holds no file system", 'type="POSIX"'),
        ("fs get-attr tank none", "none", "list"),
        ("fs get-attr tank home -H /no", "/no: No such file or directory", "check the path"),
        ("fs get-attr tank home -H /a -I /b", 'does not begin with "/b"', "--dfs-path"),
        ("fs get-attr --path daos://tank", "names no container", "daos://POOL/CONTAINER"),
        ("fs set-attr tank home", "nothing to set", "--oclass"),
        ("fs set-attr tank home -o WHAT", "WHAT", ""),
        ("fs set-attr tank home -z 0", "chunks of 0 bytes", ""),
        ("fs set-attr tank home -H /f -o SX", "its chunks and class do not change", "its directory"),
        ("fs reset-attr tank home -H /f", "/f is no directory", "only directories"),
        ("fs chmod tank home", "the required flag `--mode' was not specified", "-h"),
        ("fs chmod tank home -m 8", 'invalid mode "8"', "octal"),
        ("fs chmod tank home -m 77777", 'invalid mode "77777"', "octal"),
        ("fs check tank home -f huh", 'unknown flag "huh"', "some of: print"),
        ("fs check tank home -f remove,relink", "exclude each other", "one of them"),
        ("fs check tank home -f relink -n a/b", "a/b", ""),
        ("fs scan tank home more", "unexpected extra argument", "-h"),
    ],
)
def test_a_bad_line_is_told(tool: Run, line: str, text: str, hint: str) -> None:
    tool("cont", "create", "tank", "names")
    tool("fs", "set-attr", "tank", "home", "-H", "/f", "-z", "4096")
    status, out, err = tool(*line.split())
    assert (status, out) == (1, "")
    assert err.startswith("ERROR: daos: ")
    assert text in err
    assert hint in err
