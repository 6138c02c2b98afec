"""How file systems are made: what is checked, and the stored form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import CorruptionError, InvalidError
from daos.model.posix import Posix
from daos.model.properties import container_properties

NAMES = st.none() | st.sampled_from(["S1", "S4", "SX"])
POSIX = st.builds(
    Posix,
    chunk_size=st.none() | st.integers(1, 1 << 40),
    oclass=NAMES,
    dir_oclass=NAMES,
    file_oclass=NAMES,
    hints=st.sampled_from(["", "file:max,dir:single"]),
    mode=st.sampled_from(["relaxed", "balanced"]),
    uid=st.none() | st.integers(0, (1 << 32) - 2),
    gid=st.none() | st.integers(0, (1 << 32) - 2),
    permissions=st.integers(0, 0o7777),
)


@given(POSIX)
def test_what_is_stored_is_read_again(posix: Posix) -> None:
    assert Posix.decode(posix.checked().encode()) == posix
    stored = container_properties({"dfs": posix.encode(), "root_oids": "1.2 3.4"}, internal=True)
    assert type(stored).decode(stored.encode()).values["dfs"] == posix.encode()


def test_sizes_are_numbers_or_texts() -> None:
    assert Posix(chunk_size="4MiB").checked().chunk_size == 4 << 20
    assert Posix.decode(None) == Posix()


@pytest.mark.parametrize(
    "wrong",
    [
        Posix(chunk_size=0),
        Posix(chunk_size="many"),
        Posix(chunk_size=(1 << 40) + 1),
        Posix(mode="strict"),  # type: ignore[arg-type]
        Posix(oclass=1),  # type: ignore[arg-type]
        Posix(hints=None),  # type: ignore[arg-type]
        Posix(uid=-1),
        Posix(gid=1 << 32),
        Posix(uid=True),
        Posix(permissions=0o10000),
    ],
)
def test_what_cannot_be_is_refused(wrong: Posix) -> None:
    with pytest.raises(InvalidError):
        wrong.checked()


@pytest.mark.parametrize("stored", ["", "{", "[]", '{"mode":"x"}', '{"new":1}', '{"chunk_size":0}', 7])
def test_a_stored_form_that_says_nothing_is_damage(stored: object) -> None:
    with pytest.raises(CorruptionError):
        Posix.decode(stored)


@pytest.mark.parametrize("name", ["dfs", "root_oids"])
def test_users_cannot_set_what_a_layout_gives(name: str) -> None:
    with pytest.raises(InvalidError, match="not a settable property"):
        container_properties({name: "x"})
    for wrong in (7, "x" * 2000):
        with pytest.raises(InvalidError, match="invalid value"):
            container_properties({name: wrong}, internal=True)
