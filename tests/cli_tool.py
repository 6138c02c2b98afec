"""What a command line of the tool did, for the tests of its commands."""

from __future__ import annotations

import json
import re
from typing import Protocol

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Result:
    """What a command line did; `text` and `errors` have `U` for each UUID."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.raw = out
        self.text = UUID.sub("U", out)
        self.errors = UUID.sub("U", err)

    @property
    def json(self) -> dict[str, object]:
        loaded = json.loads(self.text)
        assert list(loaded) == ["response", "error", "status"]
        assert isinstance(loaded, dict)
        return loaded


class Tool(Protocol):
    """Runs a command line."""

    def __call__(self, *words: str, system: str | None = "sys") -> Result: ...
