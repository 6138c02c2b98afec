"""What runs today, on real files and real numbers: `daos demo` from a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

from daos import DaosError
from daos._demo import FULL, QUICK, Demo, lines
from daos._demo_served import ServedDemo


def main() -> int:
    """Run it; print the table."""
    try:
        for demo in (Demo(Path("demo.daos"), FULL), ServedDemo(Path("demo.system"), QUICK)):
            print(f"--- {demo.path}")
            for line in lines(demo):
                print(line, flush=True)
    except (DaosError, OSError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
