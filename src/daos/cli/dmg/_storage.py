"""Devices as `dmg` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.cli._output import table
from daos.model.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daos.mgmt.proto import daos_mgmt_pb2 as pb

SCM, NVME = "scm", "nvme"
KELVIN = 273.15


def of_media(devices: Sequence[pb.StorageDevice], media: str) -> list[pb.StorageDevice]:
    """Return the devices of a tier."""
    return [device for device in devices if device.media == media]


def counted(devices: Sequence[pb.StorageDevice], noun: str) -> str:
    """Return how much there is on how many: `3.2 TB (2 controllers)`."""
    plural = noun if len(devices) == 1 else f"{noun}s"
    return f"{format_size(sum(device.size for device in devices))} ({len(devices)} {plural})"


def health_json(health: pb.DeviceHealth) -> dict[str, object]:
    """Return the health of a device as JSON has it."""
    return {
        "temperature": health.temperature,
        "media_errs": health.media_errors,
        "bio_read_errs": health.read_errors,
        "bio_write_errs": health.write_errors,
        "checksum_errs": health.checksum_errors,
        "power_on_hours": health.power_on_hours,
        "unsafe_shutdowns": health.unsafe_shutdowns,
        "read_only_warn": health.read_only,
        "avail_spare": health.spare_percent,
    }


def health_lines(health: pb.DeviceHealth, indent: str) -> list[str]:
    """Return the health of a device as text."""
    celsius = f"{health.temperature}K({health.temperature - KELVIN:.2f}C)" if health.temperature else "unknown"
    pairs = [
        ("Temperature", celsius),
        ("Power On Hours", f"{health.power_on_hours}h"),
        ("Unsafe Shutdowns", str(health.unsafe_shutdowns)),
        ("Media Errors", str(health.media_errors)),
        ("Read Errors", str(health.read_errors)),
        ("Write Errors", str(health.write_errors)),
        ("Checksum Errors", str(health.checksum_errors)),
        ("Available Spare", f"{health.spare_percent}%" if health.spare_percent else "unknown"),
        ("Device In Read-Only Mode", "WARNING" if health.read_only else "OK"),
    ]
    return [f"{indent}{name}:{value}" for name, value in pairs]


def scan_json(devices: Sequence[pb.StorageDevice]) -> dict[str, object]:
    """Return the devices of a host as JSON has them."""
    nvme = [
        {
            "model": device.model,
            "serial": device.serial,
            "pci_addr": device.address,
            "fw_rev": device.firmware,
            "socket_id": device.numa_node,
            "size": device.size,
            "class": device.storage_class,
            "formatted": device.formatted,
            "health_stats": health_json(device.health) if device.HasField("health") else None,
        }
        for device in of_media(devices, NVME)
    ]
    scm = [
        {
            "blockdev": device.address,
            "numa_node": device.numa_node,
            "size": device.size,
            "class": device.storage_class,
            "mount": {"path": device.mount} if device.mount else None,
        }
        for device in of_media(devices, SCM)
    ]
    return {"nvme_devices": nvme or None, "scm_modules": None, "scm_namespaces": scm or None}


def scan_lines(devices: Sequence[pb.StorageDevice]) -> list[str]:
    """Return the devices of a host as tables."""
    scm = [
        (device.address, str(device.numa_node), format_size(device.size), device.mount or "-")
        for device in of_media(devices, SCM)
    ]
    nvme = [
        (device.address, device.model or "-", device.firmware or "-", str(device.numa_node), format_size(device.size))
        for device in of_media(devices, NVME)
    ]
    return [
        *(table(("SCM Namespace", "Socket", "Capacity", "Mount"), scm) if scm else ["No SCM modules found"]),
        "",
        *(
            table(("NVMe PCI", "Model", "FW Revision", "Socket", "Capacity"), nvme)
            if nvme
            else ["No NVMe devices found"]
        ),
        "",
    ]
