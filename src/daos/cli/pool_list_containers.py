"""`daos pool list-containers`, `daos container list`."""

from __future__ import annotations

from daos.cli._base import POOL
from daos.cli._base import command as make
from daos.cli.container_list import listing

command = make("list-containers", POOL)(listing)
