"""The local channel: between a server and its engines, and of the same form elsewhere; both ends ask."""

from daos.local.channel import Channel, Listener, Method, connect, listen
from daos.local.messages import Carry, Event, MemberEntry, Members, Placed, PoolRequest, Ready, Space

__all__ = [
    "Carry",
    "Channel",
    "Event",
    "Listener",
    "MemberEntry",
    "Members",
    "Method",
    "Placed",
    "PoolRequest",
    "Ready",
    "Space",
    "connect",
    "listen",
]
