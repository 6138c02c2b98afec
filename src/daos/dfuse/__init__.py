"""`dfuse`: a container as a directory, for programs that know files only."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run `dfuse`, and end this process."""
    from daos.dfuse.command import main as run

    run()
