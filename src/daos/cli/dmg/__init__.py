"""The administrator's tool `dmg`: arguments and printing only."""

from __future__ import annotations

from daos.cli.dmg._main import main

__all__ = ["main"]
