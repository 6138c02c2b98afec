"""Arrays and objects of the SDK on the real store."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

import daos


def test_what_was_written_is_there_in_the_next_run(tmp_path: Path) -> None:
    data = np.random.default_rng(1).random(300_000)
    with daos.open(tmp_path / "x.daos", targets=2) as pool:
        cont = pool.container("c", create=True)
        temp = cont.array("temp", fill=np.nan, create=True)
        temp[12_345 : 12_345 + data.size] = data
        temp[0:1000:10] = 1
        cont.object("o", create=True).update("d", a=b"1", w=daos.Extent(5, data))
    with daos.open(tmp_path / "x.daos") as pool:
        cont = pool.container("c")
        temp = cont.array("temp")
        assert temp.size == 12_345 + data.size
        assert np.array_equal(temp[12_345:], data)
        assert np.array_equal(temp[0:1000:10], np.ones(100))
        assert np.isnan(np.asarray(temp[1:10])).all()
        found = cont.object("o").fetch("d", "a", w=daos.Range(5, 5 + data.size, "f8"))
        assert found["a"] == b"1"
        assert np.array_equal(found["w"], data)
        cont.destroy("temp")
        assert [named.name for named in cont.names()] == ["o"]


def test_threads_write_their_own_ranges(tmp_path: Path) -> None:
    count, threads = 40_000, 4
    with daos.open(tmp_path / "x.daos", durability="buffered") as pool:
        temp = pool.container("c", create=True).array("temp", dtype="i8", chunk=1000, create=True)

        def write(number: int) -> None:
            # Interleaved, so that all of them change the same chunks.
            temp.write(number, np.full(count, number), step=threads)

        workers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert np.array_equal(temp[:], np.tile(np.arange(threads), count))


def test_an_empty_array_and_one_at_the_far_end(tmp_path: Path) -> None:
    with daos.open(tmp_path / "x.daos", durability="buffered") as pool:
        temp = pool.container("c", create=True).array("temp", dtype="u1", create=True)
        assert temp[:].size == len(temp) == 0
        temp[2**62] = 1
        assert temp.size == 2**62 + 1
        assert temp[-2:].tolist() == [0, 1]
        temp.resize(3)
        assert temp[:].tolist() == [0, 0, 0]
