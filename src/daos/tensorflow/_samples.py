"""Samples for `tf.data`: a file is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from daos.dfs._source import EMBEDDED_THREADS, READ_THREADS, OnSource, Source, address_of, files_below
from daos.errors import InvalidError
from daos.tensorflow._order import Share, groups, order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Samples"]

FILES_MAX = 32
"""Files that are read by one call of TensorFlow: a call costs as much as a small file."""
BYTES_MAX = 16 << 20
"""Bytes of these: a larger sample is read alone."""
EPOCHS_MAX = (1 << 63) - 1


class Samples(OnSource):
    """The files below a directory, for `tf.data`.

    Args:
        pool: Label or uuid; or a URL `daos://POOL/CONTAINER[/PATH]` alone.
        cont: Label or uuid of a container of the type `POSIX`.
        path: A directory in it; its root by default.

    All files below the directory are samples, in the order of their paths; symbolic links are not. They are listed
    once, when this is made. It must be open as long as what `dataset` returned is iterated.

    Raises:
        InvalidError: `DER.INVAL`: no pool or container.
        NotFoundError: `DER.NONEXIST`: no such pool or container.
        FileNotFoundError: No such directory.
    """

    def __init__(self, pool: str | None = None, cont: str | None = None, path: str | None = None) -> None:
        address = address_of(pool, cont, path)
        self._calls = EMBEDDED_THREADS if address.embedded else READ_THREADS
        # The threads that read are TensorFlow's; those of the source list directories.
        self._source = Source(address, read_only=True, threads=self._calls)
        try:
            found = files_below(self._source, address.path)
        except BaseException:
            self._source.close()
            raise
        self._paths = [path for path, _ in found]
        self._sizes = [size for _, size in found]
        self._top = len(address.path.rstrip("/")) + 1

    @property
    def paths(self) -> Sequence[str]:
        """The files, in the order of their numbers: that of their names, the same in all processes."""
        return self._paths

    @property
    def sizes(self) -> Sequence[int]:
        """Bytes of the files, as they were listed."""
        return self._sizes

    def __len__(self) -> int:
        return len(self._paths)

    def dataset(
        self,
        *,
        shuffle: int | None = None,
        epochs: int | None = 1,
        worker: int = 0,
        workers: int = 1,
        drop_remainder: bool = False,
        with_paths: bool = False,
        parallel: int | None = None,
        files_max: int = FILES_MAX,
        bytes_max: int = BYTES_MAX,
    ) -> Any:
        """Return a `tf.data.Dataset` of the bytes of files, each a scalar of the type `tf.string`.

        Its elements come in the same order each time, however many are read at the same time. It works in this
        process alone: it cannot be stored in a graph or sent to a `tf.data` service.

        Args:
            shuffle: A seed: each epoch has an order of its own, the same for the same seed. Without one, that of the
                paths.
            epochs: How often all of it comes; None for ever.
            worker: Which of several workers this is, from 0 on: each sample of an epoch goes to one of them, if all
                have the same seed.
            workers: How many there are.
            drop_remainder: Give each worker as many, and leave out the up to `workers - 1` samples behind them.
            with_paths: Elements are pairs, of the path below the directory and the bytes.
            parallel: How many groups of files are read at the same time, and as many again ahead of what is asked for;
                by default 4 of a running system and 1 of an embedded one.
            files_max: Files of a group.
            bytes_max: Bytes of a group of more than one file.

        Raises:
            InvalidError: `DER.INVAL`: a number that is out of range.
            ImportError: TensorFlow is not installed.

        What fails while it is iterated is one of `tf.errors`, with the text of what failed here.
        """
        if (epochs is not None and epochs < 0) or min(self._calls if parallel is None else parallel, files_max) < 1:
            raise InvalidError("epochs are 0 or more, calls and files at a time 1 or more")
        if bytes_max < 0:
            raise InvalidError(f"{bytes_max} bytes at a time are none")
        share = Share(worker, workers, drop_remainder=drop_remainder)
        # What is wrong with a seed shows here, not in a thread of TensorFlow.
        count = len(share.of(order(len(self), shuffle, 0)))
        import tensorflow as tf

        calls = self._calls if parallel is None else parallel

        def rows_of(epoch: int) -> NDArray[np.int64]:
            numbers = share.of(order(len(self), shuffle, int(epoch)))
            return groups(numbers, self._sizes, files_max=files_max, bytes_max=bytes_max)

        def epoch_of(epoch: Any) -> Any:
            rows = tf.numpy_function(rows_of, [epoch], tf.int64)
            rows.set_shape([None, None])
            return tf.data.Dataset.from_tensor_slices(rows)

        def read(row: Any) -> Any:
            paths, data = tf.numpy_function(self._read, [row], (tf.string, tf.string))
            for one in (paths, data):
                one.set_shape([None])
            return (paths, data) if with_paths else data

        # They are run as they are: TensorFlow need not look at their source.
        plain = tf.autograph.experimental.do_not_convert
        made = (
            tf.data.Dataset.range(EPOCHS_MAX if epochs is None else epochs)
            .flat_map(plain(epoch_of))
            .map(plain(read), num_parallel_calls=calls, deterministic=True)
            .prefetch(calls)
            .unbatch()
        )
        told = tf.data.INFINITE_CARDINALITY if epochs is None and count else count * (epochs or 0)
        return made.apply(tf.data.experimental.assert_cardinality(told))

    def _read(self, row: NDArray[np.int64]) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        """Return paths and bytes of a group."""
        wanted = [self._paths[number] for number in row.tolist() if number >= 0]
        read = self._source.dfs.read_bytes
        data = np.empty(len(wanted), dtype=object)
        paths = np.empty(len(wanted), dtype=object)
        for at, path in enumerate(wanted):
            data[at] = read(path)
            paths[at] = path[self._top :].encode(errors="surrogateescape")
        return paths, data
