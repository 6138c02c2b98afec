"""The storage of a host: what is there, and making it an engine's."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daos import _core
from daos.errors import DER, BusyError, DaosError, ExistsError, InvalidError, NotFoundError, UnavailableError
from daos.rsvc.files import sync_directory
from daos.server import superblock
from daos.server.settings import EngineSettings, TierSettings
from daos.server.superblock import Superblock

OURS = frozenset({"control_raft"})
"""What a server keeps beside an engine's storage: a format leaves it, an erasure too. `dmg system erase` empties it."""
HEAD_BYTES = 1 << 20
"""Of a device: what is looked at for something foreign, and cleared."""
FILE_BYTES_MIN = 64 << 20

_PCI = re.compile(r"[0-9a-fA-F]{4,5}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")
_SYS = Path("/sys")


@dataclass(frozen=True)
class Device:
    """A piece of storage that the host has.

    Attributes:
        media: `scm` or `nvme`.
        storage_class: `ram`, `dcpm`, `nvme`, `file` or `kdev`.
        address: A path, or a PCI address.
        size: Bytes.
        free: Of these, what a file system has left; 0 for a device.
        model: Of a device.
        serial: Of a device.
        numa_node: That it is next to.
        engine: The index of the engine that is configured to use it.
        formatted: Whether it has an engine's superblock.
    """

    media: str
    storage_class: str
    address: str
    size: int = 0
    free: int = 0
    model: str = ""
    serial: str = ""
    numa_node: int = 0
    engine: int | None = None
    formatted: bool = False


@dataclass(frozen=True)
class FormatResult:
    """How the format of a piece of storage went; None for well."""

    engine: int
    media: str
    address: str
    error: DaosError | None = None


def scan(engines: tuple[EngineSettings, ...], *, sys: Path = _SYS) -> list[Device]:
    """Return what engines are configured to use, and which block devices there are besides."""
    found: list[Device] = []
    for engine in engines:
        formatted = _has_superblock(engine)
        for tier in engine.tiers:
            found += [_device(tier, address, engine.index, formatted=formatted) for address in addresses(tier)]
    known = {str(path_of(device.storage_class, device.address, sys=sys) or device.address) for device in found}
    return [*found, *(device for device in block_devices(sys) if device.address not in known)]


@dataclass(frozen=True)
class Slot:
    """A device of an engine, and its place.

    Attributes:
        address: As it is configured.
        path: None for a PCI address without a block device of the kernel.
        index: Which of the engine's devices it is.
        roles: What it is for.
        targets: Whose data, or what of theirs, is on it.
    """

    address: str
    path: Path | None
    index: int
    roles: tuple[str, ...]
    targets: tuple[int, ...]


def slots(engine: EngineSettings) -> list[Slot]:
    """Return the devices of an engine; a tier without roles is for data."""
    listed = [(tier, device) for tier in engine.tiers if tier.mount is None for device in tier.devices]
    data = [device for tier, device in listed if "data" in (tier.roles or ("data",))]
    found = []
    for index, (tier, device) in enumerate(listed):
        roles = tier.roles or ("data",)
        targets = tuple(range(engine.targets))
        if set(roles) == {"data"}:
            targets = targets[data.index(device) :: len(data)]
        found.append(Slot(device, path_of(tier.storage_class, device), index, roles, targets))
    return found


def state_of(slot: Slot, name: str) -> tuple[str, int]:
    """Return the state of a device of the storage of a UUID, in DAOS's words, and its bytes."""
    try:
        size = 0 if slot.path is None else _size_of(slot.path)
    except OSError:
        size = 0
    if slot.path is None or not size:
        return "UNPLUGGED", 0
    try:
        found = _core.device_inspect(str(slot.path))
    except DaosError:
        return "EVICTED", size
    # One that was put in its place is not this engine's yet.
    return ("NORMAL" if found is not None and found[0] == name else "NEW"), size


def addresses(tier: TierSettings) -> tuple[str, ...]:
    """Return the directory, files or devices of a tier."""
    return tier.devices if tier.mount is None else (str(tier.mount),)


def path_of(storage_class: str, address: str, *, sys: Path = _SYS) -> Path | None:
    """Return the path of a device; None for a PCI address without a block device of the kernel."""
    if storage_class != "nvme" or not _PCI.fullmatch(address):
        return Path(address)
    names = sorted((sys / "bus/pci/devices" / address.lower() / "nvme").glob("nvme*/nvme*n*"))
    return Path("/dev", names[0].name) if names else None


