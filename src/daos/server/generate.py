"""A configuration for this host, made of what it has."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from daos.errors import InvalidError, NotFoundError
from daos.server.host import Interface, NumaNode
from daos.server.storage import Device

FIRST_PORT = 31316
"""Of the first engine; the others are `PORT_STEP` apart."""
PORT_STEP = 1000
TARGETS_MAX = 16
RESERVED_BYTES = 16 << 30
"""Of memory that engines leave to the host, at most a quarter of it."""
PROVIDER = "ofi+tcp"


def generate(
    *,
    interfaces: Sequence[Interface],
    nodes: Sequence[NumaNode],
    devices: Sequence[Device],
    replicas: str = "localhost",
    engines: int = 0,
    scm_only: bool = False,
    net_class: str = "ethernet",
    provider: str = "",
    tmpfs: bool = True,
    metadata: str = "",
    ports: str = "",
) -> str:
    """Return the text of a `daos_server.yml`.

    Args:
        interfaces: Of the host.
        nodes: Its NUMA nodes.
        devices: Its storage.
        replicas: Hosts of the management service, with commas between.
        engines: How many; 0 for one a NUMA node that has an interface.
        scm_only: Without block devices.
        net_class: Of the interfaces to take.
        provider: Of the network; empty for sockets.
        tmpfs: Memory for the first tier, and not persistent memory.
        metadata: The directory of what must survive; needed with memory and block devices.
        ports: First ports of the engines, with commas between; empty for DAOS's.

    Raises:
        NotFoundError: There is no such interface or device.
        InvalidError: The wishes contradict each other.
    """
    usable = [one for one in interfaces if one.net_class == net_class and one.up]
    if not usable:
        found = ", ".join(f"{one.name} ({one.net_class})" for one in interfaces) or "none"
        raise NotFoundError(f"no network interface of class {net_class}", hint=f"there are: {found}")
    nearby = [node for node in nodes if any(one.numa_node == node.index for one in usable)] or list(nodes[:1])
    count = engines or len(nearby)
    first = [_port(text) for text in ports.split(",")] if ports else [FIRST_PORT + PORT_STEP * n for n in range(count)]
    if len(first) != count:
        raise InvalidError(f"{len(first)} ports for {count} engines", hint="--fabric-ports takes one for each")
    disks = [] if scm_only else [device for device in devices if device.media == "nvme" and device.engine is None]
    memory = max(sum(node.memory for node in nodes) - RESERVED_BYTES, sum(node.memory for node in nodes) * 3 // 4)
    sections = []
    for index in range(count):
        node = nearby[index % len(nearby)]
        near = [one for one in usable if one.numa_node == node.index] or usable
        own = [disk for place, disk in enumerate(disks) if place % count == index]
        sections.append(
            {
                "targets": max(1, min(TARGETS_MAX, (node.cores - 1) * len(nearby) // count or 1)),
                "nr_xs_helpers": 0,
                "first_core": 0,
                "fabric_iface": near[index % len(near)].name,
                "fabric_iface_port": first[index],
                "log_file": f"/var/log/daos/engine{index}.log",
                "storage": _storage(index, own, devices, tmpfs=tmpfs, size=memory // count >> 30, metadata=metadata),
            }
        )
    document: dict[str, object] = {
        "name": "daos_server",
        "mgmt_svc_replicas": [host.strip() for host in replicas.split(",") if host.strip()],
        "port": 10001,
        "provider": provider or PROVIDER,
        "control_log_file": "/var/log/daos/daos_server.log",
        "engines": sections,
    }
    if metadata:
        document["control_metadata"] = {"path": metadata}
    return yaml.safe_dump(document, sort_keys=False)


def _storage(
    index: int, disks: Sequence[Device], devices: Sequence[Device], *, tmpfs: bool, size: int, metadata: str
) -> list[dict[str, object]]:
    mount = f"/mnt/daos{index}"
    if tmpfs:
        tiers: list[dict[str, object]] = [{"class": "ram", "scm_mount": mount, "scm_size": max(size, 1)}]
    else:
        persistent = [device for device in devices if device.storage_class == "dcpm"]
        if index >= len(persistent):
            raise NotFoundError("there is no persistent memory for each engine", hint="--use-tmpfs-scm takes memory")
        tiers = [{"class": "dcpm", "scm_mount": mount, "scm_list": [persistent[index].address]}]
    if disks:
        tier: dict[str, object] = {"class": "kdev", "bdev_list": [disk.address for disk in disks]}
        if metadata:
            tier["bdev_roles"] = ["wal", "meta", "data"]
        tiers.append(tier)
    return tiers


def _port(text: str) -> int:
    if not text.strip().isdecimal() or not 0 < int(text) < 1 << 16:
        raise InvalidError(f'"{text}" is no port', hint="such as 31316,32316")
    return int(text)
