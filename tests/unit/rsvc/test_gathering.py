"""When commands go to the log: alone at once, among many together."""

from __future__ import annotations

from daos.rsvc.gathering import LATELY_S, WAIT_S_MAX, Gathering


def test_who_is_alone_does_not_wait() -> None:
    gathering = Gathering()
    for at in range(10):
        gathering.came(at * LATELY_S / 4, 1)
        assert gathering.enough(1)


def test_among_many_half_of_them_go_together() -> None:
    gathering = Gathering()
    for under_way in range(1, 17):
        gathering.came(0.0, under_way)
    assert not gathering.enough(7)
    assert gathering.enough(8)
    assert 0 < gathering.wait_s() <= WAIT_S_MAX
    gathering.came(LATELY_S / 2, 3)
    assert not gathering.enough(7), "how many there were is remembered for a while"
    gathering.came(LATELY_S * 1.5, 3)
    assert gathering.enough(2)


def test_the_wait_is_bounded() -> None:
    gathering = Gathering()
    gathering.came(0.0, 2)
    few = gathering.wait_s()
    gathering.came(0.0, 4000)
    assert few < gathering.wait_s() == WAIT_S_MAX
