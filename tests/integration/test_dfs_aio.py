"""File systems, awaited."""

from __future__ import annotations

import asyncio
import errno
import inspect
import pickle
import time
from pathlib import Path

import pytest

import daos.aio
from daos import dfs
from daos.dfs.aio import DFS, File, mount
from daos.errors import ClosedError


def test_it_is_the_synchronous_face_awaited(tmp_path: Path) -> None:  # noqa: PLR0915 -- each call once
    async def main() -> None:  # noqa: PLR0915
        async with (
            daos.aio.open(str(tmp_path / "s")) as pool,
            await mount(await pool.container("home", create=True, type="POSIX")) as fs,
        ):
            await fs.makedirs("/a/b")
            await asyncio.gather(*(fs.write_bytes(f"/a/{number}", b"%d" % number) for number in range(100)))
            assert await asyncio.gather(*(fs.read_bytes(f"/a/{number}") for number in range(100))) == [
                b"%d" % number for number in range(100)
            ]
            assert {entry.name async for entry in fs.scandir("/a") if entry.is_file()} == set(map(str, range(100)))
            assert [top async for top, _, _ in fs.walk()] == ["/", "/a", "/a/b"]
            async with await fs.open("/f", "w+") as file:
                assert await file.write(b"0123456789") == 10
                room = bytearray(4)
                assert (await file.seek(2), await file.readinto(room), bytes(room)) == (2, 4, b"2345")
                assert (await file.preadinto(room, 1), bytes(room)) == (4, b"1234")
                assert (file.tell(), await file.read(), await file.pread(2, 1)) == (6, b"6789", b"12")
                assert (await file.truncate(5), (await file.stat()).st_size) == (5, 5)
                await file.pwrite(b"!", 9)
                await file.allocate("punch", 0, 2)
                await file.sync()
            assert (file.closed, await fs.read_bytes("/f")) == (True, b"\0\x00234\0\0\0\0!")
            await fs.symlink("f", "/s")
            await fs.link("/f", "/g")
            await fs.setxattr("/g", "user.a", b"1")
            assert (await fs.getxattr("/f", "user.a"), await fs.listxattr("/f")) == (b"1", ["user.a"])
            await fs.removexattr("/f", "user.a")
            await fs.chmod("/g", 0o600)
            await fs.chown("/g", -1, -1)
            await fs.utime("/g", ns=(0, 5))
            await fs.truncate("/g", 1)
            await fs.touch("/t")
            await fs.rename("/t", "/u")
            await fs.exchange("/u", "/g")
            assert (await fs.lstat("/s")).st_size == 1
            assert (await fs.stat("/u")).st_nlink == 2
            assert [await test("/s") for test in (fs.exists, fs.isfile, fs.islink, fs.isdir)] == [
                True,
                True,
                True,
                False,
            ]
            assert (await fs.readlink("/s"), await fs.access("/s", 4)) == ("f", True)
            assert not (await fs.info("/u")).is_dir
            await fs.remove("/u")
            await fs.mkdir("/d")
            await fs.rmdir("/d")
            await fs.rmtree("/a")
            await fs.sync()
            assert (await fs.statvfs()).f_namemax == 255
            assert (await fs.check()).findings == ()
            assert sorted(await fs.listdir()) == ["f", "g", "s"]
            with pytest.raises(FileNotFoundError) as caught:
                await fs.open("/no")
            assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "/no")
            with pytest.raises(ValueError, match="text and binary"):
                await fs.open("/no", "rt")
            copy = pickle.loads(pickle.dumps(fs))
            assert await copy.exists("/f")
            assert not fs.read_only
        assert fs.closed
        with pytest.raises(ClosedError):
            await fs.stat("/")
        assert repr(fs).startswith("<daos.dfs.aio.DFS of")

    asyncio.run(main())


def test_each_call_has_one_to_be_awaited() -> None:
    left = {"open", "container", "layout_version", "made_as", "path", "umount", "unlink", "replace"}
    left |= {"fsync", "fsync_dir", "lexists", "getsize", "samefile", "set_defaults"}
    for sync, awaited, without in (
        (dfs.DFS, DFS, left),
        (dfs.RawFile, File, {"dfs", "chunk_size", "readall", "readable", "writable", "seekable", "fileno"}),
    ):
        names = {name for name in vars(sync) if not name.startswith("_")} - without
        assert names <= set(dir(awaited))
        for name in names:
            method = getattr(sync, name)
            if inspect.isfunction(method) and inspect.isfunction(getattr(awaited, name)):
                same = list(inspect.signature(method).parameters)
                assert list(inspect.signature(getattr(awaited, name)).parameters)[: len(same)] == same or name in {
                    "walk",
                    "read",
                }, name


def test_the_loop_runs_while_the_store_works(tmp_path: Path) -> None:
    async def main() -> None:
        async with daos.aio.open(str(tmp_path / "s")) as pool:
            fs = await mount(await pool.container("home", create=True, type="POSIX"))
            worst = 0.0

            async def tick() -> None:
                nonlocal worst
                while True:
                    before = time.perf_counter()
                    await asyncio.sleep(0.001)
                    worst = max(worst, time.perf_counter() - before)

            ticking = asyncio.create_task(tick())
            data = bytes(64 << 20)
            began = time.perf_counter()
            await fs.write_bytes("/big", data)
            assert await fs.read_bytes("/big") == data
            took = time.perf_counter() - began
            ticking.cancel()
            assert worst < max(0.1, took / 2)
            await fs.close()

    asyncio.run(main())
