"""How large a page cache is by default."""

from __future__ import annotations

import pytest

from daos.client import _memory
from daos.client._memory import cache_of, default_cache, group_limits

GIB = 1 << 30


def test_a_cache_takes_an_eighth_within_bounds() -> None:
    assert cache_of(16 * GIB) == 2 * GIB
    assert cache_of(1 << 20) == 64 << 20
    assert cache_of(1 << 50) == 4 * GIB


def test_limits_of_control_groups_and_of_those_they_lie_in() -> None:
    files = {
        "/proc/self/cgroup": "0::/user.slice/job-7\n",
        "/sys/fs/cgroup/user.slice/job-7/memory.max": "max\n",
        "/sys/fs/cgroup/user.slice/memory.max": "1073741824\n",
    }
    assert group_limits(lambda path: files.get(path, "")) == [GIB]


def test_limits_of_the_older_kind() -> None:
    files = {
        "/proc/self/cgroup": "5:cpu,cpuacct:/job\n4:memory:/job\n",
        "/sys/fs/cgroup/memory/job/memory.limit_in_bytes": "4096\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert group_limits(lambda path: files.get(path, "")) == [4096, 9223372036854771712]


def test_what_cannot_be_read_sets_no_limit() -> None:
    assert group_limits(lambda _path: "") == []
    assert group_limits(lambda _path: "nonsense\n0:x\n0::relative\n") == []
    assert 64 << 20 <= default_cache() <= 4 * GIB


def test_where_no_group_limits_it_the_machine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_read", lambda _path: "")
    assert 64 << 20 <= default_cache() <= 4 * GIB
