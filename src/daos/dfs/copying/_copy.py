"""The copy of a tree: one thread looks, several copy."""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
import queue
import re
import secrets
import stat as stats
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from daos.errors import DER, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos.dfs.copying._places import Place
    from daos.dfs.copying._sides import Directory, Node, Reader, Writer

__all__ = ["Copied", "Options", "copy_tree"]

PIECE = 4 << 20
"""Bytes that are read and written at once."""
SMALL = 1 << 20
"""Files up to this are read whole, and written in a call; holes in them are not looked for."""
SHARED = 4 * PIECE
"""From here on, workers that have nothing else to do help with a file."""
WORKERS_MAX = 16
WAITING_MAX = 256
"""Files that wait for a worker."""
LEVELS_MAX = 64
"""Directories that are open beside those above the one that is looked at: those that wait for their files."""
LOOK_S = 0.1
"""So often somebody who waits looks whether it is time to stop."""
HALF = re.compile(r"\.daos-copy-[0-9a-f]{16}")
"""The name of a file for the time being."""


@dataclass(frozen=True)
class Options:
    """How a tree is copied.

    Attributes:
        resume: Leave out what is there with the same size and time as its source, and remove what a copy that was cut
            short left.
        ignore_unsupported: Leave out what cannot be copied, in the place of an error: devices, pipes and sockets; bits
            of modes that mean something else with another owner; extended attributes that are not kept there.
        workers: Threads that copy.
        progress: Is told, now and then, how many bytes were copied.
    """

    resume: bool = False
    ignore_unsupported: bool = False
    workers: int = field(default_factory=lambda: min(WORKERS_MAX, 4 * (os.cpu_count() or 1)))
    progress: Callable[[int], None] | None = None


@dataclass
class Copied:
    """What was copied.

    Attributes:
        directories: Directories, those that were there too.
        files: Files.
        links: Symbolic links.
        bytes: Of the files, without holes.
        skipped: Of these files and links, those that were there.
        special: Devices, pipes and sockets that were left out.
        modes: How many had bits in their modes that were left out.
        xattrs: Extended attributes that were left out.
    """

    directories: int = 0
    files: int = 0
    links: int = 0
    bytes: int = 0
    skipped: int = 0
    special: int = 0
    modes: int = 0
    xattrs: int = 0

    @property
    def left_out(self) -> str | None:
        """What was left out, in words; None for nothing."""
        parts = (
            (self.special, "devices, pipes or sockets"),
            (self.modes, "set-user-ID, set-group-ID or sticky bits"),
            (self.xattrs, "extended attributes"),
        )
        return ", ".join(f"{count} {what}" for count, what in parts if count) or None


class _Level:
    """A directory that is being copied: it gets its time when all in it is there."""

    def __init__(self, above: _Level | None, source: Directory, target: Directory, node: Node | None) -> None:
        self.above = above
        self.source = source
        self.target = target
        self.node = node
        self.depth: int = 0 if above is None else above.depth + 1
        self._left = 1
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Say that something more is to come."""
        with self._lock:
            self._left += 1

    def end(self) -> bool:
        """Say that something is there; return whether that was all."""
        with self._lock:
            self._left -= 1
            return self._left == 0


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A file or link that is to be copied, and its new name."""

    level: _Level
    node: Node
    name: str


