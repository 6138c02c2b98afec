"""`python -m daos.cli.dmg`, for where the tool is not on the path."""

from __future__ import annotations

from daos.cli.dmg import main

if __name__ == "__main__":
    main()
