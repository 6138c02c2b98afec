"""Kill the daemons of a running system under load, round after round, and compare what is left with what was told.

`make torture-system ROUNDS=20` starts a system of three servers and processes that work on it: key-value stores,
arrays, transactions, containers, snapshots. Each writes a history: a line before a change, a line behind it with how it
ended. In each round something is killed or stopped; when all runs again and each kind of change has gone on, clients
stop and what is there is compared with the histories. What was acknowledged must be there, whole; what was refused must
not; what ended unknown may be there or not, and never later than what was acknowledged behind it; nothing else may be
there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

import daos
from daos.dev import DevSystem, Plan
from daos.errors import DaosError, NotFoundError, TimedOutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

WIDE, NARROW = "wide", "narrow"
"""A pool on all ranks; and one on a single rank, for transactions."""
KEYS, BLOCKS, BLOCK_CELLS = 16, 8, 512
SNAPSHOTS_KEPT = 3
CLIENT_TIMEOUT_S = 20.0
AGAIN_S = 0.2
"""Between two tries to connect."""
RESUME_S_MAX = 60.0
"""Within which all kinds of changes go on when all processes run again."""
STOP_S_MAX = 60.0
POLL_S = 0.05
COMMAND_S_MAX = 60.0
PAUSE_S = 3.0
HISTORY = "history-*.jsonl"
STOP = "stop"

State = Literal["invoke", "ok", "fail", "unknown"]


class Line(msgspec.Struct, frozen=True):
    """A line of a history.

    Attributes:
        kind: Of change.
        number: Of the change; each kind counts its own.
        state: `invoke` before it, else how it ended.
        at: Seconds of the machine's monotonic clock.
        error: What it ended with.
    """

    kind: str
    number: int
    state: State
    at: float
    error: str = ""


class LossError(Exception):
    """What was told is not there, or something is there that was not told of."""


# What clients do


def value_of(number: int) -> bytes:
    """Return the value of a change: its number, as often as makes very different lengths."""
    return b"%d " % number * (1 + number % 7 * number % 500)


def kv(session: Session, number: int) -> None:
    """One key after the other."""
    session.wide.kv(f"kv-{session.name}", create=True, keys="int")[number % KEYS] = value_of(number)


def array(session: Session, number: int) -> None:
    """A block, which is a chunk, full of its number."""
    cells = session.wide.array(f"array-{session.name}", "i8", create=True, chunk=BLOCK_CELLS)
    cells.write(number % BLOCKS * BLOCK_CELLS, np.full(BLOCK_CELLS, number + 1, "i8"))


def transaction(session: Session, number: int) -> None:
    """The same number in two stores; and two counters that are read, one of which all clients share."""

    def change(tx: daos.Transaction) -> None:
        counters = tx.kv("counters")
        for counter in ("all", session.name):
            counters[counter] = b"%d" % (int(counters.get(counter, b"0")) + 1)
        for side in ("left", "right"):
            tx.kv(side)[session.name] = b"%d" % number

    session.narrow.run(change, deadline=CLIENT_TIMEOUT_S)


def make(session: Session, number: int) -> None:
    """Create a container, and put something into it."""
    container = session.pool.container(f"box-{session.name}-{number}", create="exclusive")
    container.kv("content", create=True)["number"] = b"%d" % number


def destroy(session: Session, number: int) -> None:
    """Destroy a container."""
    session.pool.destroy_container(f"box-{session.name}-{number}")


def take(session: Session, number: int) -> None:
    """Take a snapshot of a mark that was put just before."""
    session.wide.kv(f"mark-{session.name}", create=True)["number"] = b"%d" % number
    session.wide.snapshot(f"snap-{session.name}-{number}")


def drop(session: Session, number: int) -> None:
    """Destroy a snapshot."""
    session.wide.destroy_snapshot(f"snap-{session.name}-{number}")


ACTS: dict[str, Callable[[Session, int], None]] = {
    act.__name__: act for act in (kv, array, transaction, make, destroy, take, drop)
}
LOOPS: dict[str, tuple[str, int, float]] = {
    "kv": ("", 0, 0.0),
    "array": ("", 0, 0.0),
    "transaction": ("", 0, 0.0),
    "make": ("destroy", 2, 0.15),
    "take": ("drop", SNAPSHOTS_KEPT, 0.15),
}
"""What each thread of a client does: a kind of change; another one, of the number so far behind; a pause."""
REFUSALS: dict[str, tuple[type[DaosError], ...]] = {
    "transaction": (daos.ConflictError,),
    "destroy": (NotFoundError,),
    "drop": (NotFoundError,),
}
"""What may be refused: where others were quicker, or what was to be undone did not happen."""


class Session:
    """A connection of one thread; made anew where a change failed.

    Args:
        name: Of the client.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        with contextlib.ExitStack() as stack:
            self.pool = stack.enter_context(daos.connect(f"daos://{WIDE}", timeout=CLIENT_TIMEOUT_S))
            narrow = stack.enter_context(daos.connect(f"daos://{NARROW}", timeout=CLIENT_TIMEOUT_S))
            self.wide, self.narrow = self.pool.container("load"), narrow.container("load")
            self._opened = stack.pop_all()

    def close(self) -> None:
        """Give the handles back, as far as somebody is there to take them."""
        with contextlib.suppress(DaosError):
            self._opened.close()