class _Shared:
    """A large file, of which several workers copy pieces."""

    def __init__(self, reader: Reader, writer: Writer, size: int) -> None:
        self.reader = reader
        self.writer = writer
        self.end = 0
        self._size = size
        self._pieces = self._cut()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._busy = 0
        self._failed = False
        self._over = False

    def _cut(self) -> Iterator[tuple[int, int]]:
        at = 0
        while at < self._size:
            begin, end = self.reader.extent(at, self._size)
            for piece in range(begin, end, PIECE):
                yield piece, min(PIECE, end - piece)
            self.end = max(self.end, end if begin < end else 0)
            at = max(end, begin)

    def copy(self, buffer: memoryview, moved: Callable[[int], None], stopped: Callable[[], bool]) -> None:
        """Copy pieces until none is left."""
        with self._lock:
            if self._over:
                return
            self._busy += 1
        try:
            while not stopped() and not self._failed:
                with self._lock:
                    piece = next(self._pieces, None)
                if piece is None:
                    return
                at, count = piece
                read = self.reader.read_into(at, buffer[:count])
                self.writer.write(at, buffer[:read])
                moved(read)
        except BaseException:
            self._failed = True
            raise
        finally:
            with self._lock:
                self._busy -= 1
                self._idle.notify_all()

    def wait(self) -> bool:
        """Wait until nobody copies any more, and nobody will; return whether nothing failed."""
        with self._lock:
            self._over = True
            self._idle.wait_for(lambda: self._busy == 0)
        return not self._failed


