"""File systems in containers: files, directories and links, by the calls of `os`, `open` and `pathlib`.

A container of the type `POSIX` holds one; `mount` gives it to this process. No kernel and no FUSE takes part.
"""

from __future__ import annotations

from daos.dfs._dfs import DFS
from daos.dfs._entries import DirEntry, FileInfo
from daos.dfs._file import RawFile
from daos.dfs._fix import fix_root, fix_superblock
from daos.dfs._mount import mount
from daos.dfs._path import Path
from daos.dfs._report import CheckReport, Finding
from daos.model.posix import Posix

__all__ = [
    "DFS",
    "CheckReport",
    "DirEntry",
    "FileInfo",
    "Finding",
    "Path",
    "Posix",
    "RawFile",
    "fix_root",
    "fix_superblock",
    "mount",
]
