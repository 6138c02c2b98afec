"""Mounts by URL that several objects of a process have in common."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from daos.client._within import within
from daos.dfs._mount import mount
from daos.dfs._mounted import _FORGOTTEN_S, UMASK

if TYPE_CHECKING:
    from daos.client.system import Durability
    from daos.dfs._dfs import DFS

    Key = tuple[str, bool, str, int]

__all__ = ["SharedMount", "shared"]

KEPT_MAX = 8
"""Mounts that are kept for what comes by pickles: a worker has many tasks with the same, one after the other."""

_mounts: weakref.WeakValueDictionary[Key, SharedMount] = weakref.WeakValueDictionary()
_kept: OrderedDict[Key, SharedMount] = OrderedDict()
_lock = Lock()


class SharedMount:
    """A share in a mount. It is unmounted when the last share of it in this process is let go, and the pool closed."""

    def __init__(self, key: Key, dfs: DFS) -> None:
        self._key = key
        self._dfs = dfs
        self._pid = os.getpid()
        self._finish = weakref.finalize(self, _let_go, dfs)

    @property
    def dfs(self) -> DFS:
        """The file system. In a forked child of a process that held an embedded system, that is opened again."""
        if self._pid != os.getpid():
            with _lock:
                if self._pid != os.getpid():
                    self._again()
        return self._dfs

    def _again(self) -> None:
        self._pid = os.getpid()
        if self._dfs.container.pool.system.served:
            return  # goes on by itself
        self._finish.detach()
        _inherited.append(self._dfs)
        self._dfs = _mounted(self._key)
        self._finish = weakref.finalize(self, _let_go, self._dfs)


_inherited: list[DFS] = []
"""What is the parent's: kept, never used and never closed."""


def _at_fork() -> None:
    """Another thread may have held the lock; mounts see to themselves when they are used."""
    global _lock  # noqa: PLW0603 -- a child begins anew
    _lock = Lock()


os.register_at_fork(after_in_child=_at_fork)


def shared(
    url: str, *, read_only: bool = False, durability: Durability = "buffered", umask: int = UMASK, keep: bool = False
) -> SharedMount:
    """Mount what a URL names, or return a share in the mount that somebody in this process has of it.

    Args:
        url: As of `daos.dfs.mount`.
        read_only: As there.
        durability: As there.
        umask: As there.
        keep: Have it for a while, even if nobody else does.
    """
    key = (url, read_only, durability, umask)
    with _lock:
        share = _mounts.get(key)
    if share is None:
        # Without the lock: it may wait for a system. Of two at the same time, the second drops his.
        made = SharedMount(key, _mounted(key))
        with _lock:
            share = _mounts.setdefault(key, made)
        del made
    dropped = None
    if keep:
        with _lock:
            _kept[key] = share
            _kept.move_to_end(key)
            if len(_kept) > KEPT_MAX:
                # Unmounted, if so, when the lock is free again.
                _, dropped = _kept.popitem(last=False)
    del dropped
    return share


def _mounted(key: Key) -> DFS:
    url, read_only, durability, umask = key
    return mount(url, read_only=read_only, durability=durability, umask=umask)  # type: ignore[arg-type]


def _let_go(dfs: DFS) -> None:
    """Unmount what nobody has any more: nobody is told what failed, and a program that ends does not wait long."""
    with contextlib.suppress(Exception), within(_FORGOTTEN_S):
        dfs.close()
