"""Reading forms from several threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from daos import _packed as packed

SOURCE = Path(__file__).parents[2] / "src" / "daos"

THREADS = textwrap.dedent(
    """
    import sys, threading, types
    import msgspec
    from daos._packed import decode

    SOURCE = '''
    from __future__ import annotations
    import msgspec
    class Inner(msgspec.Struct, frozen=True):
        a: int = 0
    class Outer(msgspec.Struct, frozen=True):
        a: int = 0
        b: str = ""
        inner: Inner = Inner()
    '''
    sys.setswitchinterval(1e-6)
    raw = msgspec.msgpack.encode({"inner": {"a": 1}, "a": 2, "b": "x"})
    for number in range(300):
        module = sys.modules[f"m{number}"] = types.ModuleType(f"m{number}")
        exec(SOURCE, module.__dict__)
        together, found = threading.Barrier(4), []
        def read():
            together.wait()
            found.append(decode(raw, module.Outer))
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [module.Outer(2, "x", module.Inner(1))] * 4, found
    """
)


class _Form(msgspec.Struct):
    number: int


def test_a_form_is_read_and_its_reader_made_once() -> None:
    assert packed.decode(msgspec.msgpack.encode({"number": 3}), _Form) == _Form(3)
    assert packed.decoder(_Form) is packed.decoder(_Form)
    with pytest.raises(msgspec.ValidationError):
        packed.decode(msgspec.msgpack.encode({"number": "3"}), _Form)


def test_threads_that_read_a_form_for_the_first_time_at_once() -> None:
    # By msgspec alone such a process dies within some of these rounds.
    done = subprocess.run([sys.executable, "-c", THREADS], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_else_makes_ready_for_a_type_where_threads_may_be() -> None:
    # What decides, `daos.control`, knows no threads: each of its states belongs to one.
    found = [
        f"{path.relative_to(SOURCE)}:{number}"
        for path in SOURCE.rglob("*.py")
        if not path.is_relative_to(SOURCE / "control")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "msgpack.decode(" in line and "type=" in line
    ]
    assert found == []
