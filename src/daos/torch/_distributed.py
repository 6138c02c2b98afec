"""Checkpoints of PyTorch's `torch.distributed.checkpoint`.

The files are those of PyTorch's own `FileSystemWriter`: `.metadata`, and a file a rank. So a mount, or a copy on a
local disk, can be read by its `FileSystemReader`, and the other way round. What differs is how they come to be: each
rank's file has a name that no earlier checkpoint has, is durable before it is told of, and `.metadata` replaces the
earlier one in one step when all are. A save that dies leaves the checkpoint that was there before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pickle
import re
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.distributed.checkpoint import StorageReader as _ReaderBase
from torch.distributed.checkpoint import StorageWriter as _WriterBase
from torch.distributed.checkpoint.filesystem import CURRENT_DCP_VERSION, _StorageInfo, _StoragePrefix
from torch.distributed.checkpoint.metadata import StorageMeta
from torch.distributed.checkpoint.planner import LoadItemType, WriteItemType
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from daos.dfs._fsspec_files import SCHEME
from daos.dfs._source import Source, address_of
from daos.errors import InvalidError
from daos.torch._checkpoint import DEFAULT_CHUNK_SIZE, WORKERS, WriteBuffer, read_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from torch.distributed.checkpoint.metadata import Metadata
    from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem, SavePlan, SavePlanner, WriteItem

    from daos.dfs._file import RawFile

__all__ = ["StorageReader", "StorageWriter"]

METADATA = ".metadata"
SUFFIX = ".distcp"
AHEAD_MAX = 256 << 20
"""Bytes that are read before the planner wants them."""
_DATA = re.compile(r"__(?P<rank>\d+)_\w+\.distcp")


class _Storage:
    """Where a checkpoint is."""

    def __init__(self, url: str | os.PathLike[str], *, read_only: bool, threads: int) -> None:
        self._read_only = read_only
        self._threads = threads
        self._source = self._opened(url)
        self._id = str(uuid.uuid4())
        self.rank: int | None = None
        self.use_collectives = True

    def _opened(self, url: str | os.PathLike[str]) -> Source:
        text = str(url)
        if not text.startswith(SCHEME):
            raise InvalidError(f"{text!r} is no URL of a checkpoint", hint="daos://POOL/CONTAINER/PATH")
        return Source(address_of(text, None, None), read_only=self._read_only, threads=self._threads)

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Begin a checkpoint; of another place, if it is given."""
        if checkpoint_id:
            before, self._source = self._source, self._opened(checkpoint_id)
            before.close()
        self._id = str(uuid.uuid4())

    @property
    def checkpoint_id(self) -> str:
        """Its URL."""
        return self._source.address.url()

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Tell whether it is one of these."""
        return str(checkpoint_id).startswith(SCHEME)

    def _path(self, name: str) -> str:
        return f"{self._source.address.path.rstrip('/')}/{name}"

    def _metadata(self, rank: int | None) -> str:
        return self._path(METADATA if rank is None else f"__{rank}{METADATA}")

    def _own_rank(self) -> int | None:
        """Return the rank that has metadata of its own, None where all have them in common."""
        return None if self.use_collectives else self.rank

    def close(self) -> None:
        """Let the file system go; closing again is no error."""
        self._source.close()


class StorageWriter(_Storage, _WriterBase):
    """Where `torch.distributed.checkpoint.save` writes.

    Args:
        url: `daos://POOL/CONTAINER/PATH`, a directory, which is made.
        overwrite: Replace the checkpoint that is there; else it is refused.
        chunk_size: Bytes that are written at a time.
        workers: How many of these are written at the same time.

    Raises:
        InvalidError: `DER.INVAL`: no such URL.
        NotFoundError: `DER.NONEXIST`: no such pool or container.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        workers: int = WORKERS,
    ) -> None:
        super().__init__(url, read_only=False, threads=workers)
        self._overwrite = overwrite
        self._chunk_size = chunk_size
        self._chunks_max = workers + 1

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002, FBT001 -- PyTorch's signature
        """Learn which rank this is."""
        self.rank = kwargs.get("rank")
        self.use_collectives = kwargs.get("use_collectives", True)

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Make the directory.

        Raises:
            FileExistsError: A checkpoint is there, and is not to be replaced.
        """
        dfs = self._source.dfs
        dfs.makedirs(self._source.address.path, exist_ok=True)
        path = self._metadata(self._own_rank())
        if not self._overwrite and dfs.exists(path):
            raise FileExistsError(17, "there is a checkpoint", path)
        if self._own_rank() is None:
            return plan
        return dataclasses.replace(plan, storage_data=_StoragePrefix(f"__{self.rank}_{_token()}_"))

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Give each rank names for its files, which no earlier checkpoint has."""
        token = _token()
        return [
            plan
            if plan.storage_data is not None
            else dataclasses.replace(plan, storage_data=_StoragePrefix(f"__{rank}_{token}_"))
            for rank, plan in enumerate(plans)
        ]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write what a plan names, one behind the other into one file; it is durable when this returns."""
        results: list[WriteResult] = []
        if plan.items:
            name = f"{plan.storage_data.prefix}0{SUFFIX}"
            with self._buffer(name) as file:
                results = [_written(file, name, item, planner.resolve_data(item)) for item in plan.items]
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def _buffer(self, name: str) -> WriteBuffer:
        return WriteBuffer(self._source, self._path(name), chunk_size=self._chunk_size, chunks_max=self._chunks_max)

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Make what was written the checkpoint, in one step; then remove files of an earlier one."""
        stored = {result.index: result.storage_data for part in results for result in part}
        metadata.version = CURRENT_DCP_VERSION
        metadata.storage_data = stored
        metadata.storage_meta = self.storage_meta()
        rank = self._own_rank()
        with self._buffer(METADATA if rank is None else f"__{rank}{METADATA}") as file:
            pickle.dump(metadata, file)
        kept = {info.relative_path for info in stored.values()}
        dfs = self._source.dfs
        for name in dfs.listdir(self._source.address.path):
            found = _DATA.fullmatch(name)
            if found is None or name in kept or (rank is not None and int(found["rank"]) != rank):
                continue
            with contextlib.suppress(FileNotFoundError):
                dfs.remove(self._path(name))

    def storage_meta(self) -> StorageMeta:
        """Return what is kept with the checkpoint."""
        return StorageMeta(checkpoint_id=self.checkpoint_id, save_id=self._id)


