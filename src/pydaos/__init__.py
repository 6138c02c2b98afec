"""For programs that were written for DAOS: its module `pydaos`, over containers of this one.

    import pydaos
    cont = pydaos.DCont("tank", "run7")
    params = cont.dict("params", {"lr": "0.1"})
    params["lr"]  # b"0.1"

Programs that begin here use `daos`, which has more, and mappings that are like Python's. Both see the same: what is a
`DDict` here is a `daos.KV` there, and a `DArray` a `daos.Array`.
"""

from __future__ import annotations

from pydaos._classes import ObjClassID
from pydaos._client import DaosClient, DCont, check
from pydaos._errors import DObjNotFound, InvalidModeError, PyDError
from pydaos._objects import DArray, DDict

__all__ = [
    "DArray",
    "DCont",
    "DDict",
    "DObjNotFound",
    "DaosClient",
    "InvalidModeError",
    "ObjClassID",
    "PyDError",
    "check",
]
