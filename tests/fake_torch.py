"""As much of PyTorch as `daos.torch` asks of it, so that its distributed checkpoints are tried without gigabytes.

Tensors are NumPy's arrays in a thin coat; `save` and `load` are pickles. What is called, and with what, is as in
PyTorch: `tests/integration/test_torch_real.py` holds against the real one.
"""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass
from enum import Enum, auto
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pytest


class Tensor:
    def __init__(self, data: object) -> None:
        self.data = np.asarray(data)

    def detach(self) -> Tensor:
        return self

    cpu = detach

    def clone(self) -> Tensor:
        return Tensor(self.data.copy())

    def numel(self) -> int:
        return self.data.size

    def element_size(self) -> int:
        return self.data.itemsize

    def size(self) -> tuple[int, ...]:
        return self.data.shape

    def untyped_storage(self) -> _Storage:
        base = self.data if self.data.base is None else self.data.base
        return _Storage(np.asarray(base).nbytes)

    def narrow(self, dim: int, first: int, length: int) -> Tensor:
        return Tensor(self.data.take(range(first, first + length), axis=dim))

    def copy_(self, other: Tensor) -> None:
        self.data[...] = other.data


@dataclass
class _Storage:
    bytes: int

    def size(self) -> int:
        return self.bytes


def save(value: object, file: io.IOBase) -> None:
    file.write(pickle.dumps(value))


def load(file: io.BytesIO, *, map_location: str, weights_only: bool) -> object:
    assert (map_location, weights_only) == ("cpu", True)
    return pickle.load(file)


class Future:
    def __class_getitem__(cls, _: object) -> type[Future]:
        return cls

    def set_result(self, value: object) -> None:
        self._value = value

    def wait(self) -> object:
        return self._value


class WriteItemType(Enum):
    TENSOR = auto()
    SHARD = auto()
    BYTE_IO = auto()


class LoadItemType(Enum):
    TENSOR = auto()
    BYTE_IO = auto()


@dataclass
class StorageMeta:
    checkpoint_id: object = None
    save_id: str | None = None
    load_id: str | None = None


@dataclass
class Metadata:
    version: str | None = None
    storage_data: object = None
    storage_meta: StorageMeta | None = None


@dataclass(frozen=True)
class WriteResult:
    index: object
    size_in_bytes: int
    storage_data: object


@dataclass
class StorageInfo:
    relative_path: str
    offset: int
    length: int
    transform_descriptors: list[str] | None = None


@dataclass
class StoragePrefix:
    prefix: str


@dataclass
class WriteItem:
    index: str
    type: WriteItemType


@dataclass
class ReadItem:
    storage_index: str
    type: LoadItemType
    storage_offsets: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()


@dataclass
class Plan:
    items: list[object]
    storage_data: object = None


class Base:
    """The base of writers and readers."""


MODULES: dict[str, dict[str, object]] = {
    "torch": {"Tensor": Tensor, "save": save, "load": load},
    "torch.distributed": {},
    "torch.distributed.checkpoint": {"StorageReader": Base, "StorageWriter": Base},
    "torch.distributed.checkpoint.filesystem": {
        "CURRENT_DCP_VERSION": "1.0.0",
        "_StorageInfo": StorageInfo,
        "_StoragePrefix": StoragePrefix,
    },
    "torch.distributed.checkpoint.metadata": {"StorageMeta": StorageMeta},
    "torch.distributed.checkpoint.planner": {"LoadItemType": LoadItemType, "WriteItemType": WriteItemType},
    "torch.distributed.checkpoint.storage": {"WriteResult": WriteResult},
    "torch.futures": {"Future": Future},
}


def put_in_place(patch: pytest.MonkeyPatch) -> None:
    """Have `import torch` find these."""
    for name, held in MODULES.items():
        module = ModuleType(name)
        module.__dict__.update(held)
        patch.setitem(sys.modules, name, module)