class _Copy:
    """A copy that is under way."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.copied = Copied()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._waiting: queue.Queue[_Leaf | _Shared | None] = queue.Queue(WAITING_MAX)
        self._news = threading.Condition(self._lock)
        self._left = 0
        self._buffers = threading.local()
        self._open = 0
        # Directories that were seen and not looked at yet.
        self._below: list[tuple[_Level, Node]] = []

    # --- what the thread does that looks

    def run(self, work: Callable[[], None]) -> None:
        """Have workers copy what `work` finds.

        Raises:
            BaseException: What the first of them failed with.
        """
        workers = [
            threading.Thread(target=self._work, name=f"copy-{number}", daemon=True)
            for number in range(max(1, self.options.workers))
        ]
        for worker in workers:
            worker.start()
        try:
            work()
            self._wait(lambda: not self._left)
        except BaseException as error:  # noqa: BLE001 -- raised below
            self._fail(error)
        finally:
            self._stop.set()
            # Nobody has to wait for the time to look to come.
            with contextlib.suppress(queue.Full):
                for _ in workers:
                    self._waiting.put_nowait(None)
            for worker in workers:
                worker.join()
        if self._error is not None:
            raise self._error

    def tree(self, top: _Level) -> None:
        """Look at all of a directory, the deepest first.

        So those that have something to be looked at in them are above each other. All others wait for files alone,
        which workers see to: one can wait until they are few.
        """
        self._look(top)
        while self._below:
            above, node = self._below.pop()
            self._wait(partial(self._few_wait, above.depth))
            self._check_stopped()
            self._look(self._enter(above, node))

    def _few_wait(self, depth: int) -> bool:
        return self._open - depth < LEVELS_MAX

    def _look(self, level: _Level) -> None:
        if self.options.resume:
            _remove_halves(level.target)
        for node in level.source.nodes():
            if stats.S_ISDIR(node.mode):
                level.begin()
                self._below.append((level, node))
            else:
                self.leaf(level, node, node.name)
        self._end(level)

    def begin(self, above: _Level, node: Node, name: str) -> _Level:
        """Begin with the directory that is copied, under a name that need not be its own."""
        self._count(directories=1, modes=int(node.special_bits))
        if above.target.stat(name) is None:
            # It has its mark as soon as its name: a copy that goes on knows by it that it is no directory to copy into.
            with _half(above.target) as half:
                above.target.make(half)[0].mark()
                above.target.rename(half, name)
        return _Level(None, above.source, above.target.make(name)[0], node)

    def _enter(self, above: _Level, node: Node) -> _Level:
        """Begin with a directory in one."""
        target, _ = above.target.make(node.name)
        self._count(directories=1, modes=int(node.special_bits))
        with self._lock:
            self._open += 1
        return _Level(above, above.source.enter(node.name), target, node)

    def leaf(self, level: _Level, node: Node, name: str) -> None:
        """Have a file or link copied, in time."""
        level.begin()
        with self._lock:
            self._left += 1
        while True:
            self._check_stopped()
            with contextlib.suppress(queue.Full):
                self._waiting.put(_Leaf(level, node, name), timeout=LOOK_S)
                break
        self._tell()

    def _wait(self, until: Callable[[], bool]) -> None:
        """Wait until workers have come so far, or something failed; tell how far that is meanwhile."""
        while not until() and not self._stop.is_set():
            with self._news:
                self._news.wait_for(lambda: until() or self._stop.is_set(), LOOK_S)
            self._tell()

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise _StoppedError

    def _tell(self) -> None:
        if self.options.progress is not None:
            self.options.progress(self.copied.bytes)

    # --- what workers do

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                wanted = self._waiting.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            try:
                if isinstance(wanted, _Shared):
                    wanted.copy(self._buffer(), self._moved, self._stop.is_set)
                elif wanted is not None:
                    self._leaf(wanted)
            except BaseException as error:  # noqa: BLE001 -- raised by the thread that looks
                self._fail(error)

    def _buffer(self) -> memoryview:
        if not hasattr(self._buffers, "it"):
            self._buffers.it = memoryview(bytearray(PIECE))
        buffer: memoryview = self._buffers.it
        return buffer

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None and not isinstance(error, _StoppedError):
                self._error = error
            self._stop.set()
            self._news.notify_all()

    def _count(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                setattr(self.copied, name, getattr(self.copied, name) + count)

    def _moved(self, count: int) -> None:
        self._count(bytes=count)

    def _leaf(self, leaf: _Leaf) -> None:
        if stats.S_ISREG(leaf.node.mode):
            self._file(leaf)
        elif stats.S_ISLNK(leaf.node.mode):
            self._link(leaf)
        else:
            self._special(leaf)
        self._end(leaf.level)
        with self._lock:
            self._left -= 1
            if not self._left:
                self._news.notify_all()

    def _end(self, level: _Level) -> None:
        """Say that something of a directory is there: with the last of it, the directory is as its source is."""
        ended: _Level | None = level
        while ended is not None and ended.end():
            if ended.node is not None:
                if ended.above is None:
                    ended.target.unmark()
                self._count(xattrs=ended.target.finish(ended.node, ended.source.xattrs()))
            with self._news:
                self._open -= ended.above is not None
                self._news.notify_all()
            ended = ended.above

    def _special(self, leaf: _Leaf) -> None:
        if not self.options.ignore_unsupported:
            raise InvalidError(
                f"{leaf.level.source.path.rstrip('/')}/{leaf.node.name} is a device, pipe or socket",
                code=DER.NOTSUPPORTED,
                hint="only files, directories and links are copied; --ignore-unsupported leaves others out",
            )
        self._count(special=1)

    def _link(self, leaf: _Leaf) -> None:
        value = leaf.level.source.readlink(leaf.node.name)
        target, name, mtime_ns = leaf.level.target, leaf.name, leaf.node.mtime_ns
        there = target.stat(name)
        self._count(links=1)
        if self.options.resume and there is not None and _is_link(there) and target.readlink(name) == value:
            self._count(skipped=1)
            return
        with _half(target) as half:
            target.symlink(half, value, mtime_ns)
            target.rename(half, name)

    def _file(self, leaf: _Leaf) -> None:
        target, node = leaf.level.target, leaf.node
        self._count(files=1, modes=int(node.special_bits))
        if self.options.resume and _is_copied(node, target.stat(leaf.name)):
            self._count(skipped=1)
            return
        with _half(target) as half:
            if node.size <= SMALL:
                data, xattrs = leaf.level.source.read_small(node)
                lost = target.write_small(half, node, data, xattrs)
                self._moved(len(data))
            else:
                lost = self._large(leaf.level, node, half)
            target.rename(half, leaf.name)
        self._count(xattrs=lost)

    def _large(self, level: _Level, node: Node, half: str) -> int:
        reader = level.source.read(node.name)
        try:
            xattrs = reader.xattrs()
            writer = level.target.write(half, node)
            shared = _Shared(reader, writer, node.size)
            finished = False
            try:
                if node.size >= SHARED:
                    # Who is busy has something to do: nobody waits for help.
                    for _ in range(min(self.options.workers - 1, node.size // SHARED)):
                        with contextlib.suppress(queue.Full):
                            self._waiting.put_nowait(shared)
                try:
                    shared.copy(self._buffer(), self._moved, self._stop.is_set)
                finally:
                    whole = shared.wait()
                if self._stop.is_set() or not whole:
                    raise _StoppedError
                if shared.end < node.size:
                    writer.truncate(node.size)
                finished = True
                return writer.finish(node, xattrs)
            finally:
                if not finished:
                    writer.abandon()
        finally:
            reader.close()


class _StoppedError(Exception):
    """Somebody else has failed."""


_halves = itertools.count(secrets.randbits(64))
"""Names for the time being: of this process, and of others by chance alone."""


@contextlib.contextmanager
def _half(target: Directory) -> Iterator[str]:
    """Give a name for the time being; what has it is removed if the block fails."""
    name = f".daos-copy-{next(_halves) % (1 << 64):016x}"
    try:
        yield name
    except BaseException:
        with contextlib.suppress(Exception):
            _remove_half(target, name)
        raise


def _is_link(node: Node) -> bool:
    return stats.S_ISLNK(node.mode)


def _is_copied(node: Node, there: Node | None) -> bool:
    """Tell whether something is what a copy of a file left: of its size and time."""
    if there is None or not stats.S_ISREG(there.mode):
        return False
    return (there.size, there.mtime_ns) == (node.size, node.mtime_ns)


def _remove_halves(target: Directory) -> None:
    """Remove what a copy left that was cut short."""
    for node in list(target.nodes()):
        if HALF.fullmatch(node.name):
            with contextlib.suppress(FileNotFoundError):
                _remove_half(target, node.name)


def _remove_half(target: Directory, name: str) -> None:
    there = target.stat(name)
    if there is not None:
        target.remove(name, directory=stats.S_ISDIR(there.mode))


def copy_tree(source: Place, target: Place, options: Options | None = None) -> Copied:
    """Copy a file, or a directory with all below it; what fails ends it, and what was copied stays.

    A directory is copied into a directory that is there, under its own name; of the root of a file system, what is in
    it. Files and links replace those that have their names. A file gets its name when it is whole. Symbolic links
    are copied as links; files of several names as several files. Permissions, times of content and extended attributes
    of users are kept, owners are not.

    Args:
        source: What is copied.
        target: Where to.
        options: How.

    Raises:
        OSError: What the file systems refuse.
        InvalidError: `DER.INVAL`: a directory is to be copied into itself, a file onto itself; `DER.NOTSUPPORTED`: what
            is neither file, directory nor link.
    """
    copy = _Copy(options or Options())
    begun = source.stat()
    into, name = target.target_of(source, go_on=copy.options.resume)
    if stats.S_ISDIR(begun.mode):
        if source.identity() in into.identities():
            raise _onto(source, "a place that is not in it")
        above = _Level(None, source.directory(), into.directory(), None)
        copy.run(lambda: copy.tree(above if name is None else copy.begin(above, begun, name)))
        return copy.copied
    wanted = name or ""
    existing = replace(into, path=f"{into.path.rstrip('/')}/{wanted}")
    if existing.exists() is not None and existing.identity() == source.identity():
        raise _onto(source, "another place")
    level = _Level(None, source.above().directory(), into.directory(), None)
    # Where a link leads to has another name than that.
    file = replace(begun, name=posixpath.basename(source.path))
    copy.run(lambda: copy.leaf(level, file, wanted))
    return copy.copied


def _onto(source: Place, hint: str) -> InvalidError:
    return InvalidError(f"{source.text} cannot be copied into itself", hint=f"choose {hint}")
