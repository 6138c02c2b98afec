"""The local channel: between a server and its engines, and of the same form elsewhere; both ends ask."""

from daos.local.channel import Channel, Listener, Method, connect, listen
from daos.local.messages import (
    Carry,
    DeviceSpace,
    EnginePool,
    Event,
    LogMasks,
    MemberEntry,
    Members,
    Placed,
    PoolAcl,
    PoolInfo,
    PoolRequest,
    PoolTarget,
    Ready,
    Replicas,
    Space,
    TierSpace,
)
from daos.local.options import EngineOptions, EngineTier

__all__ = [
    "Carry",
    "Channel",
    "DeviceSpace",
    "EngineOptions",
    "EnginePool",
    "EngineTier",
    "Event",
    "Listener",
    "LogMasks",
    "MemberEntry",
    "Members",
    "Method",
    "Placed",
    "PoolAcl",
    "PoolInfo",
    "PoolRequest",
    "PoolTarget",
    "Ready",
    "Replicas",
    "Space",
    "TierSpace",
    "connect",
    "listen",
]
