"""What fields of `daos_server.yml` must be to each other. Pure: no file is looked at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daos.config._hosts import parse_host
from daos.config._types import Problem
from daos.config.server import TIERS_MAX
from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daos.config._tree import Place
    from daos.config.server import EngineConfig, ServerConfig, Tier

TARGET_MIB_MIN = 64
"""Of memory, for a target's log and index."""
ROLES = ("wal", "meta", "data")

_PCI = re.compile(r"([0-9a-f]{4}|[0-9a-f]{6}):[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.IGNORECASE)


def check_server(config: ServerConfig) -> Iterator[Problem]:
    """Yield all that is wrong with a configuration whose fields are right each by itself."""
    yield from _aliases(config)
    yield from _replicas(config)
    if config.fault_path and config.fault_cb:
        yield Problem(("fault_cb",), "fault_path is given as well", "give one of the two")
    yield from _ports(config)
    for index, engine in enumerate(config.engines):
        yield from _engine(config, engine, ("engines", index))
    yield from _between(config)


def _aliases(config: ServerConfig) -> Iterator[Problem]:
    if config.access_points is not None and config.access_points != config.mgmt_svc_replicas:
        yield Problem(
            ("access_points",), "differs from mgmt_svc_replicas", "it is the older name of the same; remove it"
        )
    delay = config.engine_auto_restart_min_delay
    if delay is not None and delay != config.engine_restart_min_s:
        yield Problem(
            ("engine_auto_restart_min_delay",),
            "differs from engine_restart_min_s",
            "it is DAOS's name of the same; remove it",
        )
    newer = config.telemetry_config.telemetry_port
    if newer is not None and newer != config.telemetry_port:
        yield Problem(
            ("telemetry_config", "telemetry_port"), "differs from telemetry_port", "they are the same; remove one"
        )


def _replicas(config: ServerConfig) -> Iterator[Problem]:
    key = "mgmt_svc_replicas" if config.access_points is None else "access_points"
    seen: dict[object, int] = {}
    for index, text in enumerate(config.mgmt_svc_replicas):
        try:
            host = parse_host(text, config.port)
        except InvalidError as error:
            yield Problem((key, index), error.message, error.hint or "")
            return
        if host in seen:
            yield Problem((key, index), f"{text} is there twice", "each host once")
        seen[host] = index
    count = len(config.mgmt_svc_replicas)
    if count % 2 == 0:
        yield Problem(
            (key,),
            f"{count} replicas" if count else "is empty",
            "an odd number: an even one bears no more failures than the odd one below it",
        )


def _ports(config: ServerConfig) -> Iterator[Problem]:
    taken: dict[int, str] = {config.port: "port"}
    for name in ("raft_port", "telemetry_port"):
        number = getattr(config, name)
        if number is None:
            continue
        if number in taken:
            yield Problem((name,), f"{number} is {taken[number]} as well", "each needs one of its own")
        taken[number] = name
    for index, engine in enumerate(config.engines):
        yield from _engine_ports(engine, config.engines[:index], taken, ("engines", index, "fabric_iface_port"))


def _engine_ports(
    engine: EngineConfig, earlier: tuple[EngineConfig, ...], taken: dict[int, str], place: Place
) -> Iterator[Problem]:
    rule = "an engine takes one port, and one more a target"
    ports = engine.ports
    if ports[-1] > 65535:  # noqa: PLR2004 -- the numbers of ports
        yield Problem(
            place,
            f"{engine.fabric_iface_port} leaves no port for each of {engine.targets} targets",
            f"at most {65535 - engine.targets}: {rule}",
        )
        return
    span = f"the ports {ports[0]} to {ports[-1]} of the engine"
    for number, name in taken.items():
        if number in ports:
            yield Problem(place, f"{span} hold {name} {number}", rule)
    for other, theirs in enumerate(earlier):
        if theirs.fabric_iface == engine.fabric_iface and _overlap(ports, theirs.ports):
            yield Problem(
                place,
                f"{span} clash with {theirs.ports[0]} to {theirs.ports[-1]} of engines[{other}] "
                f"on {engine.fabric_iface}",
                f"such as {theirs.ports[-1] + 1}; {rule}",
            )


def _overlap(one: range, other: range) -> bool:
    return one[0] <= other[-1] and other[0] <= one[-1]


def _engine(config: ServerConfig, engine: EngineConfig, place: Place) -> Iterator[Problem]:
    if engine.pinned_numa_node is not None and engine.first_core:
        yield Problem((*place, "first_core"), "pinned_numa_node is given as well", "give one of the two")
    storage: Place = (*place, "storage")
    if not engine.storage or not engine.memory.is_memory:
        first = engine.storage[0].storage_class if engine.storage else None
        yield Problem(
            (*storage, 0, "class") if first else storage,
            f"the first tier is {first}" if first else "there is no storage tier",
            "the first tier is ram or dcpm",
        )
        return
    if len(engine.storage) > TIERS_MAX:
        yield Problem((*storage, TIERS_MAX), f"{len(engine.storage)} tiers", f"at most {TIERS_MAX}")
    yield from _memory(engine, engine.memory, (*storage, 0))
    for number, tier in enumerate(engine.devices, 1):
        yield from _devices(config, tier, (*storage, number))
    yield from _roles(config, engine, storage)


def _memory(engine: EngineConfig, tier: Tier, place: Place) -> Iterator[Problem]:
    if tier.scm_mount is None:
        yield Problem(place, "scm_mount is missing", "a tier of memory needs a directory")
    for name in ("bdev_list", "bdev_size", "bdev_roles"):
        if getattr(tier, name):
            yield Problem((*place, name), f"means nothing for {tier.storage_class}", "it is for nvme, file and kdev")
    if tier.storage_class == "ram":
        if tier.scm_list:
            yield Problem((*place, "scm_list"), "means nothing for ram", "it is for dcpm")
        need = -(-engine.targets * TARGET_MIB_MIN // 1024)
        if tier.scm_size and tier.scm_size < need:
            yield Problem(
                (*place, "scm_size"),
                f"{tier.scm_size} GiB is too small for {engine.targets} targets",
                f"at least {need}: {TARGET_MIB_MIN} MiB a target",
            )
        return
    for name in ("scm_size", "scm_hugepages_disabled"):
        if getattr(tier, name):
            yield Problem((*place, name), "means nothing for dcpm", "it is for ram")
    if len(tier.scm_list) != 1:
        yield Problem((*place, "scm_list"), f"{len(tier.scm_list)} devices", "dcpm takes one, such as [/dev/pmem0]")


def _devices(config: ServerConfig, tier: Tier, place: Place) -> Iterator[Problem]:
    if tier.is_memory:
        yield Problem((*place, "class"), f"a second tier of {tier.storage_class}", "nvme, file or kdev")
        return
    for name in ("scm_mount", "scm_size", "scm_list", "scm_hugepages_disabled"):
        if getattr(tier, name):
            yield Problem((*place, name), f"means nothing for {tier.storage_class}", "it is for ram and dcpm")
    if not tier.bdev_list:
        yield Problem(place, f"{tier.storage_class} without bdev_list", "list its devices")
    if tier.storage_class == "file" and not tier.bdev_size:
        yield Problem(place, "file without bdev_size", "the size of each file in GB")
    for index in range(len(tier.bdev_list)):
        yield from _device(config, tier, index, (*place, "bdev_list", index))


def _device(config: ServerConfig, tier: Tier, index: int, place: Place) -> Iterator[Problem]:
    device = tier.bdev_list[index]
    if tier.storage_class == "nvme" and not _PCI.fullmatch(device):
        yield Problem(place, f'"{device}" is no PCI address', 'such as "0000:81:00.0"')
    if tier.storage_class != "nvme" and not device.startswith("/"):
        yield Problem(place, f'"{device}" is no absolute path', "begin it with /")
    if _same(device) in map(_same, tier.bdev_list[:index]):
        yield Problem(place, f"{device} is there twice", "each device once")
    if _same(device) in map(_same, config.bdev_exclude):
        yield Problem(place, f"{device} is in bdev_exclude", "remove it from one of the two")
    if tier.storage_class == "nvme" and config.bdev_include and _same(device) not in map(_same, config.bdev_include):
        yield Problem(place, f"{device} is not in bdev_include", "add it there, or remove it here")


def _roles(config: ServerConfig, engine: EngineConfig, storage: Place) -> Iterator[Problem]:
    tiers = engine.devices
    given = [bool(tier.bdev_roles) for tier in tiers]
    if not any(given):
        return
    first: Place = (*storage, 1 + given.index(True), "bdev_roles")
    if not all(given):
        yield Problem(
            (*storage, 1 + given.index(False)),
            "has no bdev_roles, another tier has",
            "give all device tiers roles, or none",
        )
        return
    yield from _tier_roles(tiers, storage)
    if engine.memory.storage_class == "dcpm":
        if len(tiers) > 1 or set(tiers[0].bdev_roles) != {"data"}:
            yield Problem(first, "dcpm keeps wal and meta itself", "one device tier, with the role data")
        return
    data_only = all(set(tier.bdev_roles) == {"data"} for tier in tiers)  # wal and meta stay in memory, as in DAOS
    for role in () if data_only else ROLES:
        count = sum(role in tier.bdev_roles for tier in tiers)
        if count != 1:
            yield Problem(first, f"{count} tiers have the role {role}", "each of wal, meta and data on one tier")
    if config.control_metadata is None and not data_only:
        yield Problem(
            first,
            "roles need control_metadata",
            "name a directory that outlives a restart: control_metadata, path",
        )


def _tier_roles(tiers: tuple[Tier, ...], storage: Place) -> Iterator[Problem]:
    for number, tier in enumerate(tiers, 1):
        here: Place = (*storage, number, "bdev_roles")
        if len(set(tier.bdev_roles)) != len(tier.bdev_roles):
            yield Problem(here, "a role is there twice", "each role once")
        if set(tier.bdev_roles) == {"wal", "data"}:
            yield Problem(here, "wal and data without meta", "wal alone, wal and meta, or all three")


def _between(config: ServerConfig) -> Iterator[Problem]:
    """Yield what two engines may not share."""
    seen: dict[tuple[str, object], int] = {}
    for index, engine in enumerate(config.engines):
        here: Place = ("engines", index)
        things: list[tuple[str, object, Place, str]] = []
        if engine.rank is not None:
            things.append(("rank", engine.rank, (*here, "rank"), "each engine has a rank of its own"))
        if engine.log_file is not None:
            things.append(("log_file", engine.log_file, (*here, "log_file"), "each engine needs a log of its own"))
        for number, tier in enumerate(engine.storage):
            place: Place = (*here, "storage", number)
            if tier.scm_mount is not None:
                things.append(
                    ("scm_mount", tier.scm_mount, (*place, "scm_mount"), "each engine needs a directory of its own")
                )
            things += [
                ("device", _same(device), (*place, "bdev_list", position), "a device is of one engine, and of one tier")
                for position, device in enumerate(tier.bdev_list)
            ]
            things += [
                ("device", device, (*place, "scm_list", position), "a device is of one engine")
                for position, device in enumerate(tier.scm_list)
            ]
        mine: set[tuple[str, object]] = set()
        for kind, value, where, hint in things:
            other = seen.get((kind, value))
            if other is not None:
                yield Problem(where, f"the {kind} {value} is of engines[{other}] as well", hint)
            elif (kind, value) in mine and kind == "device" and _elsewhere(engine, value):
                yield Problem(where, f"{value} is in another tier as well", hint)
            mine.add((kind, value))
        seen |= dict.fromkeys(mine - seen.keys(), index)


def _elsewhere(engine: EngineConfig, device: object) -> bool:
    """Tell whether a device is in two tiers, not twice in one, which is told there."""
    return sum(device in set(map(_same, tier.bdev_list)) for tier in engine.storage) > 1


def _same(device: str) -> str:
    """Return what two ways of writing a device have in common: a PCI address may have capitals, a path means them."""
    return device.lower() if _PCI.fullmatch(device) else device
