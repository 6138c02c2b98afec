"""A process that is killed loses nothing that it was told is stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import daos

WRITER = """
import sys, daos
kv = daos.open(sys.argv[1], durability=sys.argv[2]).container("c", create=True).kv("k", create=True, keys="int")
for number in range(1_000_000):
    kv[number] = b"%d" % number * 20
    print(number, flush=True)
"""
ACKNOWLEDGED_MIN = 200
KEYS = 8
TRANSACTIONS = f"""
import sys, daos
pool = daos.open_system(sys.argv[1], durability="buffered", targets=2).pool("default", create=True)
cont = pool.container("c", create=True)
for name in "kl":
    cont.kv(name, create=True, keys="int")
for number in range(1_000_000):
    with cont.transaction() as tx:
        for name in "kl":
            tx.kv(name, keys="int").put_many({{key: b"%d" % number for key in range({KEYS})}})
    print(number, flush=True)
"""
KEEPER = """
import sys, time, daos
pool = daos.open(sys.argv[1], durability="buffered")
cont = pool.container("c", create=True)
kv = cont.kv("k", create=True)
kv["a"] = b"1"
cont.snapshot("s")
kv["a"] = b"2"
cont.attributes["a"] = pool.attributes["a"] = b"3"
cont.set_properties({"label": "d"})
print("done", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("durability", ["synced", "interval", "buffered"])
def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "x.daos"
    acknowledged = -1
    # Twice, so that the second run writes on what the first left.
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), durability], stdout=subprocess.PIPE, text=True
        ) as writer:
            for line in writer.stdout or ():
                acknowledged = int(line)
                if acknowledged == ACKNOWLEDGED_MIN:
                    writer.kill()
        assert acknowledged >= ACKNOWLEDGED_MIN
        with daos.open(path, create=False) as pool:
            kv = pool.container("c").kv("k", keys="int")
            found = dict(kv.items())
            # At most the one that was under way when it died is there besides.
            assert len(found) in (acknowledged + 1, acknowledged + 2)
            assert all(found[number] == b"%d" % number * 20 for number in range(acknowledged + 1))
            kv.clear()


def test_snapshots_attributes_and_labels_are_there_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    with subprocess.Popen([sys.executable, "-c", KEEPER, str(path)], stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "done\n"
        keeper.kill()
    with daos.open(path, create=False) as pool:
        cont = pool.container("d")
        assert cont.at("s").kv("k")["a"] == b"1"
        assert cont.kv("k")["a"] == b"2"
        assert cont.attributes["a"] == pool.attributes["a"] == b"3"
        assert cont.snapshot().epoch > cont.snapshots()[0].epoch


def test_transactions_are_all_there_or_not_at_all_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    with subprocess.Popen([sys.executable, "-c", TRANSACTIONS, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        acknowledged = -1
        for line in writer.stdout or ():
            acknowledged = int(line)
            if acknowledged == ACKNOWLEDGED_MIN:
                writer.kill()
    with daos.open(path, create=False) as pool:
        cont = pool.container("c")
        found = [dict(cont.kv(name, keys="int").items()) for name in ("k", "l")]
        values = {value for store in found for value in store.values()}
        assert len(values) == 1, "all keys of both stores are of one transaction"
        assert int(values.pop()) in (acknowledged, acknowledged + 1)
        assert [len(store) for store in found] == [KEYS, KEYS]
