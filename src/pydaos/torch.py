"""`pydaos.torch`, for programs that were written for DAOS: what `daos.torch` has, by those names."""

from __future__ import annotations

from daos.torch import Checkpoint, Dataset, IterableDataset, WriteBuffer

__all__ = ["Checkpoint", "Dataset", "IterableDataset", "WriteBuffer"]