class Client:
    """A process that works until a file says that it is enough.

    Args:
        home: Where histories are, and the file that ends it.
        name: Its own.
    """

    def __init__(self, home: Path, name: str) -> None:
        self._stop = home / STOP
        self._name = name
        history = home / HISTORY.replace("*", name)
        self._firsts: dict[str, int] = defaultdict(int)
        for line in read_history(history):
            self._firsts[line.kind] = max(self._firsts[line.kind], line.number + 1)
        self._file = os.open(history, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def run(self) -> None:
        """Work."""
        threads = [threading.Thread(target=self._loop, args=(kind,)) for kind in LOOPS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _loop(self, kind: str) -> None:
        other, behind, pause = LOOPS[kind]
        session: Session | None = None
        number = self._firsts[kind]
        while not self._stop.exists():
            if session is None:
                try:
                    session = Session(self._name)
                except DaosError as error:
                    self._tell("connect", number, "fail", repr(error))
                    time.sleep(AGAIN_S)
                    continue
            good = self._act(session, kind, number)
            if good and other and number >= behind and number % 3:
                good = self._act(session, other, number - behind)
            if not good:
                session.close()
                session = None
            number += 1
            time.sleep(pause)
        if session is not None:
            session.close()

    def _act(self, session: Session, kind: str, number: int) -> bool:
        self._tell(kind, number, "invoke")
        try:
            ACTS[kind](session, number)
        except REFUSALS.get(kind, ()) as error:
            self._tell(kind, number, "fail", repr(error))
            return True
        except DaosError as error:
            # Whether it happened is looked at later, whatever the error says.
            self._tell(kind, number, "unknown", f"{type(error).__name__} {error!r}")
            return False
        self._tell(kind, number, "ok")
        return True

    def _tell(self, kind: str, number: int, state: State, error: str = "") -> None:
        # One write a line: a process that is killed leaves a line or none.
        os.write(self._file, msgspec.json.encode(Line(kind, number, state, time.monotonic(), error)) + b"\n")


def read_history(path: Path) -> list[Line]:
    """Return the lines of a history, none if it is not there; one cut short says nothing."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Line) for line in lines if line.endswith(b"\n")]


# What they were told


@dataclass
class Told:
    """What a history says of one kind of change.

    Attributes:
        ok: Numbers that were acknowledged.
        fail: Numbers that were refused.
        open: Numbers of which nobody knows: lost, or under way.
    """

    ok: set[int] = field(default_factory=set)
    fail: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)

    def last(self, key: int = 0, keys: int = 1) -> set[int]:
        """Return which changes may be the last one of a key: the last acknowledged, or one behind it; -1 for none."""
        acknowledged = max((number for number in self.ok if number % keys == key), default=-1)
        return {acknowledged, *(number for number in self.open if number > acknowledged and number % keys == key)}


def told_of(lines: list[Line]) -> dict[str, Told]:
    """Return what a history says."""
    told: dict[str, Told] = {kind: Told() for kind in ACTS}
    for line in lines:
        if line.kind not in told:
            continue
        of = told[line.kind]
        if line.state == "invoke":
            of.open.add(line.number)
        elif line.state != "unknown":
            of.open.discard(line.number)
            (of.ok if line.state == "ok" else of.fail).add(line.number)
    return told


# The comparison


def verify(histories: dict[str, dict[str, Told]]) -> None:
    """Compare the system with what all clients were told.

    Raises:
        LossError: Something differs.
    """
    with daos.connect(f"daos://{WIDE}") as pool, daos.connect(f"daos://{NARROW}") as narrow:
        container = pool.container("load")
        for name, told in histories.items():
            verify_keys(container, name, told["kv"])
            verify_array(container, name, told["array"])
        verify_transactions(narrow.container("load"), {name: told["transaction"] for name, told in histories.items()})
        verify_snapshots(container, histories)
        verify_containers(pool, histories)


def verify_keys(container: daos.Container, name: str, told: Told) -> None:
    """Look at a client's store."""
    found: dict[int, bytes] = {}
    with contextlib.suppress(NotFoundError):
        found = dict(container.kv(f"kv-{name}", keys="int").items())
    if not set(found) <= set(range(KEYS)):
        raise LossError(f"kv {name}: keys {sorted(set(found) - set(range(KEYS)))} were never put")
    for key in range(KEYS):
        value = found.get(key)
        number = -1 if value is None else int(value.split()[0])
        if value is not None and value != value_of(number):
            raise LossError(f"kv {name}: the value of key {key} is torn")
        _check(f"kv {name}: key {key}", number, told.last(key, KEYS))


def verify_array(container: daos.Container, name: str, told: Told) -> None:
    """Look at a client's array."""
    try:
        cells = container.array(f"array-{name}")
    except NotFoundError:
        if told.ok:
            raise LossError(f"array {name} is not there") from None
        return
    for block in range(BLOCKS):
        found = cells[block * BLOCK_CELLS : (block + 1) * BLOCK_CELLS]
        numbers = {int(number) for number in found} or {0}
        if len(numbers) > 1:
            raise LossError(f"array {name}: block {block} is torn: {sorted(numbers)[:4]}")
        _check(f"array {name}: block {block}", numbers.pop() - 1, told.last(block, BLOCKS))


def verify_transactions(container: daos.Container, told: dict[str, Told]) -> None:
    """Look at what transactions did: whole, once each, and counted by all."""
    left, right = (dict(container.kv(side).items()) for side in ("left", "right"))
    if left != right:
        raise LossError(f"transactions are half there: {left} and {right}")
    if not set(left) <= set(told):
        raise LossError(f"transactions of {set(left) - set(told)} were never made")
    counters = {name: int(value) for name, value in container.kv("counters").items()}
    for name, of in told.items():
        _check(f"transaction {name}", int(left.get(name, b"-1")), of.last())
        count = counters.get(name, 0)
        if not len(of.ok) <= count <= len(of.ok) + len(of.open):
            raise LossError(f"transaction {name}: {count} counted, {len(of.ok)} acknowledged, {len(of.open)} unknown")
    total = sum(counters.get(name, 0) for name in told)
    if counters.get("all", 0) != total:
        raise LossError(f"{total} transactions, {counters.get('all', 0)} counted by all: one has overwritten another")


def verify_snapshots(container: daos.Container, histories: dict[str, dict[str, Told]]) -> None:
    """Look at which snapshots there are, and what each shows."""
    present = {str(each.name) for each in container.snapshots()}
    _verify_set("snap", present, histories, "take", "drop")
    for snapshot in sorted(present):
        _, name, number = snapshot.split("-")
        shown = container.at(snapshot).kv(f"mark-{name}").get("number")
        if shown != number.encode():
            raise LossError(f"snapshot {snapshot} shows {shown!r}")


def verify_containers(pool: daos.Pool, histories: dict[str, dict[str, Told]]) -> None:
    """Look at which containers there are, and at their content."""
    present = {each.label or each.uuid for each in pool.containers()} - {"load"}
    _verify_set("box", present, histories, "make", "destroy")
    for label in sorted(present):
        _, name, number = label.split("-")
        content = pool.container(label).kv("content", create=True).get("number")
        if content != number.encode() and int(number) not in histories[name]["make"].open:
            raise LossError(f"container {label} holds {content!r}")


def _verify_set(what: str, present: set[str], histories: dict[str, dict[str, Told]], made: str, unmade: str) -> None:
    must: set[str] = set()
    may: set[str] = set()
    for name, told in histories.items():
        gone = told[unmade]
        must |= {f"{what}-{name}-{number}" for number in told[made].ok - gone.ok - gone.open}
        may |= {f"{what}-{name}-{number}" for number in (told[made].ok | told[made].open) - gone.ok}
    if must - present:
        raise LossError(f"{sorted(must - present)} were acknowledged and are not there")
    if present - may:
        raise LossError(f"{sorted(present - may)} are there and were destroyed, refused, or never made")


def _check(what: str, found: int, allowed: set[int]) -> None:
    if found not in allowed:
        raise LossError(f"{what}: found change {found}, it must be one of {sorted(allowed)[:6]}")


# The system, and what is done to it


def dmg(system: DevSystem, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `dmg` on a system, and return what it said as JSON."""
    command = [sys.executable, "-m", "daos.cli.dmg", "-o", str(system.layout.control_config), "-j", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False)


class Load:
    """Clients at work on a system: from `start` to `stop`.

    Args:
        system: The system, which runs.
        home: Where the histories go.
        clients: How many processes.
    """

    def __init__(self, system: DevSystem, home: Path, clients: int = 2) -> None:
        self._system, self._home = system, home
        self._names = [f"c{number}" for number in range(clients)]
        self._running: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Make the pools and containers that clients work on.

        Raises:
            LossError: They cannot be made.
        """
        for words in ((WIDE, "-z", "600MB"), (NARROW, "-z", "200MB", "-r", "0")):
            made = dmg(self._system, "pool", "create", *words)
            if made.returncode:
                raise LossError(f"dmg pool create {' '.join(words)}: {made.stdout}{made.stderr}")
        for pool in (WIDE, NARROW):
            with daos.connect(f"daos://{pool}") as opened:
                container = opened.container("load", create="exclusive")
                if pool == NARROW:
                    for name in ("left", "right", "counters"):
                        container.kv(name, create=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the clients."""
        (self._home / STOP).unlink(missing_ok=True)
        root = Path(__file__).resolve().parent.parent
        environment = {**os.environ, **self._system.environment()}
        for name in self._names:
            command = [sys.executable, "-m", "tools.system_rounds", "--client", str(self._home), name]
            with (self._home / f"{name}.out").open("ab") as output:
                self._running.append(subprocess.Popen(command, cwd=root, env=environment, stdout=output, stderr=output))

    def stop(self) -> None:
        """End the clients, if there are any.

        Raises:
            LossError: One hangs, or has failed.
        """
        (self._home / STOP).touch()
        end = time.monotonic() + STOP_S_MAX
        wrong = []
        for name, process in zip(self._names, self._running, strict=bool(self._running)):
            try:
                status = process.wait(max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                wrong.append(f"client {name} does not end")
                continue
            if status:
                wrong.append(f"client {name} ended with {status}: {(self._home / f'{name}.out').read_text()[-2000:]}")
        self._running = []
        if wrong:
            raise LossError("; ".join(wrong))

    def lines(self) -> dict[str, list[Line]]:
        """Return the history of each client."""
        return {name: read_history(self._home / HISTORY.replace("*", name)) for name in self._names}

    def wait_for_all_kinds(self, since: float, seconds: float = RESUME_S_MAX) -> float:
        """Wait until each client has had each kind of change acknowledged that was begun after a time; return how long.

        Raises:
            LossError: Some have not.
        """
        wanted = {(name, kind) for name in self._names for kind in LOOPS}
        end = time.monotonic() + seconds
        while True:
            begun: set[tuple[str, str, int]] = set()
            done: set[tuple[str, str]] = set()
            for name, lines in self.lines().items():
                for line in lines:
                    if line.state == "invoke" and line.at > since:
                        begun.add((name, line.kind, line.number))
                    elif line.state == "ok" and (name, line.kind, line.number) in begun:
                        done.add((name, line.kind))
            if wanted <= done:
                return time.monotonic() - since
            if time.monotonic() > end:
                last = {f"{n} {k}": self._last_error(n, k) for n, k in sorted(wanted - done)}
                raise LossError(f"nothing is acknowledged within {seconds:g} s: {json.dumps(last, indent=1)}")
            time.sleep(POLL_S)

    def _last_error(self, name: str, kind: str) -> str:
        errors = [line.error for line in self.lines()[name] if line.kind in {kind, "connect"} and line.error]
        return errors[-1] if errors else "no error"

    def verify(self) -> Counter[str]:
        """Compare the system with the histories; return how many changes of each kind were acknowledged.

        Raises:
            LossError: Something differs.
        """
        histories = {name: told_of(lines) for name, lines in self.lines().items()}
        verify(histories)
        return Counter({kind: sum(len(told[kind].ok) for told in histories.values()) for kind in ACTS})

    def errors(self) -> Counter[str]:
        """Return how often changes ended with which error: its class and code."""
        return Counter(
            f"{line.kind} {line.state} {line.error[:60]}"
            for lines in self.lines().values()
            for line in lines
            if line.error
        )


def kill_engine(system: DevSystem, chance: random.Random) -> None:
    """Kill an engine; its server starts it again."""
    number = chance.randrange(system.layout.load().servers)
    pid = engine_of(system, number)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: system.engine_pid(number) not in {None, pid}, f"a new engine of server{number}")


def kill_server(system: DevSystem, chance: random.Random) -> None:
    """Kill a server, and start it again."""
    name = f"server{chance.randrange(system.layout.load().servers)}"
    system.stop(name, kill=True)
    system.start(name)


def kill_agent(system: DevSystem, chance: random.Random) -> None:
    """Kill the agent, and start it again."""
    del chance
    system.stop("agent", kill=True)
    system.up()


def kill_all(system: DevSystem, chance: random.Random) -> None:
    """Kill all daemons at once, in any order, and start them again."""
    pids = [process.pid for process in system.processes() if process.pid is not None]
    engines = (system.engine_pid(number) for number in range(system.layout.load().servers))
    pids += [pid for pid in engines if pid is not None]
    chance.shuffle(pids)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(process.pid is None for process in system.processes()), "the end of all daemons")
    system.up()


def pause_engine(system: DevSystem, chance: random.Random) -> None:
    """Stop an engine for seconds, as a machine does that swaps."""
    with stopped(engine_of(system, chance.randrange(system.layout.load().servers))):
        time.sleep(PAUSE_S)


STRIKES: dict[str, Callable[[DevSystem, random.Random], None]] = {
    strike.__name__: strike for strike in (kill_engine, kill_server, kill_agent, kill_all, pause_engine)
}


def engine_of(system: DevSystem, number: int) -> int:
    """Return the process of a server's engine, which may just be starting."""
    found: list[int] = []

    def runs() -> bool:
        pid = system.engine_pid(number)
        found.extend([] if pid is None else [pid])
        return pid is not None

    wait_until(runs, f"an engine of server{number}")
    return found[-1]


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Keep processes from running for the time of a block."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = RESUME_S_MAX) -> None:
    """Wait for a condition.

    Raises:
        TimedOutError: It is not so in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimedOutError(f"no {what} within {seconds:g} s")
        time.sleep(POLL_S)


def strike(system: DevSystem, load: Load, name: str, chance: random.Random) -> float:
    """Strike under load; return after how many seconds all kinds of changes went on, counted from the strike's end.

    Raises:
        LossError: They do not.
    """
    STRIKES[name](system, chance)
    return load.wait_for_all_kinds(time.monotonic())


def main(arguments: list[str]) -> int:
    """Run rounds, or be a client."""
    parser = argparse.ArgumentParser(prog="make torture-system", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.client:
        Client(Path(asked.client[0]), asked.client[1]).run()
        return 0
    seed = random.randrange(1 << 32) if asked.seed is None else asked.seed  # noqa: S311 -- chance, no secret
    chance = random.Random(seed)  # noqa: S311
    print(f"seed {seed}", flush=True)
    home = Path(tempfile.mkdtemp(prefix="daos-rounds-"))
    with DevSystem(home / "system") as system:
        system.up(Plan(servers=3))
        os.environ.update(system.environment())
        load = Load(system, home, asked.clients)
        load.prepare()
        counted: Counter[str] = Counter()
        for number in range(asked.rounds):
            name = chance.choice(sorted(STRIKES))
            try:
                with load:
                    load.wait_for_all_kinds(time.monotonic())
                    stall = strike(system, load, name, chance)
                counted = load.verify()
            except (LossError, DaosError) as error:
                print(f"round {number + 1}, {name}: {error}; all of it stays in {home}", flush=True)
                return 1
            print(f"round {number + 1}: {name}, goes on after {stall:.1f} s: {dict(counted)}", flush=True)
        print(f"{asked.rounds} rounds, {sum(counted.values())} changes acknowledged, nothing lost, nothing torn")
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
