"""`daos fs reset-oclass`."""

from __future__ import annotations

from daos.cli._fs_reset import reset

command = reset(
    "reset-oclass",
    "Have a directory give the object class of the file system to what is made in it from now on.",
    chunk_size=False,
    oclass=True,
)
