"""Engines whose files lie on devices: what is where, what outlives a kill, which are refused, and sizes of pools."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import yaml

import daos
from daos import _core
from daos.errors import DER, NoSpaceError, NotFoundError
from daos.local import PoolInfo, PoolRequest
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from tests.engines import DEVICE_SIZE, Engines, connect
from tests.servers import Servers, pool_request

pytestmark = pytest.mark.timeout(120)
SPLIT = (("wal",), ("meta",), ("data",))
NEEDLE = b"where does this lie? "
LARGE = NEEDLE * 5000
SMALL = NEEDLE * 20


@contextmanager
def connected(engines: Engines, pool: str) -> Iterator[daos.Pool]:
    with connect(engines, pool) as system:
        yield system.pool(pool)


def wait_ended(engines: Engines, rank: int = 0) -> str:
    """Return why an engine ended."""
    assert engines.processes[rank].wait(30) == 1
    return engines.log(rank).splitlines()[-1]


def has(path: str, needle: bytes) -> bool:
    return needle in Path(path).read_bytes()


def stores(pool: daos.Pool) -> list[daos.KV[str]]:
    """Return stores of which each lies on one target: all together on all of them."""
    container = pool.container("c", create=True)
    return [container.kv(f"kv{number}", create=True) for number in range(20)]


def bytes_beside(engines: Engines) -> int:
    """Return what an engine has stored in its directory, the logs of services aside."""
    store = engines.directory / "engine0" / "engine" / "store"
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


@pytest.mark.parametrize("roles", [SPLIT, (("wal", "meta", "data"),), (("data",), ("data",))], ids=str)
def test_what_is_stored_lies_on_the_devices_and_outlives_a_kill(
    tmp_path: Path, roles: tuple[tuple[str, ...], ...]
) -> None:
    with Engines(tmp_path, 1, roles=roles) as engines:
        pool = engines.pool_create("p", tiers=(64 << 20, 64 << 20))
        with connected(engines, pool) as opened:
            for kv in stores(opened):
                kv.put_many({"large": LARGE, "small": SMALL})
        for again in range(2):
            engines.kill(0)
            engines.start(0)
            engines.wait_ready()
            with connected(engines, pool) as opened:
                for kv in stores(opened):
                    assert (kv["large"], kv["small"]) == (LARGE, SMALL)
                    kv[f"again{again}"] = LARGE
        devices = engines.devices(0)
        data = [device for device, of in zip(devices, roles, strict=True) if "data" in of]
        assert all(has(device, LARGE[:4000]) for device in data), "each target has its share"
        if len(roles) == len(SPLIT):
            assert has(devices[0], SMALL)
            assert not has(devices[0], LARGE[:8000]), "what is large does not go through the log"
        if roles != (("data",), ("data",)):
            assert bytes_beside(engines) < 1 << 16
        assert all(Path(device).stat().st_size == DEVICE_SIZE for device in devices)


def test_a_device_that_is_not_the_one_is_refused(tmp_path: Path) -> None:
    with Engines(tmp_path, 1, roles=SPLIT) as engines:
        pool = engines.pool_create("p", tiers=(64 << 20, 64 << 20))
        own = engines.devices(0)
        # Another engine does not get it, nor does this one again.
        with pytest.raises(daos.DaosError) as busy:
            _core.device_format(own[0], uuid=str(uuid.uuid4()), system="test", index=0, count=1, roles=["data"])
        assert busy.value.code is DER.BUSY
        engines.kill(0)
        engines.start(0, devices=(own[1], own[0], own[2]))
        assert "formatted as number 1 of 3" in wait_ended(engines)
        engines.start(0, devices=(own[0], own[1], str(tmp_path / "gone")))
        assert "is not there" in wait_ended(engines)
        empty = tmp_path / "empty"
        with empty.open("wb") as file:
            file.truncate(DEVICE_SIZE)
        engines.start(0, devices=(own[0], own[1], str(empty)))
        assert "has no superblock" in wait_ended(engines)
        empty.write_bytes(b"x" * (1 << 20))
        engines.start(0, devices=(own[0], own[1], str(empty)))
        assert "has no superblock" in wait_ended(engines)
        with empty.open("wb") as file:
            file.truncate(DEVICE_SIZE)
        _core.device_format(str(empty), uuid=str(uuid.uuid4()), system="other", index=2, count=3, roles=["data"])
        engines.start(0, devices=(own[0], own[1], str(empty)))
        assert 'belongs to system "other"' in wait_ended(engines)
        with empty.open("r+b") as file:
            file.truncate(DEVICE_SIZE // 2)
        engines.start(0, devices=(own[0], own[1], str(empty)))
        wait_ended(engines)
        engines.start(0)
        engines.wait_ready()
        with connected(engines, pool) as opened:
            assert opened.containers() == []


def test_a_damaged_superblock_is_mended_by_its_copy_and_two_are_told(tmp_path: Path) -> None:
    with Engines(tmp_path, 1, roles=(("data",),)) as engines:
        (device,) = engines.devices(0)
        engines.kill(0)
        for offset, starts in ((0, True), (64 << 10, False)):
            with Path(device).open("r+b") as file:
                file.seek(offset + 100)
                file.write(b"damage")
            engines.start(0)
            if starts:
                engines.wait_ready()
                engines.kill(0)
            else:
                assert "is damaged" in wait_ended(engines)
        (engines.directory / "engine0" / "log").unlink()


def info(engines: Engines, pool: str) -> PoolInfo:
    asked = PoolRequest(pool=pool, kind="query", name="pool", arguments=msgspec.msgpack.encode({"space": True}))
    return msgspec.msgpack.decode(engines.pool_request(0, asked), type=PoolInfo)


@pytest.mark.parametrize("roles", [(), (("wal", "meta"), ("data",))], ids=["directory", "devices"])
def test_a_pool_has_what_it_was_given_and_no_more(tmp_path: Path, roles: tuple[tuple[str, ...], ...]) -> None:
    tiers = (16 << 20, 32 << 20) if roles else (32 << 20, 0)
    given = tiers[1] or tiers[0]
    with Engines(tmp_path, 1, roles=roles) as engines:
        pool, other = (engines.pool_create(label, tiers=tiers) for label in ("p", "q"))
        with connected(engines, pool) as opened:
            value = b"x" * 1_000_000
            fitted: list[daos.KV[str]] = []
            refused: list[NoSpaceError] = []
            for kv in stores(opened) * 3:
                try:
                    kv[f"k{len(fitted)}"] = value
                    fitted.append(kv)
                except NoSpaceError as error:
                    refused.append(error)
            assert {error.code for error in refused} == {DER.NOSPACE}
            assert all("the pool has" in error.message for error in refused)
            assert given // 2 < len(fitted) * len(value) < given
            space = info(engines, pool).tiers
            assert [tier.total for tier in space][: 1 + bool(roles)] == [tier for tier in tiers if tier]
            assert space[-1].free < given // 2
            with connected(engines, other) as free:
                stores(free)[0]["k"] = value
            # It is bounded after a start as before.
            engines.kill(0)
            engines.start(0)
            engines.wait_ready()
            kv, *others = stores(opened)
            with pytest.raises(NoSpaceError):
                kv.put_many({f"more{number}": value for number in range(40)})
            for each in (kv, *others):
                each.clear()
            opened.container("c").aggregate()
            kv["after"] = value
            assert kv["after"] == value


def test_block_devices(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(DEVICE_SIZE)
    try:
        made = subprocess.run(
            ["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no loop device can be had: {error}")
    device = made.stdout.strip()
    try:
        with Engines(tmp_path, 1, roles=(("data",),), paths=(device,)) as engines:
            pool = engines.pool_create("p", tiers=(64 << 20, 64 << 20))
            with connected(engines, pool) as opened:
                kv = opened.container("c", create=True).kv("k", create=True)
                kv["large"] = LARGE
            with pytest.raises(daos.DaosError) as busy:
                _core.device_format(device, uuid=str(uuid.uuid4()), system="t", index=0, count=1, roles=["data"])
            assert busy.value.code is DER.BUSY
            assert _core.device_inspect(device) == (
                (tmp_path / "engine0" / "uuid").read_text(),
                "test",
                0,
                1,
                ["data"],
                DEVICE_SIZE,
            )
            engines.kill(0)
            engines.start(0)
            engines.wait_ready()
            with connected(engines, pool) as opened:
                assert opened.container("c").kv("k")["large"] == LARGE
            assert has(str(image), LARGE[:4000])
    finally:
        subprocess.run(["losetup", "--detach", device], check=True, timeout=30)


def test_a_server_formats_devices_starts_engines_on_them_and_tells_of_them(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("log", "data0", "data1")]
    tiers = [
        {"class": "ram", "scm_mount": str(tmp_path / "scm"), "scm_size": 1},
        {"class": "file", "bdev_list": files[:1], "bdev_size": 1, "bdev_roles": ["wal", "meta"]},
        {"class": "file", "bdev_list": files[1:], "bdev_size": 1, "bdev_roles": ["data"]},
    ]
    servers = Servers(tmp_path / "servers", 1, real=True, control_metadata={"path": str(tmp_path / "control")})
    config = yaml.safe_load(servers.config(0).read_text())
    config["engines"][0]["storage"] = tiers
    servers.config(0).write_text(yaml.safe_dump(config))

    async def told(client: ManagementClient) -> list[tuple[str, list[int], list[str], str]]:
        answer = await client.on_host(
            servers.addresses[0], methods.STORAGE_QUERY_DEVICES, pb.StorageQueryDevicesRequest()
        )
        return [
            (Path(device.address).name, list(device.targets), list(device.roles), device.state)
            for device in answer.devices
        ]

    async def body() -> None:
        async with servers.client() as client, asyncio.timeout(100):
            servers.start(0, "--auto-format")
            await servers.joined(client)
            assert await told(client) == [
                ("log", [0, 1], ["wal", "meta"], "NORMAL"),
                ("data0", [0], ["data"], "NORMAL"),
                ("data1", [1], ["data"], "NORMAL"),
            ]
            usage = await client.on_host(
                servers.addresses[0], methods.STORAGE_QUERY_USAGE, pb.StorageQueryUsageRequest()
            )
            meta, data = usage.ranks[0].tiers
            assert 0.9 * 10**9 < meta.free < meta.total < 10**9
            assert 1.9 * 10**9 < data.free <= data.total < 2 * 10**9
            request = pool_request()
            del request.tiers[:]
            request.tiers.extend((64 << 20, 0))
            await client.ask(methods.POOL_CREATE, request)
            pools = await client.on_host(
                servers.addresses[0], methods.STORAGE_QUERY_POOLS, pb.StorageQueryPoolsRequest()
            )
            assert [list(pool.tiers) for pool in pools.ranks[0].pools] == [[64 << 20, 0]]
            assert servers.stop(0) == 0
            # In another order, the engine does not start.
            tiers[2]["bdev_list"] = [files[2], files[1]]
            servers.config(0).write_text(yaml.safe_dump(config))
            servers.start(0)

            async def refused() -> bool:
                return "formatted as number 2 of 3" in (servers.folder(0) / "engine.log").read_text()

            await servers.until("an engine that refuses its devices", refused)
            assert servers.stop(0) == 0
            tiers[2]["bdev_list"] = files[1:]
            servers.config(0).write_text(yaml.safe_dump(config))
            servers.start(0)
            await servers.joined(client)
            pools = await client.on_host(
                servers.addresses[0], methods.STORAGE_QUERY_POOLS, pb.StorageQueryPoolsRequest()
            )
            assert [pool.uuid for pool in pools.ranks[0].pools] == [request.uuid]

    try:
        asyncio.run(body())
    finally:
        servers.close()


def test_what_is_no_device_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        _core.device_inspect(str(tmp_path / "none"))
    with pytest.raises(daos.DaosError):
        _core.device_inspect(str(tmp_path))
    small = tmp_path / "small"
    small.write_bytes(bytes(1 << 20))
    assert _core.device_inspect(str(small)) is None
    for roles, size in ((["data"], 1 << 20), (["date"], DEVICE_SIZE)):
        with small.open("wb") as file:
            file.truncate(size)
        with pytest.raises(daos.InvalidError):
            _core.device_format(str(small), uuid=str(uuid.uuid4()), system="t", index=0, count=1, roles=roles)
