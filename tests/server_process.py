"""`daos_server` with the fake engine in the place of `daos_engine`: `python tests/server_process.py start -o FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from daos.server import engines
from daos.server.main import main

if __name__ == "__main__":
    engines.COMMAND = (sys.executable, "-u", str(Path(__file__).with_name("fake_engine.py")))
    main()
