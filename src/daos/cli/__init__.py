"""The user tool `daos`: arguments and printing only."""

from __future__ import annotations

from daos.cli._main import main

__all__ = ["main"]
