"""Samples for PyTorch's loaders: a file is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from daos.dfs._source import EMBEDDED_THREADS, READ_THREADS, OnSource, Source, address_of, files_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

try:
    from torch.utils.data import Dataset as _DatasetBase
    from torch.utils.data import IterableDataset as _IterableBase
    from torch.utils.data import get_worker_info
except ImportError:
    # Without PyTorch, they are what its loaders ask for all the same.
    _DatasetBase = _IterableBase = object

    def get_worker_info() -> None:
        """Tell that this is no worker."""


__all__ = ["Dataset", "IterableDataset"]

ITER_BATCH_SIZE = 32
READDIR_BATCH_SIZE = 128
PARALLEL_SCAN_WORKERS = 16
DIR_CACHE_SIZE = 65536


def transform_fn_default(data: bytes) -> bytes:
    """Return a sample as it is."""
    return data


class _Samples(OnSource):
    """The files below a directory, and how they are read."""

    def __init__(
        self,
        pool: str | None = None,
        cont: str | None = None,
        path: str | None = None,
        transform_fn: Callable[[bytes], object] = transform_fn_default,
        readdir_batch_size: int = READDIR_BATCH_SIZE,
        dir_cache_size: int = DIR_CACHE_SIZE,
        readdir_workers: int = PARALLEL_SCAN_WORKERS,
    ) -> None:
        super().__init__()
        # Pages, and what is cached of directories, are the file system's matter.
        del readdir_batch_size, dir_cache_size, readdir_workers
        address = address_of(pool, cont, path)
        self._transform = transform_fn
        threads = EMBEDDED_THREADS if address.embedded else READ_THREADS
        self._source = Source(address, read_only=True, threads=threads)
        try:
            self._paths = [path for path, _ in files_below(self._source, address.path)]
        except BaseException:
            self._source.close()
            raise

    @property
    def paths(self) -> Sequence[str]:
        """The files, in the order of their numbers: that of their names, the same in all processes."""
        return self._paths

    def _read(self, path: str) -> object:
        return self._transform(self._source.dfs.read_bytes(path))

    def _read_many(self, paths: Sequence[str]) -> list[object]:
        """Return samples; their bytes are read at the same time, and transformed one after the other."""
        dfs = self._source.dfs
        return list(map(self._transform, self._source.each(dfs.read_bytes, paths)))

    def worker_init(self, worker_id: int) -> None:
        """Begin in a worker of a loader. It is not needed: the first sample does it; here an error shows at once."""
        del worker_id
        self._source.dfs.exists("/")


class Dataset(_Samples, _DatasetBase):
    """Samples by their numbers, for a `DataLoader` that may shuffle them.

    Args:
        pool: Label or uuid; or a URL `daos://POOL/CONTAINER[/PATH]` alone.
        cont: Label or uuid of a container of the type `POSIX`.
        path: A directory in it; its root by default.
        transform_fn: What makes a sample of a file's bytes.
        readdir_batch_size: Not needed.
        dir_cache_size: Not needed.
        readdir_workers: Not needed.

    All files below the directory are samples, in the order of their paths; symbolic links are not. They are listed
    once, when the set is made. Workers may be forked or spawned, and need no `worker_init`.

    Raises:
        InvalidError: `DER.INVAL`: no pool or container.
        NotFoundError: `DER.NONEXIST`: no such pool or container.
        FileNotFoundError: No such directory.
    """

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> object:
        return self._read(self._paths[index])

    def __getitems__(self, indices: Sequence[int]) -> list[object]:
        """Return several samples, read at the same time."""
        return self._read_many([self._paths[index] for index in indices])


class IterableDataset(_Samples, _IterableBase):
    """Samples in their order, for a `DataLoader`; each of its workers has a stretch of them.

    Args:
        pool: As of `Dataset`.
        cont: As there.
        path: As there.
        transform_fn: As there.
        readdir_batch_size: As there.
        dir_cache_size: As there.
        readdir_workers: As there.
        batch_size: How many are read at the same time.

    Raises:
        InvalidError: As of `Dataset`.
        NotFoundError: As there.
        FileNotFoundError: As there.
    """

    def __init__(
        self,
        pool: str | None = None,
        cont: str | None = None,
        path: str | None = None,
        transform_fn: Callable[[bytes], object] = transform_fn_default,
        readdir_batch_size: int = READDIR_BATCH_SIZE,
        dir_cache_size: int = DIR_CACHE_SIZE,
        readdir_workers: int = PARALLEL_SCAN_WORKERS,
        batch_size: int = ITER_BATCH_SIZE,
    ) -> None:
        super().__init__(pool, cont, path, transform_fn, readdir_batch_size, dir_cache_size, readdir_workers)
        self._batch_size = max(1, batch_size)

    def __iter__(self) -> Iterator[object]:
        first, last = 0, len(self._paths)
        worker = cast("_Worker | None", get_worker_info())
        if worker is not None:
            first, last = stretch(len(self._paths), worker.id, worker.num_workers)
        for at in range(first, last, self._batch_size):
            yield from self._read_many(self._paths[at : min(at + self._batch_size, last)])


if TYPE_CHECKING:

    class _Worker:
        id: int
        num_workers: int


def stretch(count: int, worker: int, workers: int) -> tuple[int, int]:
    """Return the first number and the one behind the last of a worker's samples: as many for each, fewer at the end."""
    each = -(-count // workers)
    return min(count, worker * each), min(count, (worker + 1) * each)