class StorageReader(_Storage, _ReaderBase):
    """Where `torch.distributed.checkpoint.load` reads.

    Args:
        url: `daos://POOL/CONTAINER/PATH`, a directory; `?snap=NAME` at its end reads as of a snapshot.
        workers: How many parts of it are read at the same time.

    Raises:
        InvalidError: `DER.INVAL`: no such URL.
        NotFoundError: `DER.NONEXIST`: no such pool, container or snapshot.
    """

    def __init__(self, url: str | os.PathLike[str], *, workers: int = WORKERS) -> None:
        super().__init__(url, read_only=True, threads=workers)
        self._stored: dict[Any, Any] = {}

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:  # noqa: ARG002 -- PyTorch's signature
        """Return the metadata of the checkpoint.

        Raises:
            FileNotFoundError: There is no checkpoint.
        """
        data = read_whole(self._source, self._metadata(kwargs.get("rank")), DEFAULT_CHUNK_SIZE)
        # As PyTorch keeps them: whoever may write a checkpoint is trusted by those that load it.
        metadata = cast("Metadata", pickle.loads(data))  # noqa: S301
        if getattr(metadata, "storage_meta", None) is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self._id
        return metadata

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002, FBT001 -- PyTorch's signature
        """Learn what is where."""
        self._stored = metadata.storage_data
        self.rank = kwargs.get("rank")
        self.use_collectives = kwargs.get("use_collectives", True)

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """Return the plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """Return the plans as they are."""
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Read what a plan names, in the order it lies in; several parts at the same time, ahead of what is loaded."""
        for item, data in self._parts(plan.items):
            if item.type == LoadItemType.BYTE_IO:
                planner.load_bytes(item, io.BytesIO(data))
                continue
            tensor = cast("torch.Tensor", torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
            for dim, (first, length) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                tensor = tensor.narrow(dim, first, length)
            target = planner.resolve_tensor(item).detach()
            if target.size() != tensor.size():
                raise InvalidError(
                    f"{item.storage_index} has the size {tuple(tensor.size())}, not {tuple(target.size())}"
                )
            target.copy_(tensor)
            planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _parts(self, items: list[ReadItem]) -> Iterator[tuple[ReadItem, bytes]]:
        """Yield items with their bytes."""
        placed = [(self._stored[item.storage_index], item) for item in items]
        placed.sort(key=lambda one: (one[0].relative_path, one[0].offset))
        for info, item in placed:
            if getattr(info, "transform_descriptors", None):
                raise InvalidError(f"{item.storage_index} was stored through an extension, which is not known here")
        with contextlib.ExitStack() as opened:
            files: dict[str, RawFile] = {}
            under_way: deque[tuple[ReadItem, int, Any]] = deque()
            ahead = 0
            threads = self._source.threads()
            for info, item in placed:
                name = info.relative_path
                if name not in files:
                    file = cast("RawFile", self._source.dfs.open(self._path(name), "rb", 0))
                    files[name] = opened.enter_context(file)
                while under_way and ahead + info.length > AHEAD_MAX:
                    first, length, data = under_way.popleft()
                    ahead -= length
                    yield first, data.result()
                under_way.append((item, info.length, threads.submit(_exactly, files[name], info)))
                ahead += info.length
            while under_way:
                first, _, data = under_way.popleft()
                yield first, data.result()


def _exactly(file: RawFile, info: Any) -> bytes:
    """Return a part of a file.

    Raises:
        EOFError: It is not all there.
    """
    data = file.pread(info.length, info.offset)
    if len(data) != info.length:
        raise EOFError(f"{file.name} ends at byte {info.offset + len(data)}, not behind {info.offset + info.length}")
    return data


def _written(file: WriteBuffer, name: str, item: WriteItem, data: Any) -> WriteResult:
    """Write an item; return where it is."""
    offset = file.tell()
    if item.type == WriteItemType.BYTE_IO:
        file.write(data.getbuffer())
    else:
        tensor = data.detach().cpu()
        if tensor.untyped_storage().size() != tensor.numel() * tensor.element_size():
            # Only what it shows is to be stored, not all that it is a part of.
            tensor = tensor.clone()
        torch.save(tensor, file)
    length = file.tell() - offset
    return WriteResult(index=item.index, size_in_bytes=length, storage_data=_StorageInfo(name, offset, length))


def _token() -> str:
    return uuid.uuid4().hex[:12]
