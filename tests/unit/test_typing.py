"""What a type checker sees: this file is checked by mypy in `make check`; here it only runs."""

from __future__ import annotations

from typing import assert_type

import numpy as np

import daos
from tests.fake_core import FakeDisk


def test_a_checker_knows_the_types_of_the_sdk(disk: FakeDisk) -> None:
    with daos.open("x") as pool:
        assert_type(pool, daos.Pool)
        cont = pool.container("c", create=True)
        assert_type(cont, daos.Container)
        assert_type(cont.kv("k", create="exclusive"), daos.KV[str])
        assert_type(cont.kv("b", create=True, keys="bytes"), daos.KV[bytes])
        numbers = cont.kv("n", create=True, keys="int")
        assert_type(numbers, daos.KV[int])
        numbers[1] = np.arange(3)
        numbers.put(2, memoryview(b"x"))
        numbers.put_many({3: bytearray(b"y")})
        numbers.put_many([(4, np.zeros(2, "f4"))])
        assert_type(numbers.get(1), bytes | None)
        assert_type(numbers.get(1, 0.5), bytes | float)
        assert_type(numbers[1], bytes)
        assert_type(list(numbers), list[int])
        assert_type(dict(numbers.items()), dict[int, bytes])
        assert_type(numbers.get_many([1]), dict[int, bytes | None])
        temp = cont.array("a", np.float32, create=True)
        assert_type(temp, daos.Array)
        temp[3] = 1
        temp[4:6] = np.arange(2)
        temp.read_into(np.empty(2, "f4"))
        assert_type(cont.object("o", create=True), daos.Object)
        assert_type(cont.snapshot("s"), daos.Snapshot)
        assert_type(cont.at("s"), daos.Container)
        assert_type(cont.attributes, daos.Attributes)
        pool.attributes.update({"a": b"1"})
        assert_type(pool.attributes["a"], bytes)
        assert_type(pool.attributes.get("a"), bytes | None)


def test_a_checker_refuses_what_is_not_there(disk: FakeDisk) -> None:
    with daos.open("x") as pool:
        # Each of these lines must be an error to mypy: an ignore that is not needed is one itself.
        for act in (
            lambda: daos.nonesuch,  # type: ignore[attr-defined]
            lambda: pool.container("c", create="yes"),  # type: ignore[arg-type]
            lambda: daos.open("x", durability="safe"),  # type: ignore[arg-type]
        ):
            try:
                act()
            except (AttributeError, daos.InvalidError):
                continue
            raise AssertionError
