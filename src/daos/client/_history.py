"""The history of a container, and what it holds as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.client._object_table import ObjectTable, drop_marks, listed
from daos.errors import AccessError, InvalidError, NotFoundError
from daos.model.snapshots import Snapshot, check_epoch, check_snapshot_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daos.client._check import CheckReport
    from daos.client._diff import Difference
    from daos.client._names import ObjectId
    from daos.client._seam import ContainerCore
    from daos.client._stat import ContainerStat
    from daos.client.pool import Pool


class History:
    """The part of `Container` that deals with snapshots, and with all objects at once."""

    _core: ContainerCore
    _pool: Pool
    _as_of: Snapshot | None

    def snapshot(self, name: str | None = None) -> Snapshot:
        """Take a snapshot: what was acknowledged before is in it, what comes later is not.

        It takes no copy and little time, whatever the container holds. Durable at return, together with all that was
        acknowledged before, also where the system was opened with a weaker durability.

        Args:
            name: Unique in the container, at most 128 bytes of UTF-8, no number; without one, the epoch tells it.

        Raises:
            ExistsError: `DER.EXIST`: a snapshot has this name.
            InvalidError: `DER.INVAL`: a bad name.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        stored = None if name is None else check_snapshot_name(name)
        return Snapshot(self._core.snapshot_create(stored), stored)

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots, oldest first."""
        return [Snapshot(epoch, name) for epoch, name in self._core.snapshots()]

    def rollback(self, snapshot: str | int | Snapshot) -> None:
        """Go back to a snapshot, as a new version: from now on the container shows what it shows.

        All or nothing, and at once, however much has changed since; durable at return. What was written since is given
        free unless a snapshot shows it; snapshots taken since stay, so that one taken just before is the way back.
        Label, properties, attributes and snapshots are not part of it. A transaction that read what this changes
        conflicts.

        An `Array` that is open, and was not there when the snapshot was taken, is then one that was destroyed: open it
        anew by its name. Source: `daos_cont_rollback`.

        Args:
            snapshot: As `at`.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such snapshot.
            InvalidError: `DER.INVAL`: what can be none; 1024 rollbacks between snapshots that are all still there.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        self._core.rollback(self._find(snapshot).epoch)
        # With the objects came the marks of snapshots that were destroyed since.
        drop_marks(self._core)

    def diff(self, since: str | int | Snapshot) -> Iterator[Difference]:
        """Yield what differs here from an earlier snapshot: names, keys, cells of arrays.

        `cont.diff("a")` compares the present with a snapshot, `cont.at("b").diff("a")` two snapshots. What was written
        since differs, also if the same was written again. Objects come in the order of their ids, keys in theirs, a
        page at a time; the names of both states are read first. Of the present, what others change meanwhile may be
        told or not: compare two snapshots to be exact. It looks at each key of the container.

        Args:
            since: As `at`.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such snapshot, or it was destroyed meanwhile.
            InvalidError: `DER.INVAL`: what can be none, or one that was taken later.
        """
        from daos.client._diff import differences

        found = self._find(since)
        if self._as_of is not None and found.epoch > self._as_of.epoch:
            raise InvalidError(
                f"snapshot {found.name or hex(found.epoch)!r} was taken later than this state",
                hint="ask the later state for what differs from the earlier one",
            )
        return differences(self._core.at(found.epoch), self._core, found.epoch)

    def destroy_snapshot(self, snapshot: str | int | Snapshot) -> None:
        """Destroy a snapshot; durable at return. What only it could see will be given free.

        Args:
            snapshot: As `at`.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such snapshot.
            InvalidError: `DER.INVAL`: what can be none.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        found = self._find(snapshot)
        self._core.snapshot_destroy(found.epoch, found.epoch)
        drop_marks(self._core)

    def destroy_snapshots(self, first: int, last: int) -> int:
        """Destroy all snapshots from one epoch to another, both included, in one step; return how many they were.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is none.
            InvalidError: `DER.INVAL`: no epochs, or the first is behind the last.
            AccessError: `DER.NO_PERM`: this is a snapshot.
        """
        if check_epoch(first) > check_epoch(last):
            raise InvalidError(f"epoch {first} is behind {last}", hint="give the smaller one first")
        destroyed = self._core.snapshot_destroy(first, last)
        drop_marks(self._core)
        return destroyed

    def aggregate(self) -> int:
        """Remove the versions that neither a snapshot nor the present shows, and return how many entries went.

        The background does the same by and by, as fast as values are overwritten; this does it at once. The space of
        large values comes back when that has been merged twice. Source: `daos_cont_aggregate`.

        Raises:
            AccessError: `DER.NO_PERM`: this is the container as of a snapshot.
            NotFoundError: `DER.NONEXIST` or `DER.CONT_NONEXIST`: it was destroyed.
        """
        return self._core.aggregate()

    def objects(self) -> Iterator[ObjectId]:
        """Yield the id of every object that is there, with a name or without, in the order of the ids.

        An object is there from its first change until it is destroyed, also when all its keys were removed. Among them
        is the one that holds the names. They are read a page at a time. Source: DAOS's object index table.
        """
        return listed(self._core)

    def object_table(self, snapshot: str | int | Snapshot | None = None) -> ObjectTable:
        """Return the table of the objects that a snapshot shows, or that are there now, to put markers on them.

        Args:
            snapshot: As `at`; None for now.

        Raises:
            NotFoundError: `DER.NONEXIST`: there is no such snapshot.
            InvalidError: `DER.INVAL`: what can be none.
            AccessError: `DER.NO_PERM`: this is a snapshot: ask the container itself.
        """
        if self._as_of is not None:
            text = "marks are kept in the container, and this is a snapshot of it"
            raise AccessError(text, hint="ask the container itself: cont.object_table(snapshot)")
        return ObjectTable(self._core, None if snapshot is None else self._find(snapshot).epoch)

    def stat(self) -> ContainerStat:
        """Count all that the container holds, every version of it, and what it takes.

        All its entries are looked at, some million a second; values are not read. What a snapshot shows is part of it,
        so that one counts the same.

        Raises:
            NotFoundError: `DER.NONEXIST`: it was destroyed.
            CorruptionError: `DER.CSUM`: a page of an index is damaged; `check` tells all that is.
        """
        from daos.client._stat import stat

        return stat(self._core, self._pool.system.targets)

    def check(self, *, told: Callable[[int], None] | None = None) -> CheckReport:
        """Read all that the container holds, every version of it, and return what is not as it was stored.

        The targets' indexes are read from the device and checked page by page, and every value in the data files
        against its checksums; what the log alone holds was checked when the system was opened. Nothing is repaired.
        Others may go on meanwhile. What a snapshot shows is part of it, so that one
        checks the same.

        Args:
            told: Called now and then with the bytes that were read so far.

        Raises:
            NotFoundError: `DER.NONEXIST`: it was destroyed.
            UnavailableError: `DER.IO`: the device cannot be read.
        """
        from daos.client._check import check

        return check(self._core, self._pool.system.targets, told)

    def _find(self, snapshot: str | int | Snapshot) -> Snapshot:
        """Return the snapshot of a name or epoch."""
        if isinstance(snapshot, str):
            name, shown = check_snapshot_name(snapshot), repr(snapshot)
            found = [listed for listed in self.snapshots() if listed.name == name]
        else:
            epoch = check_epoch(snapshot.epoch if isinstance(snapshot, Snapshot) else snapshot)
            shown = f"at epoch {epoch:#x}"
            found = [listed for listed in self.snapshots() if listed.epoch == epoch]
        if found:
            return found[0]
        raise NotFoundError(
            f"no snapshot {shown} of container {self._core.label}",
            hint="list the snapshots",
            context={"snapshot": snapshot},
        )
