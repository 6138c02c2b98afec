"""As much of TensorFlow as `daos.tensorflow` asks of it, so that it is tried without gigabytes.

What is called, and with what, is as in TensorFlow: `tests/integration/test_tensorflow_real.py` holds against the real
one. Functions are called by several threads, as TensorFlow does.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

INFINITE = -1


class Tensor:
    """A value, and as much of its shape as is said."""

    def __init__(self, value: object, dtype: type) -> None:
        self.value = np.asarray(value)
        assert self.value.dtype == dtype, (self.value.dtype, dtype)

    def set_shape(self, shape: list[int | None]) -> None:
        assert len(shape) == self.value.ndim
        assert all(wanted in {None, there} for wanted, there in zip(shape, self.value.shape, strict=True))


def _numpy_function(function: Callable[[object], object], arguments: list[object], dtypes: object) -> object:
    (given,) = arguments
    told = function(given.value if isinstance(given, Tensor) else given)
    if isinstance(dtypes, tuple):
        assert isinstance(told, tuple)
        return tuple(Tensor(one, dtype) for one, dtype in zip(told, dtypes, strict=True))
    assert isinstance(dtypes, type)
    return Tensor(told, dtypes)


class Dataset:
    def __init__(self, items: Callable[[], Iterator[object]], count: int | None = None) -> None:
        self._items = items
        self._count = count

    def __iter__(self) -> Iterator[object]:
        return self._items()

    def __len__(self) -> int:
        assert self._count is not None
        if self._count == INFINITE:
            raise TypeError("The dataset is infinite.")
        return self._count

    as_numpy_iterator = __iter__

    @staticmethod
    def range(count: int) -> Dataset:
        return Dataset(lambda: map(np.int64, range(count)))

    @staticmethod
    def from_tensor_slices(tensor: Tensor) -> Dataset:
        return Dataset(lambda: iter(tensor.value))

    def flat_map(self, function: Callable[[object], Dataset]) -> Dataset:
        return Dataset(lambda: itertools.chain.from_iterable(map(function, self)))

    def map(self, function: Callable[[object], object], *, num_parallel_calls: int, deterministic: bool) -> Dataset:
        assert deterministic

        def items() -> Iterator[object]:
            under_way: deque[Future[object]] = deque()
            with ThreadPoolExecutor(num_parallel_calls) as threads:
                for item in self:
                    under_way.append(threads.submit(function, item))
                    if len(under_way) == num_parallel_calls:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()

        return Dataset(items)

    def prefetch(self, count: int) -> Dataset:
        assert count > 0
        return self

    def unbatch(self) -> Dataset:
        def items() -> Iterator[object]:
            for batch in self:
                if isinstance(batch, tuple):
                    yield from zip(*(one.value for one in batch), strict=True)
                else:
                    assert isinstance(batch, Tensor)
                    yield from batch.value

        return Dataset(items)

    def apply(self, function: Callable[[Dataset], Dataset]) -> Dataset:
        return function(self)


def _assert_cardinality(count: int) -> Callable[[Dataset], Dataset]:
    def assured(dataset: Dataset) -> Dataset:
        def items() -> Iterator[object]:
            seen = 0
            for seen, item in enumerate(dataset, 1):
                assert count == INFINITE or seen <= count
                yield item
            assert seen == count

        return Dataset(items, count)

    return assured


def put_in_place(patch: pytest.MonkeyPatch) -> None:
    """Have `import tensorflow` find these."""
    made = ModuleType("tensorflow")
    experimental = SimpleNamespace(assert_cardinality=_assert_cardinality)
    made.__dict__.update(
        autograph=SimpleNamespace(experimental=SimpleNamespace(do_not_convert=lambda function: function)),
        data=SimpleNamespace(Dataset=Dataset, INFINITE_CARDINALITY=INFINITE, experimental=experimental),
        int64=np.int64,
        numpy_function=_numpy_function,
        string=np.object_,
    )
    patch.setitem(sys.modules, "tensorflow", made)
