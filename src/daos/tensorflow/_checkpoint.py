"""Checkpoints as directories of the host, which come from a container and go to one as a whole."""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from daos.dfs._source import OnSource, Source, address_of
from daos.dfs._temporary import temporary
from daos.dfs.copying import Place, copy_tree
from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Checkpoint"]


class Checkpoint(OnSource):
    """Checkpoints in a directory of a container, each a directory that TensorFlow wrote.

    TensorFlow writes and reads in a directory of the host, for the time of a `with` block: whatever it can store there,
    `tf.train.Checkpoint`, Keras's models and weights, or a `SavedModel`, can be stored here.

    Args:
        pool: Label or uuid; or a URL `daos://POOL/CONTAINER[/PATH]` alone.
        cont: Label or uuid of a container of the type `POSIX`.
        prefix: The directory that names of checkpoints begin at.
        local: Where the directories of the host are; by default where temporary files are. `/dev/shm` is memory.

    Raises:
        InvalidError: `DER.INVAL`: no pool or container.
        NotFoundError: `DER.NONEXIST`: no such pool or container.
    """

    def __init__(
        self,
        pool: str | None = None,
        cont: str | None = None,
        prefix: str = "/",
        *,
        local: str | os.PathLike[str] | None = None,
    ) -> None:
        address = address_of(pool, cont, prefix)
        self._top = address.path
        self._local = local
        self._source = Source(address, read_only=False, threads=1)

    def _path(self, name: str) -> str:
        names = [one for one in name.split("/") if one]
        if not names or "." in names or ".." in names:
            raise InvalidError(f"a checkpoint cannot be called {name!r}")
        return f"{self._top.rstrip('/')}/{'/'.join(names)}"

    @contextlib.contextmanager
    def _directory(self) -> Iterator[Path]:
        """Give a directory of the host for a while."""
        with tempfile.TemporaryDirectory(prefix="daos-", dir=self._local) as held:
            # Whose permissions are those of the checkpoint; the one it is in is for nobody else.
            made = Path(held) / "checkpoint"
            made.mkdir()
            yield made

    @contextlib.contextmanager
    def writer(self, name: str, *, overwrite: bool = True) -> Iterator[Path]:
        """Give an empty directory of the host; what is in it when the block ends is the checkpoint.

        At any time its name leads to a whole checkpoint, the one of before or the new one, and the new one is durable.
        What an exception leaves is discarded. Directories above it that are missing are made.

        Args:
            name: What it is called.
            overwrite: Take the place of one that has the name.

        Raises:
            FileExistsError: There is one, and it is not to be replaced.
        """
        path = self._path(name)
        dfs = self._source.dfs
        if not overwrite and dfs.lexists(path):
            raise FileExistsError(17, os.strerror(17), path)
        with self._directory() as directory:
            yield directory
            above = posixpath.dirname(path)
            dfs.makedirs(above, 0o755, exist_ok=True)
            half = temporary(path)
            try:
                copy_tree(_of_host(directory), Place(half, dfs, half, posixpath.basename(half)))
                dfs.sync()
                self._name(half, path, overwrite=overwrite)
            except BaseException:
                with contextlib.suppress(OSError):
                    dfs.rmtree(half)
                raise
            dfs.fsync_dir(above)

    def _name(self, half: str, path: str, *, overwrite: bool) -> None:
        """Give a checkpoint its name, in one step."""
        dfs = self._source.dfs
        try:
            dfs.rename(half, path, replace=False)
        except FileExistsError:
            if not overwrite:
                raise
            # A directory with something in it is not replaced; the two change names.
            dfs.exchange(half, path)
            dfs.rmtree(half)

    @contextlib.contextmanager
    def reader(self, name: str) -> Iterator[Path]:
        """Give a directory of the host that has a copy of a checkpoint, until the block ends.

        What TensorFlow reads later than that, as variables that are made after `tf.train.Checkpoint.restore`, it does
        not find.

        Raises:
            FileNotFoundError: There is none.
        """
        path = self._path(name)
        with self._directory() as directory:
            # Its content goes into the directory: it has no name there.
            copy_tree(Place(path, self._source.dfs, path, None), _of_host(directory))
            yield directory

    def names(self) -> list[str]:
        """Return the names of the checkpoints right below the prefix, the oldest first."""
        try:
            found = list(self._source.dfs.scandir(self._top))
        except FileNotFoundError:
            return []
        dated = [
            (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
            for entry in found
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        ]
        return [name for _, name in sorted(dated)]

    def latest(self) -> str | None:
        """Return the name of the newest; None if there is none."""
        names = self.names()
        return names[-1] if names else None

    def remove(self, name: str) -> None:
        """Remove a checkpoint.

        Raises:
            FileNotFoundError: There is none.
        """
        path = self._path(name)
        half = temporary(path)
        # Half of it must not be found under its name.
        self._source.dfs.rename(path, half, replace=False)
        self._source.dfs.rmtree(half)


def _of_host(directory: Path) -> Place:
    real = os.path.realpath(directory)
    return Place(str(directory), None, real, None)
