"""`python -m daos.cli`, for where the tool is not on the path."""

from __future__ import annotations

from daos.cli import main

if __name__ == "__main__":
    main()
