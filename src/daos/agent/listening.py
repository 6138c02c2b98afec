"""Where clients come to: a socket in the file system."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING

from daos.errors import DER, BusyError, DaosError, InvalidError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

BACKLOG_MAX = 1024
"""Clients that come at once, as those of a job that starts."""
PATH_BYTES_MAX = 107
"""Of a Unix socket's path, by its address structure."""


def listening_socket(path: Path) -> socket.socket:
    """Return a socket that listens at a path, for all users of the host. What a dead agent left there is replaced.

    Raises:
        InvalidError: `DER.EXCEEDS_PATH_LEN`: the path is too long for a socket.
        BusyError: `DER.BUSY`: another agent serves it.
        UnavailableError: `DER.IO`: it cannot be made there.
    """
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise InvalidError(
            f"the path of a socket has at most {PATH_BYTES_MAX} bytes, {path} has {len(os.fsencode(path))}",
            code=DER.EXCEEDS_PATH_LEN,
            hint="choose a shorter runtime_dir",
        )
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        made.bind(str(path))
        path.chmod(0o666)  # who may do what is decided by who connects
        made.listen(BACKLOG_MAX)
        made.setblocking(False)  # noqa: FBT003 -- its signature
    except OSError as error:
        made.close()
        if isinstance(error, DaosError):
            raise
        if error.errno == errno.EADDRINUSE:
            raise _taken(path) from None
        raise UnavailableError(
            f"no socket at {path}: {error.strerror}",
            code=DER.IO,
            hint="make the directory, owned by the agent's user; or choose another with -s",
        ) from None
    except DaosError:
        made.close()
        raise
    return made


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise BusyError(f"{path} is there and is no socket", hint="remove it, or choose another directory with -s")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except (TimeoutError, BlockingIOError):
            pass
    raise _taken(path)


def _taken(path: Path) -> BusyError:
    return BusyError(f"another agent serves {path}", hint="stop it, or choose another directory with -s")
