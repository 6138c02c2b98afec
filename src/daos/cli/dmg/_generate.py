"""A configuration of servers, made from what their hosts have. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from daos.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daos.mgmt.proto import daos_mgmt_pb2 as pb

Yaml: TypeAlias = "str | int | bool | list[Yaml] | dict[str, Yaml]"

FABRIC_PORT = 31_316
FABRIC_PORT_STEP = 1_000
"""Between the engines of a host: each target has a port."""
RAM_SHARE = 0.75
"""Of the memory, for tiers in memory; the rest is the engines' and the system's."""
GIB = 1 << 30
TARGETS_MAX = 16
_USED = ("dcpm", "nvme")
"""Classes of devices that are taken without being asked for: others, such as disks, may hold something else."""
CLASSES = ("infiniband", "ethernet", "loopback")
"""Of interfaces, the best first."""


@dataclass(frozen=True)
class Wishes:
    """What a command line says.

    Attributes:
        name: The system's.
        port: Of its servers.
        replicas: Management replicas.
        engines: How many on each host; None for one on each NUMA node.
        scm_only: No second tier.
        net_class: Of interfaces; None for the best there is.
        provider: Of the network; None for that of the interfaces.
        ram: Tier 0 in memory, also if there is persistent memory.
        metadata: Where control metadata is; None for tier 0.
        ports: Of the engines; None for the usual ones.
    """

    name: str
    port: int
    replicas: Sequence[str]
    engines: int | None = None
    scm_only: bool = False
    net_class: str | None = None
    provider: str | None = None
    ram: bool = False
    metadata: str | None = None
    ports: Sequence[int] | None = None


def check_alike(facts: dict[str, pb.GenerateConfigFactsResponse]) -> pb.GenerateConfigFactsResponse:
    """Return what all hosts have.

    Raises:
        InvalidError: `DER.INVAL`: they differ, so that no one configuration fits them.
    """
    (first, common), *others = facts.items()
    for host, told in others:
        for what, ours, theirs in (
            ("NUMA nodes", _nodes(common), _nodes(told)),
            ("network interfaces", _interfaces(common), _interfaces(told)),
            ("storage devices", _devices(common), _devices(told)),
        ):
            if ours != theirs:
                raise InvalidError(
                    f"{first} and {host} have different {what}", hint="generate for hosts that are alike: --host-list"
                )
    return common


def _nodes(facts: pb.GenerateConfigFactsResponse) -> object:
    return [(node.index, node.cores) for node in facts.numa_nodes]


def _interfaces(facts: pb.GenerateConfigFactsResponse) -> object:
    return sorted((one.name, one.numa_node, one.net_class) for one in facts.interfaces)


def _devices(facts: pb.GenerateConfigFactsResponse) -> object:
    return sorted(
        (one.storage_class, one.address, one.numa_node) for one in facts.devices if one.storage_class in _USED
    )


def configuration(facts: pb.GenerateConfigFactsResponse, wishes: Wishes) -> dict[str, Yaml]:
    """Return a configuration.

    Raises:
        NotFoundError: `DER.NONEXIST`: a host has not what the wishes need.
        InvalidError: `DER.INVAL`: there are not so many engines, or ports for them.
    """
    interfaces = _chosen_interfaces(facts, wishes)
    by_node = {one.numa_node: one for one in reversed(interfaces)}
    count = wishes.engines or len(by_node)
    nodes = [node for node in facts.numa_nodes if node.index in by_node]
    if count > len(nodes):
        raise InvalidError(
            f"{count} engines need an interface on as many NUMA nodes, there are {len(nodes)}",
            hint="--num-engines gives fewer",
        )
    if wishes.ports is not None and len(wishes.ports) < count:
        raise InvalidError(f"{count} engines need as many ports, not {len(wishes.ports)}", hint="--fabric-ports a,b")
    told: dict[str, Yaml] = {
        "name": wishes.name,
        "port": wishes.port,
        "mgmt_svc_replicas": list(wishes.replicas),
        "provider": wishes.provider or interfaces[0].provider,
        "control_log_mask": "INFO",
    }
    if wishes.metadata is not None:
        told["control_metadata"] = {"path": wishes.metadata}
    told["engines"] = [
        _engine(index, node, by_node[node.index].name, facts, wishes, count) for index, node in enumerate(nodes[:count])
    ]
    return told


def _chosen_interfaces(facts: pb.GenerateConfigFactsResponse, wishes: Wishes) -> list[pb.NetworkInterface]:
    classes = CLASSES if wishes.net_class is None else (wishes.net_class,)
    for net_class in classes:
        found = [
            one for one in facts.interfaces if one.net_class == net_class and wishes.provider in (None, one.provider)
        ]
        if found:
            return found
    of_class = "" if wishes.net_class is None else f" of class {wishes.net_class}"
    of_provider = "" if wishes.provider is None else f" of provider {wishes.provider}"
    raise NotFoundError(
        f"no network interface{of_class}{of_provider} found", hint="dmg network scan -p all lists what there is"
    )


def _engine(
    index: int, node: pb.NumaNode, interface: str, facts: pb.GenerateConfigFactsResponse, wishes: Wishes, count: int
) -> Yaml:
    # One core is left for the engine's own work, and one for the system's.
    targets = min(max(node.cores - 2, 1), TARGETS_MAX)
    port = FABRIC_PORT + FABRIC_PORT_STEP * index if wishes.ports is None else wishes.ports[index]
    return {
        "targets": targets,
        "nr_xs_helpers": 0,
        "first_core": 0,
        "pinned_numa_node": node.index,
        "fabric_iface": interface,
        "fabric_iface_port": port,
        "log_mask": "INFO",
        "log_file": f"/var/log/daos/daos_engine.{index}.log",
        "storage": _storage(index, node, facts, wishes, count),
    }


def _storage(
    index: int, node: pb.NumaNode, facts: pb.GenerateConfigFactsResponse, wishes: Wishes, count: int
) -> list[Yaml]:
    here = [device for device in facts.devices if device.numa_node == node.index]
    persistent = [device.address for device in here if device.storage_class == "dcpm"]
    mount = f"/mnt/daos{index}"
    first: dict[str, Yaml]
    if persistent and not wishes.ram:
        first = {"class": "dcpm", "scm_mount": mount, "scm_list": [persistent[0]]}
    else:
        size = int(RAM_SHARE * facts.memory / count) // GIB
        if not size:
            raise NotFoundError("too little memory for a tier in memory", hint="--num-engines gives fewer engines")
        first = {"class": "ram", "scm_mount": mount, "scm_size": size}
    second: list[str] = [device.address for device in here if device.storage_class == "nvme"]
    if wishes.scm_only:
        return [first]
    if not second:
        raise NotFoundError(
            f"no NVMe devices found on NUMA node {node.index}", hint="--scm-only makes a configuration without"
        )
    return [first, {"class": "nvme", "bdev_list": list(second)}]
