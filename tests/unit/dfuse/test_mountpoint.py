from __future__ import annotations

from pathlib import Path

import pytest

from daos.dfuse.mountpoint import check_mountpoint, mounted_on
from daos.errors import DER, BusyError, DaosError, InvalidError, NotFoundError

LINES = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "40 22 0:31 / /mnt/a\\040b rw,nosuid - fuse.daos dfuse rw,user_id=0",
    "41 22 0:32 / /mnt/twice rw shared:7 master:2 - ext4 /dev/sdb rw",
    "42 22 0:33 / /mnt/twice rw - fuse.sshfs x rw",
    "cut short",
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "ext4"), ("/mnt/a b", "fuse.daos"), ("/mnt/twice", "fuse.sshfs"), ("/mnt", None), ("/mnt/a", None)],
)
def test_the_last_mount_on_a_directory_is_told(path: str, kind: str | None) -> None:
    assert mounted_on(LINES, path) == kind


def test_a_directory_is_returned_without_links(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    assert check_mountpoint(str(tmp_path / "link")) == str(tmp_path / "d")


def test_what_is_no_place_to_mount_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full" / "x").mkdir(parents=True)
    cases: list[tuple[str, type[DaosError], DER]] = [
        ("none", NotFoundError, DER.NONEXIST),
        ("file", InvalidError, DER.NOTDIR),
        ("full", InvalidError, DER.INVAL),
    ]
    for name, kind, code in cases:
        with pytest.raises(kind) as caught:
            check_mountpoint(str(tmp_path / name))
        assert caught.value.code == code
        assert caught.value.hint
    assert check_mountpoint(str(tmp_path / "full"), nonempty=True) == str(tmp_path / "full")


def test_a_mount_whose_process_died_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Path) -> object:
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr(Path, "stat", gone)
    with pytest.raises(BusyError, match="died") as caught:
        check_mountpoint(str(tmp_path))
    assert "umount -l" in (caught.value.hint or "")