def block_devices(sys: Path = _SYS, mounts: Path = Path("/proc/mounts")) -> list[Device]:
    """Return the whole block devices of the kernel that nobody uses: without partitions, holders or a file system."""
    mounted = {line.split(" ", 1)[0] for line in _read(mounts).splitlines()}
    found = []
    for entry in sorted((sys / "class/block").glob("*")):
        if not re.fullmatch(r"nvme\d+n\d+|sd[a-z]+|vd[a-z]+|pmem\d+", entry.name):
            continue
        parts = any((part / "partition").exists() for part in entry.iterdir())
        held = (entry / "holders").is_dir() and any((entry / "holders").iterdir())
        if parts or held or f"/dev/{entry.name}" in mounted:
            continue
        size = int(_read(entry / "size") or 0) * 512
        node = int(_read(entry / "device/device/numa_node") or _read(entry / "device/numa_node") or 0)
        pmem = entry.name.startswith("pmem")
        found.append(
            Device(
                media="scm" if pmem else "nvme",
                storage_class="dcpm" if pmem else ("nvme" if entry.name.startswith("nvme") else "kdev"),
                address=f"/dev/{entry.name}",
                size=size,
                model=_read(entry / "device/model"),
                serial=_read(entry / "device/serial"),
                numa_node=max(node, 0),
            )
        )
    return found


def check_format(engine: EngineSettings, *, force: bool) -> list[FormatResult]:
    """Return what is in the way of a format, a result with an error each; none if it may begin."""
    wrong: list[FormatResult] = []
    for tier in engine.tiers:
        for address in addresses(tier):
            try:
                _check(engine, tier, address, force=force)
            except DaosError as error:
                wrong.append(FormatResult(engine.index, tier.media, address, error))
    return wrong


def format_engine(
    engine: EngineSettings, *, system: str, domain: tuple[str, ...], force: bool = False, replace: bool = False
) -> list[FormatResult]:
    """Make the configured storage that of an engine. The superblock comes last: until then nothing is formatted.

    Args:
        engine: Whose.
        system: Of which system it will be.
        domain: Its fault domain.
        force: Delete what is there.
        replace: It is to take the rank of storage that is gone.

    Returns:
        A result for each directory, file and device; an error in one means that the engine is not formatted.
    """
    wrong = check_format(engine, force=force)
    if wrong:
        return wrong
    with suppress(OSError):
        (engine.metadata / superblock.NAME).unlink(missing_ok=True)
    results = prepare(engine, force=force)
    if any(result.error for result in results):
        return results
    name = str(uuid.uuid4())
    wrong = label(engine, system=system, name=name)
    if wrong:
        return wrong
    block = Superblock(uuid=name, system=system, rank=None, domain=domain, replace=replace)
    try:
        make_directory(engine.metadata)
        superblock.write(engine.metadata, block)
    except DaosError as error:
        return [FormatResult(engine.index, "scm", str(engine.metadata), error)]
    return results


def prepare(engine: EngineSettings, *, force: bool) -> list[FormatResult]:
    """Make the directories and files of an engine, and clear its devices; a result for each."""
    results: list[FormatResult] = []
    for tier in engine.tiers:
        for address in addresses(tier):
            error = None
            try:
                _prepare(tier, address, force=force)
            except DaosError as refusal:
                error = refusal
            except OSError as failure:
                error = _io(failure, f"cannot format {address}")
            results.append(FormatResult(engine.index, tier.media, address, error))
    return results


def label(engine: EngineSettings, *, system: str, name: str) -> list[FormatResult]:
    """Write the superblocks of an engine's devices, with the UUID of its storage; return what failed, and left none."""
    listed = slots(engine)
    for slot in listed:
        try:
            if slot.path is None:
                raise _no_device(slot.address)
            _core.device_format(
                str(slot.path),
                uuid=name,
                system=system,
                index=slot.index,
                count=len(listed),
                roles=list(slot.roles),
            )
        except DaosError as error:
            for done in listed[: slot.index]:
                with suppress(OSError):
                    if done.path is not None:
                        _clear(done.path)
            return [FormatResult(engine.index, "nvme", slot.address, error)]
    return []


def erase(engine: EngineSettings) -> None:
    """Delete what an engine has stored, the superblock first: what is cut short is not formatted.

    Raises:
        UnavailableError: `DER.IO`.
    """
    try:
        (engine.metadata / superblock.NAME).unlink(missing_ok=True)
        if engine.metadata.is_dir():
            sync_directory(engine.metadata)
            _empty(engine.metadata)
        for tier in engine.tiers:
            for address in addresses(tier):
                path = path_of(tier.storage_class, address)
                if path is not None and path.exists():
                    _empty(path) if tier.mount is not None else _clear(path)
    except OSError as error:
        raise _io(error, f"cannot erase engine {engine.index}") from None


