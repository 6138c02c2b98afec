"""For PyTorch: samples from files, and checkpoints to them.

`Dataset` and `IterableDataset` are for `torch.utils.data.DataLoader`: a sample is a file. `Checkpoint` gives files that
`torch.save` and `torch.load` take. `StorageWriter` and `StorageReader` are those of `torch.distributed.checkpoint`.
The module `pydaos.torch` has the first three, by the names that programs for DAOS know.

Names load what they need when they are first used; the last two need PyTorch, the others work without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daos.torch._checkpoint import Checkpoint, WriteBuffer
    from daos.torch._dataset import Dataset, IterableDataset
    from daos.torch._distributed import StorageReader, StorageWriter

__all__ = ["Checkpoint", "Dataset", "IterableDataset", "StorageReader", "StorageWriter", "WriteBuffer"]

_HOMES = {
    "Checkpoint": "_checkpoint",
    "Dataset": "_dataset",
    "IterableDataset": "_dataset",
    "StorageReader": "_distributed",
    "StorageWriter": "_distributed",
    "WriteBuffer": "_checkpoint",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
