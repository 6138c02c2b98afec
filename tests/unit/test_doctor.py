"""The checks of `daos doctor`: each judgement by its table, and all of them on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from daos import _doctor
from daos._build import BuildInfo
from daos._doctor import Finding, diagnose

GIB = 1 << 30
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw
31 22 0:27 / /mnt/with\\040space rw - nfs4 host:/x rw
32 22 0:28 / /mnt/twice rw - xfs /dev/vdb rw
33 32 0:29 / /mnt/twice rw - btrfs /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        (_doctor.judge_python((3, 11, 0)), "ok"),
        (_doctor.judge_python((3, 10, 9)), "fail"),
        (_doctor.judge_core(BuildInfo("0.1.0", "x86_64-linux", debug=False)), "ok"),
        (_doctor.judge_core(BuildInfo("0.1.0", "x86_64-linux", debug=True)), "warn"),
        (_doctor.judge_kernel("6.1.0-18-amd64"), "ok"),
        (_doctor.judge_kernel("5.10.0"), "warn"),
        (_doctor.judge_kernel("4.4.0"), "fail"),
        (_doctor.judge_kernel("odd"), "fail"),
        (_doctor.judge_filesystem("ext4", "/"), "ok"),
        (_doctor.judge_filesystem("tmpfs", "/dev/shm"), "warn"),
        (_doctor.judge_filesystem("nfs4", "/mnt"), "warn"),
        (_doctor.judge_sync(None), "ok"),
        (_doctor.judge_sync(PermissionError(13, "Permission denied")), "fail"),
        (_doctor.judge_space(10 * GIB), "ok"),
        (_doctor.judge_space(GIB // 2), "warn"),
        (_doctor.judge_space(0), "fail"),
        (_doctor.judge_memory(GIB), "ok"),
        (_doctor.judge_memory(1), "warn"),
        (_doctor.judge_memory(None), "warn"),
    ],
)
def test_judgements(finding: Finding, status: str) -> None:
    assert finding.status == status
    assert (finding.fix is None) == (status == "ok"), "what is not well has a fix"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("ext4", "/")),
        ("/home/x", ("ext4", "/")),
        ("/dev/shm", ("tmpfs", "/dev/shm")),
        ("/dev/shm/a/b", ("tmpfs", "/dev/shm")),
        ("/dev/shmoo", ("ext4", "/")),
        ("/mnt/with space/x", ("nfs4", "/mnt/with space")),
        ("/mnt/twice", ("btrfs", "/mnt/twice")),
    ],
)
def test_the_filesystem_of_a_path(path: str, expected: tuple[str, str]) -> None:
    assert _doctor.filesystem_of(MOUNTS, path) == expected


def test_what_the_kernel_does_not_tell() -> None:
    assert _doctor.filesystem_of("", "/") == ("unknown", "")
    assert _doctor.available_memory("MemFree: 1 kB\n") is None
    assert _doctor.available_memory("MemFree: 1 kB\nMemAvailable:    7 kB\n") == 7168
    assert _doctor.read("/nonesuch") == ""


def test_this_machine_is_fit_and_nothing_is_left(tmp_path: Path) -> None:
    findings = diagnose(tmp_path / "not" / "there" / "yet")
    assert [finding.check for finding in findings] == [
        "python",
        "core",
        "kernel",
        "filesystem",
        "sync",
        "space",
        "memory",
    ]
    assert not [finding for finding in findings if finding.status == "fail"]
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_fails() -> None:
    assert _doctor.try_sync(Path("/proc")) is not None
