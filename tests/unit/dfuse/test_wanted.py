from __future__ import annotations

from dataclasses import replace

import pytest

from daos.dfuse.wanted import THREADS, Mode, Options, Wanted, mount_options, source_of, wanted_of
from daos.errors import DER, InvalidError


def wanted(*words: str, **more: object) -> Wanted:
    return wanted_of(replace(Options(words=words), **more))  # type: ignore[arg-type]


def test_words_name_mount_point_pool_and_container() -> None:
    assert wanted("/m", "tank", "home") == Wanted("/m", "tank", "home", mode=Mode(threads=THREADS))
    assert wanted("/m", "daos://tank/my%20home") == wanted("/m", "tank", "my home")
    assert wanted("tank", "home", mountpoint="/m") == wanted("/m", "tank", "home")


@pytest.mark.parametrize(
    "more",
    [
        {"pool": "tank", "container": "home"},
        {"path": ("tank", "home")},
        {"options": ("rw,pool=tank", "container=home,noatime")},
        {"pool": "tank", "options": ("container=home",)},
    ],
)
def test_options_name_them_too(more: dict[str, object]) -> None:
    assert wanted("/m", **more) == wanted("/m", "tank", "home")
    assert wanted("/m", "tank", "home", **more) == wanted("/m", "tank", "home")


@pytest.mark.parametrize(
    ("words", "more", "code", "said"),
    [
        ((), {}, DER.INVAL, "mount point"),
        (("/m",), {"container": "home"}, DER.INVAL, "no pool"),
        (("/m", "tank"), {"snap": "monday"}, DER.INVAL, "a snapshot is of a container"),
        (("/m", "tank", "home", "x"), {}, DER.INVAL, "'x'"),
        (("/m", "tank", "home"), {"pool": "other"}, DER.INVAL, "two pools"),
        (("/m", "tank", "home"), {"options": ("container=other",)}, DER.INVAL, "two containers"),
        (("/m", "tank", "home"), {"directory": "/d", "sys_name": "s"}, DER.INVAL, "--sys-name"),
        (("/m", "tank", "home"), {"snap": "a", "snap_epoch": 1}, DER.INVAL, "--snap"),
        (("/m", "tank", "home"), {"singlethread": True, "thread_count": 4}, DER.INVAL, "--singlethread"),
        (("/m", "tank", "home"), {"thread_count": 1}, DER.INVAL, "none is left"),
        (("/m", "tank", "home"), {"thread_count": 4, "eq_count": 4}, DER.INVAL, "none is left"),
        (("/m", "tank", "home"), {"eq_count": 0}, DER.INVAL, "event queues"),
        (("/m", "DAOS.HDF5://tank/home"), {}, DER.INVAL, "HDF5"),
        (("/m", "daos://tank"), {}, DER.INVAL, "no container"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], more: dict[str, object], code: DER, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as caught:
        wanted(*words, **more)
    assert caught.value.code == code
    assert caught.value.hint


def test_threads_are_counted_as_daos_counts_them() -> None:
    def threads(**more: object) -> int:
        return wanted("/m", "p", "c", **more).mode.threads

    assert threads() == THREADS
    assert threads(singlethread=True) == threads(singlethread=True, thread_count=1) == 1
    assert threads(thread_count=8) == 7
    assert threads(thread_count=8, eq_count=3) == 5


def test_a_snapshot_or_ro_is_read_only() -> None:
    assert not wanted("/m", "p", "c").mode.read_only
    assert wanted("/m", "p", "c", snap="s").mode.read_only
    assert wanted("/m", "p", "c", snap_epoch=0).snapshot == 0
    assert wanted("/m", "p", "c", options=("ro",)).mode.read_only
    assert wanted("/m", "p", "c", options=("allow_other,nonempty",)).mode == Mode(multi_user=True, nonempty=True)


def test_mount_options_are_taken_apart() -> None:
    assert mount_options(("a,b=c=d, e",)) == {"a": "", "b": "c=d", "e": ""}
    assert mount_options(("", ",")) == {}


def test_texts_that_name_no_container_are_none() -> None:
    assert source_of("/a/path") is None
    assert source_of("https://host/x") is None
    assert source_of("DAOS.POSIX://p/c") == ("p", "c")


def test_what_is_mounted_is_told_for_people() -> None:
    assert wanted("/m", "p", "c").url == "daos://p/c"
    assert wanted("/m", "p", "c", directory="/d").url == "daos://p/c?system=/d"
