"""An engine's storage: its devices, how its space is divided into tiers, and what its targets use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from daos.local import DeviceSpace, EngineOptions, Space

DATA = 1
"""Values that are too large for the index."""
META = 2
"""Indexes."""
SIZE_MIN = 64 << 20

Volume: TypeAlias = tuple[int, int, int, int, int]
"""Of a directory or device: bytes in all, free, used and kept back, and what is there."""
Devices: TypeAlias = tuple[str, list[tuple[str, list[str]]]]
"""The UUID of their storage, and path and roles of each."""


def devices_of(options: EngineOptions) -> Devices | None:
    """Return the devices of an engine, those without a role for data; None without any."""
    listed = [
        (device, list(tier.roles) or ["data"])
        for tier in options.tiers
        if not tier.directory
        for device in tier.devices
    ]
    return (options.uuid, listed) if listed else None


def directory_size(options: EngineOptions) -> int | None:
    """Return the bytes that the files of the directory may have; None where nothing bounds them."""
    devices = devices_of(options)
    if devices is not None and any("meta" in roles for _, roles in devices[1]):
        return None  # there are none
    return max(options.capacity[0], SIZE_MIN) if options.capacity[0] else None


def space_of(volumes: Sequence[Volume], targets: int, capacity: tuple[int, int]) -> Space:
    """Return the space of an engine per tier, shared evenly by its targets.

    The first tier is where the indexes are, the second where the data is, if that is elsewhere. A device for both is
    the second; the first is then as much of it as the configuration has of memory.
    """
    meta = next(volume for volume in volumes if volume[4] & META)
    data = [volume for volume in volumes if volume[4] & DATA]
    tiers = [(meta[0], meta[1])]
    if data != [meta] or meta is not volumes[0]:
        tiers.append((sum(volume[0] for volume in data), sum(volume[1] for volume in data)))
        if meta in data:
            tiers[0] = (min(capacity[0], meta[0]), min(capacity[0], meta[1]))
    return Space(
        total=tuple((total // targets,) * targets for total, _ in tiers),
        free=tuple((free // targets,) * targets for _, free in tiers),
        devices=tuple(DeviceSpace(total=total, free=free, used=used) for total, free, used, _, _ in volumes[1:]),
    )