def make_directory(path: Path) -> None:
    """Make a directory, durably.

    Raises:
        UnavailableError: `DER.IO`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise _io(error, f"cannot make {path}") from None


def capacity(engine: EngineSettings) -> tuple[int, int]:
    """Return the bytes of tier 0 and of the tiers for data, as configured or as there is.

    Tier 0 is where the indexes are: of devices for metadata alone it has their size.
    """
    sizes = {"scm": 0, "data": 0, "meta": 0}
    for tier in engine.tiers:
        roles = set(tier.roles or ("data",))
        kind = "scm" if tier.media == "scm" else "data" if "data" in roles else "meta" if "meta" in roles else None
        if kind is not None:
            for address in addresses(tier):
                sizes[kind] += tier.size or _device(tier, address, engine.index, formatted=True).size
    return sizes["meta"] or sizes["scm"], sizes["data"]


def _check(engine: EngineSettings, tier: TierSettings, address: str, *, force: bool) -> None:
    path = path_of(tier.storage_class, address)
    if path is None or (tier.storage_class in {"kdev", "nvme"} and not path.is_block_device()):
        raise _no_device(address)
    if force:
        return
    if _has_superblock(engine):
        raise ExistsError(
            f"{address} is already formatted, for engine {engine.index}",
            code=DER.ALREADY,
            hint="--force deletes what is there",
        )
    foreign = _foreign(tier, path)
    if foreign:
        raise BusyError(
            f"{address} is not empty: {foreign}", code=DER.BUSY, hint="empty it; --force deletes what is there"
        )


def _foreign(tier: TierSettings, path: Path) -> str:
    """Return what there is in a directory, file or device that is not ours; empty for nothing."""
    try:
        if tier.mount is not None:
            names = sorted(entry.name for entry in path.iterdir() if entry.name not in {*OURS, "lost+found"})
            return names[0] if names else ""
        if not path.exists():
            return ""
        whose = _whose(path)
        if whose:
            return whose
        with path.open("rb") as file:
            return "it has data" if any(file.read(HEAD_BYTES)) else ""
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _io(error, f"cannot read {path}") from None


def _whose(path: Path) -> str:
    """Return what the superblock of a device says; empty without one."""
    if not (path.is_file() or path.is_block_device()):
        return ""
    try:
        found = _core.device_inspect(str(path))
    except DaosError as error:
        return error.message
    if found is None:
        return ""
    name, system, index, count, *_ = found
    return f"it is device {index} of {count} of the storage {name} of system {system}"


def _no_device(address: str) -> NotFoundError:
    if _PCI.fullmatch(address):
        return NotFoundError(
            f"{address} has no block device of the kernel",
            hint="have the kernel's driver take it: modprobe nvme; echo it into /sys/bus/pci/drivers/nvme/bind",
        )
    return NotFoundError(f"{address} is no block device of this host", hint="daos_server storage scan lists them")


def _prepare(tier: TierSettings, address: str, *, force: bool) -> None:
    path = path_of(tier.storage_class, address)
    if path is None:
        raise _no_device(address)
    if tier.mount is not None:
        make_directory(path)
        if force:
            _empty(path)
        return
    if tier.storage_class != "file":
        _clear(path)
        return
    if tier.size < FILE_BYTES_MIN:
        raise InvalidError(f"{address} has {tier.size} bytes, the least is {FILE_BYTES_MIN}", hint="bdev_size, in GB")
    make_directory(path.parent)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _reserve(descriptor, tier.size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its size, and room for all of it where the file system can promise that."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise
        os.truncate(descriptor, size)


def _empty(directory: Path) -> None:
    """Delete what is in a directory, but not what links lead to, nor what a server keeps there."""
    for entry in directory.iterdir():
        if entry.name in OURS or entry.name == "lost+found":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    sync_directory(directory)


def _clear(path: Path) -> None:
    """Clear the head of a file or device."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if path.is_block_device() else 0))
    try:
        os.pwrite(descriptor, bytes(HEAD_BYTES), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _has_superblock(engine: EngineSettings) -> bool:
    return (engine.metadata / superblock.NAME).exists()


def _device(tier: TierSettings, address: str, engine: int, *, formatted: bool) -> Device:
    size = free = 0
    path = path_of(tier.storage_class, address)
    with suppress(OSError):
        if path is not None and tier.mount is not None:
            there = next((parent for parent in (path, *path.parents) if parent.exists()), path)
            usage = os.statvfs(there)
            size, free = usage.f_blocks * usage.f_frsize, usage.f_bavail * usage.f_frsize
        elif path is not None:
            size = _size_of(path)
    if tier.size:
        size = min(size, tier.size) if tier.mount is not None else tier.size
        free = min(free, size)
    return Device(
        media=tier.media,
        storage_class=tier.storage_class,
        address=address,
        size=size,
        free=free,
        engine=engine,
        formatted=formatted,
    )


def _size_of(path: Path) -> int:
    """Return the bytes of a file or block device."""
    if not stat.S_ISBLK(path.stat().st_mode):
        return path.stat().st_size
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


def _io(error: OSError, what: str) -> UnavailableError:
    return UnavailableError(f"{what}: {error.strerror}", code=DER.IO)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
