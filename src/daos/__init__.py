"""DAOS: a distributed asynchronous object store.

Names load what they need when they are first used, so that `import daos` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daos._build import BuildInfo, __version__, build_info
    from daos.client import (
        KV,
        AccessList,
        Array,
        Attributes,
        Batch,
        CheckReport,
        Container,
        ContainerAcl,
        ContainerInfo,
        ContainerStat,
        Damage,
        Difference,
        Extent,
        Extreme,
        Hole,
        Listed,
        NamedObject,
        Object,
        ObjectId,
        ObjectTable,
        Pool,
        PoolInfo,
        Range,
        ScrubStatus,
        Snapshot,
        Space,
        System,
        TargetInfo,
        TierSpace,
        Transaction,
        connect,
        global2local,
        open,
        open_system,
    )
    from daos.errors import (
        DER,
        AccessError,
        BusyError,
        ClosedError,
        ConflictError,
        CorruptionError,
        DaosError,
        DataLossError,
        ExistsError,
        ForkedError,
        InternalError,
        InvalidError,
        KeyNotFoundError,
        NoSpaceError,
        NotFoundError,
        OutOfRangeError,
        RetryableError,
        StaleError,
        TimedOutError,
        UnavailableError,
        UncertainError,
    )

__all__ = [
    "DER",
    "KV",
    "AccessError",
    "AccessList",
    "Array",
    "Attributes",
    "Batch",
    "BuildInfo",
    "BusyError",
    "CheckReport",
    "ClosedError",
    "ConflictError",
    "Container",
    "ContainerAcl",
    "ContainerInfo",
    "ContainerStat",
    "CorruptionError",
    "Damage",
    "DaosError",
    "DataLossError",
    "Difference",
    "ExistsError",
    "Extent",
    "Extreme",
    "ForkedError",
    "Hole",
    "InternalError",
    "InvalidError",
    "KeyNotFoundError",
    "Listed",
    "NamedObject",
    "NoSpaceError",
    "NotFoundError",
    "Object",
    "ObjectId",
    "ObjectTable",
    "OutOfRangeError",
    "Pool",
    "PoolInfo",
    "Range",
    "RetryableError",
    "ScrubStatus",
    "Snapshot",
    "Space",
    "StaleError",
    "System",
    "TargetInfo",
    "TierSpace",
    "TimedOutError",
    "Transaction",
    "UnavailableError",
    "UncertainError",
    "__version__",
    "build_info",
    "connect",
    "global2local",
    "open",
    "open_system",
]

# Where each name that is no exception lives; the exceptions and `DER` are in `daos.errors`.
_HOME = {
    "BuildInfo": "daos._build",
    "__version__": "daos._build",
    "build_info": "daos._build",
    **dict.fromkeys(
        (
            "KV",
            "AccessList",
            "Array",
            "Attributes",
            "Batch",
            "CheckReport",
            "Container",
            "ContainerAcl",
            "ContainerInfo",
            "ContainerStat",
            "Damage",
            "Difference",
            "Extent",
            "Extreme",
            "Hole",
            "Listed",
            "NamedObject",
            "Object",
            "ObjectId",
            "ObjectTable",
            "Pool",
            "PoolInfo",
            "Range",
            "ScrubStatus",
            "Snapshot",
            "Space",
            "System",
            "TargetInfo",
            "TierSpace",
            "Transaction",
            "connect",
            "global2local",
            "open",
            "open_system",
        ),
        "daos.client",
    ),
}


if not TYPE_CHECKING:  # a type checker that saw this function would accept any name

    def __getattr__(name: str) -> object:
        if name in {"aio", "dfs"}:
            return import_module(f"daos.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOME.get(name, "daos.errors")), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
