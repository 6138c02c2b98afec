"""`daos fs reset-attr`."""

from __future__ import annotations

from daos.cli._fs_reset import reset

command = reset(
    "reset-attr",
    "Have a directory give the class and the size of chunks of the file system to what is made in it from now on.",
    chunk_size=True,
    oclass=True,
)
