from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from daos import build_info
from daos.engine.process import check_release
from daos.errors import DER, UnavailableError
from daos.local import EngineOptions


def test_an_engine_goes_with_a_server_of_its_release_only() -> None:
    check_release("1.2.0", "1.2.0")
    check_release("", "1.2.0")  # it does not tell
    with pytest.raises(UnavailableError, match=r"the engine is of release 1.3.0, its daos_server of 1.2.0") as refused:
        check_release("1.2.0", "1.3.0")
    assert refused.value.code is DER.CONTROL_INCOMPAT
    assert "restart daos_server" in (refused.value.hint or "")


def test_one_of_another_release_ends_and_says_why(tmp_path: Path) -> None:
    options = EngineOptions(
        system="s",
        index=0,
        uuid="",
        socket=str(tmp_path / "socket"),
        metadata=str(tmp_path),
        tiers=(),
        capacity=(0, 0),
        targets=1,
        address="127.0.0.1",
        port=1,
        domain=("h",),
        release="99.0.0",
    )
    command = [sys.executable, "-m", "daos.engine"]
    ended = subprocess.run(command, input=msgspec.json.encode(options), capture_output=True, timeout=50, check=False)
    assert ended.returncode == 1
    told = ended.stderr.decode()
    assert f"the engine is of release {build_info().version}, its daos_server of 99.0.0 (restart daos_server" in told
    assert list(tmp_path.iterdir()) == []
