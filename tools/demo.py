"""What runs today, on real input: the native core sums every file of this repository and of Python's own library.

Each file is summed in one piece and again in two, continued from the first sum; both must agree.
"""

from __future__ import annotations

import sys
import sysconfig
import time
from pathlib import Path

import daos
from daos._core import crc32c  # noqa: TID251 -- the demo shows the seam, which is all there is so far

ROOT = Path(__file__).resolve().parent.parent


def files(root: Path) -> list[Path]:
    """Return the regular files under a folder that are sources, in a fixed order."""
    skipped = {".git", ".venv", "target", "site-packages", "__pycache__"}
    return sorted(
        path for path in root.rglob("*") if path.is_file() and not skipped & set(path.relative_to(root).parts)
    )


def main() -> int:
    """Sum the trees; print a short table."""
    info = daos.build_info()
    print(f"daos {info.version} on {info.target}")
    print(f"{'tree':<10}{'files':>8}{'MB':>9}{'MB/s':>9}  checksum of checksums")
    for name, root in (("sources", ROOT), ("python", Path(sysconfig.get_paths()["stdlib"]))):
        count, size, seconds, total = 0, 0, 0.0, 0
        for path in files(root):
            data = path.read_bytes()
            started = time.perf_counter()
            whole = crc32c(data)
            seconds += time.perf_counter() - started
            half = len(data) // 2
            if crc32c(data[half:], crc32c(data[:half])) != whole:
                print(f"{path}: the sum in two pieces differs", file=sys.stderr)
                return 1
            count, size, total = count + 1, size + len(data), crc32c(whole.to_bytes(4, "little"), total)
        print(f"{name:<10}{count:>8}{size / 1e6:>9.1f}{size / 1e6 / max(seconds, 1e-9):>9.0f}  {total:08x}")
    print("try next: .venv/bin/daos --help")
    return 0


if __name__ == "__main__":
    sys.exit(main())
