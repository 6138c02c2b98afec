"""The mark of an adoption, and how storage is shared out."""

from __future__ import annotations

from pathlib import Path

import pytest

from daos.errors import DER, BusyError, CorruptionError, NoSpaceError
from daos.server import adoption
from daos.server.adopt import shares
from daos.server.adoption import NAME, STORE, Mark, Stage

MARK = Mark(source="/home/ann/my.daos", uuid="00000000-0000-4000-8000-000000000001")


def test_the_move_divides_an_adoption(tmp_path: Path) -> None:
    assert adoption.stage(tmp_path / "nothing") is Stage.NONE
    (tmp_path / STORE).mkdir(parents=True)
    assert adoption.stage(tmp_path) is Stage.NONE
    (tmp_path / STORE).rmdir()
    adoption.write(tmp_path, MARK)
    assert (adoption.stage(tmp_path), adoption.read(tmp_path)) == (Stage.BEFORE, MARK)
    (tmp_path / STORE).mkdir()
    assert adoption.stage(tmp_path) is Stage.MOVED
    adoption.remove(tmp_path)
    adoption.remove(tmp_path)
    assert adoption.stage(tmp_path) is Stage.NONE


def test_a_server_ends_one_that_was_moved_and_does_not_start_before(tmp_path: Path) -> None:
    adoption.settle(tmp_path)
    adoption.write(tmp_path, MARK)
    with pytest.raises(BusyError, match=r"/home/ann/my\.daos into .* was cut short") as refused:
        adoption.settle(tmp_path)
    assert "daos_server adopt /home/ann/my.daos" in (refused.value.hint or "")
    (tmp_path / STORE).mkdir(parents=True)
    adoption.settle(tmp_path)
    assert not (tmp_path / NAME).exists()
    assert (tmp_path / STORE).is_dir()


@pytest.mark.parametrize("data", [b"", b"{", b'{"version": 1}', b'{"source": "\xff", "uuid": ""}', b"[1]"])
def test_a_damaged_mark_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(CorruptionError) as refused:
        adoption.settle(tmp_path)
    assert refused.value.code is DER.DF_INVAL
    assert (tmp_path / NAME).read_bytes() == data


def test_storage_is_shared_out() -> None:
    assert shares((1000, 0), 3, None) == (333, 0)
    assert shares((1000, 3000), 2, None) == (500, 1500)
    assert shares((1000, 3000), 2, 1000) == (250, 750)
    assert shares((1000, 0), 0, None) == (1000, 0)
    assert shares((0, 0), 2, None) == (0, 0)
    with pytest.raises(NoSpaceError, match="2 pools of"):
        shares((1000, 0), 2, 501)
