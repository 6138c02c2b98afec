"""Writes the tables of a page: `python -m daos.config docs/guide/configuration.md`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from daos.config import AgentConfig, ControlConfig, ServerConfig
from daos.config._reference import reference

if TYPE_CHECKING:
    from daos.config import Section

KINDS: dict[str, type[Section]] = {
    "daos_server.yml": ServerConfig,
    "daos_agent.yml": AgentConfig,
    "daos_control.yml": ControlConfig,
}


def rewrite(text: str) -> str:
    """Return a page with its tables made anew: each stands between two marks that name its file."""
    for name, kind in KINDS.items():
        mark = f"<!-- keys of {name} -->"
        before, _, after = text.split(mark)
        text = "\n".join([f"{before}{mark}", *reference(kind), f"{mark}{after}"])
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(rewrite(page.read_text()))
