"""Running something in a forked child."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(act: Callable[[], None]) -> int:
    """Run something in a forked child; return its exit status, 0 if nothing was raised."""
    # What earlier tests left behind is dropped here: of some libraries it can only be dropped where it was made.
    gc.collect()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 1
    try:
        act()
        status = 0
    except BaseException:  # noqa: BLE001 -- whatever it is, the parent's test fails by the status
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(status)
