"""Containers and handles of a pool against a plain model: dicts of what should be there."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daos.control.outbox import Effect
from daos.control.pool import queries
from daos.control.pool.container_create import ContainerCreate, ContainerDestroy
from daos.control.pool.container_open import ContainerClose, ContainerOpen
from daos.control.pool.container_settings import ContainerOverwriteAcl, ContainerSetAttributes, ContainerSetProperties
from daos.control.pool.handles import Connect, Disconnect, Evict
from daos.control.pool.service import POOL
from daos.control.pool.targets import ExcludeTargets, ReintegrateTargets
from daos.control.replicated import AnyCommand, Replica
from daos.errors import DER
from daos.model.acl import Access
from tests.unit.control.pool_service import ALICE, BOB, PoolService, uuid

CREDENTIALS = {"alice": ALICE, "bob": BOB}
LABELS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(0, 3)


@dataclass
class Modelled:
    """A container as it should be."""

    uuid: str
    label: str
    owner: str
    bobs: str = "rwt"
    attribute: bytes = b""
    opened: dict[str, frozenset[str]] = field(default_factory=dict)

    def letters(self, who: str) -> str:
        """Return what the list has for somebody."""
        return self.bobs if who == "bob" else "rwdtTaAo" if self.owner == "alice" else ""

    def allowed(self, who: str) -> frozenset[str]:
        """Return what somebody may do: an owner may always read and set the list."""
        return frozenset(self.letters(who)) | frozenset("aA" if self.owner == who else "")


class PoolModel(RuleBasedStateMachine):
    """Alice owns the pool, Bob is in her group; ranks confirm when they like."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = PoolService(4, rd_fac=2)
        self.drawn = 1000
        self.connections: dict[str, str] = {}
        self.containers: dict[str, Modelled] = {}

    def new(self) -> str:
        self.drawn += 1
        return uuid(self.drawn)

    def try_it(self, command: AnyCommand) -> DER | None:
        """Ask, let the ranks do it, and return what it was refused with."""
        before = self.pool.stable()
        asked = self.pool.ask(command)
        if asked in self.pool.outcomes and self.pool.outcomes[asked].code:
            assert self.pool.stable() == before
        for _ in range(3):
            if asked not in self.pool.outcomes:
                self.pool.settle(Effect)
        code = self.pool.outcomes[asked].code
        return DER(code) if code else None

    def handle(self, number: int) -> tuple[str, str]:
        """Return an open handle and whose it is; an unknown one if there is none."""
        known = list(self.connections.items())
        return known[number % len(known)] if known else (uuid(7), "")

    @initialize()
    def begin(self) -> None:
        """Both are connected, and there is something to work with."""
        self.connect("alice")
        self.connect("bob")
        self.create(0, "a")
        self.create(1, "b")
        self.open(1, "a", write=True)

    @rule(who=st.sampled_from(sorted(CREDENTIALS)))
    def connect(self, who: str) -> None:
        handle = self.new()
        command = Connect(handle=handle, credential=CREDENTIALS[who], access=Access.READ_WRITE)
        assert self.try_it(command) is None
        self.connections[handle] = who

    @precondition(lambda self: len(self.connections) > 2)
    @rule(number=NUMBERS)
    def disconnect(self, number: int) -> None:
        handle, who = self.handle(number)
        busy = any(opened.startswith(handle) for each in self.containers.values() for opened in each.opened)
        expected = DER.NO_HDL if not who else DER.BUSY if busy else None
        assert self.try_it(Disconnect(handle=handle)) is expected
        if expected is None:
            del self.connections[handle]

    @precondition(lambda self: len(self.connections) > 3)
    @rule(number=NUMBERS)
    def evict(self, number: int) -> None:
        handle, _ = self.handle(number)
        assert self.try_it(Evict(handles=(handle,))) is None
        self.connections.pop(handle, None)
        for each in self.containers.values():
            each.opened = {name: granted for name, granted in each.opened.items() if not name.startswith(handle)}

    @rule(number=NUMBERS, label=LABELS)
    def create(self, number: int, label: str) -> None:
        handle, who = self.handle(number)
        name = self.new()
        expected = DER.NO_HDL if not who else DER.EXIST if label in self.containers else None
        assert self.try_it(ContainerCreate(handle=handle, uuid=name, label=label)) is expected
        if expected is None:
            # By default the owner's group is Alice's, or Bob's own.
            self.containers[label] = Modelled(name, label, who, bobs="rwt" if who == "alice" else "rwdtTaAo")

    @rule(number=NUMBERS, label=LABELS, force=st.booleans())
    def destroy(self, number: int, label: str, *, force: bool) -> None:
        handle, who = self.handle(number)
        found = self.containers.get(label)
        by_others = found is not None and any(not name.startswith(handle) for name in found.opened)
        if found is None:
            expected: DER | None = DER.NONEXIST
        elif not who:
            expected = DER.NO_HDL
        elif who == "alice":
            # Her pool's list gives her `d`.
            expected = DER.BUSY if by_others and not force else None
        elif not found.bobs and found.owner != who:
            expected = DER.NONEXIST
        elif "d" not in found.bobs:
            expected = DER.NO_PERM
        else:
            expected = DER.BUSY if by_others and not force else None
        assert self.try_it(ContainerDestroy(handle=handle, container=label, force=force)) is expected
        if expected is None:
            del self.containers[label]

    @rule(number=NUMBERS, label=LABELS, write=st.booleans())
    def open(self, number: int, label: str, *, write: bool) -> None:
        handle, who = self.handle(number)
        found = self.containers.get(label)
        expected = DER.NO_HDL if not who else DER.NONEXIST if found is None else None
        if found is not None and expected is None:
            letters = found.letters(who)
            owner = found.owner == who
            if not letters and not owner:
                expected = DER.NONEXIST
            elif write and not owner and not set(letters) & set("wdTAo"):
                expected = DER.NO_PERM
        opened = self.new()
        access = Access.READ_WRITE if write else Access.READ_ONLY
        assert self.try_it(ContainerOpen(handle=handle, container=label, uuid=opened, access=access)) is expected
        if found is not None and expected is None:
            allowed = found.allowed(who)
            found.opened[f"{handle}/{opened}"] = allowed if write else allowed & frozenset("rta")

    @rule(label=LABELS)
    def close(self, label: str) -> None:
        found = self.containers.get(label)
        if found is None or not found.opened:
            assert self.try_it(ContainerClose(handle=uuid(7))) is DER.NO_HDL
            return
        name = next(iter(found.opened))
        del found.opened[name]
        assert self.try_it(ContainerClose(handle=name.split("/")[1])) is None

    @rule(label=LABELS, value=st.binary(min_size=1, max_size=3))
    def set_attribute(self, label: str, value: bytes) -> None:
        for found in [found for found in (self.containers.get(label),) if found is not None]:
            for name, granted in found.opened.items():
                writes = "w" in granted
                command = ContainerSetAttributes(handle=name.split("/")[1], attributes={"a": value})
                assert self.try_it(command) is (None if writes else DER.NO_PERM)
                found.attribute = value if writes else found.attribute

    @rule(old=LABELS, new=LABELS)
    def relabel(self, old: str, new: str) -> None:
        expected = DER.NONEXIST if old not in self.containers else None
        if expected is None and new in self.containers and new != old:
            expected = DER.EXIST
        assert self.try_it(ContainerSetProperties(container=old, properties={"label": new})) is expected
        if expected is None:
            self.containers[new] = self.containers.pop(old)
            self.containers[new].label = new

    @rule(label=LABELS, letters=st.sampled_from(["", "r", "rw", "rd", "rwdtTaAo"]))
    def set_acl(self, label: str, letters: str) -> None:
        if label in self.containers:
            entries = ("A::alice@:rwdtTaAo", f"A::bob@:{letters}") if self.alice(label) else (f"A::bob@:{letters}",)
            assert self.try_it(ContainerOverwriteAcl(container=label, entries=entries)) is None
            found = self.containers[label]
            found.bobs = letters
            # Those that allow more than the list does by now are gone.
            found.opened = {
                name: granted
                for name, granted in found.opened.items()
                if granted <= found.allowed(self.connections[name.split("/")[0]])
            }

    def alice(self, label: str) -> bool:
        return self.containers[label].owner == "alice"

    @rule(rank=NUMBERS)
    def exclude(self, rank: int) -> None:
        if len(self.pool.state.map.in_use()) > 2:
            assert self.try_it(ExcludeTargets(ranks={rank: None})) is None

    @rule(rank=NUMBERS)
    def reintegrate(self, rank: int) -> None:
        assert self.try_it(ReintegrateTargets(ranks={rank: None})) is None

    @rule()
    def settle(self) -> None:
        self.pool.settle(Effect)

    @rule()
    def restore(self) -> None:
        self.pool.replica = Replica.restore(POOL, self.pool.replica.snapshot())

    @invariant()
    def same(self) -> None:
        state = self.pool.state
        assert set(state.handles) == set(self.connections)
        listed = [(each.label, each.uuid, each.owner) for each in queries.containers(state)]
        expected = [(each.label, each.uuid, f"{each.owner}@") for _, each in sorted(self.containers.items())]
        assert listed == expected
        for each in self.containers.values():
            found = state.containers[each.uuid]
            assert found.attributes.get("a", b"") == each.attribute
            assert queries.open_handles(state, found) == len(each.opened)


PoolModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestPool = PoolModel.TestCase
