"""What the commands that store something read it from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from daos.errors import InvalidError

if TYPE_CHECKING:
    from typing import BinaryIO


def standard_input() -> BinaryIO:
    """Return standard input, for bytes.

    Raises:
        InvalidError: `DER.INVAL`: this process was given none.
    """
    # None where the descriptor was closed when Python began, whatever typeshed says.
    stdin = getattr(sys, "stdin", None)
    if stdin is None:
        raise InvalidError("standard input is closed", hint="name a file by --input, or redirect standard input")
    return stdin.buffer  # type: ignore[no-any-return]
