"""Copies of files and directories between file systems of containers and the local ones, with all that is below.

`copy_tree` copies what a path or a URL names. What has its final name is whole: a copy that was cut short is gone on
with.
"""

from __future__ import annotations

from daos.dfs.copying._copy import Copied, Options, copy_tree
from daos.dfs.copying._places import Place, Places, open_places

__all__ = ["Copied", "Options", "Place", "Places", "copy_tree", "open_places"]
