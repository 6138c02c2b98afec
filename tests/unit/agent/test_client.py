"""The clients' end of the agent's socket: its release, and the time of its calls."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from daos.agent.client import AgentClient
from daos.errors import DER, UnavailableError
from daos.mgmt.releases import own_release
from tests.unit.agent.fakes import FakeUpstream, Info, asynchronous
from tests.unit.agent.test_agent import refused, running, silent


@asynchronous
async def test_a_client_of_another_release(tmp_path: Path) -> None:
    async with running(tmp_path, upstream=FakeUpstream(Info(insecure=True))) as case:
        client = case.client()
        own = own_release()
        major, minor = own.split(".")[:2]
        for release in ("", own, f"{major}.{int(minor) + 1}.9"):
            told = await asyncio.to_thread(lambda one=release: client.attach(release=one))  # type: ignore[misc]
            assert told.insecure
        for release in (f"{major}.{int(minor) + 2}.0", f"{int(major) + 1}.{minor}.0", "next"):
            for refresh in (False, True):
                error = await refused(lambda one=release, new=refresh: client.attach(release=one, refresh=new))  # type: ignore[misc]
                assert error.code is DER.CONTROL_INCOMPAT
                assert error.message == f"the client is of release {release}, the agent of this host of {own}"
                assert "give the program the agent's release of daos" in (error.hint or "")


def test_the_socket_may_be_named_by_its_directory(tmp_path: Path) -> None:
    assert AgentClient(tmp_path).path == AgentClient(tmp_path / "daos_agent.sock").path == tmp_path / "daos_agent.sock"


def test_several_calls_share_a_time(tmp_path: Path) -> None:
    with silent(tmp_path / "s"), AgentClient(tmp_path / "s", timeout_s=30) as client:
        assert client.left() == 30
        began = time.monotonic()
        with client.within(0.2):
            assert client.left() <= 0.2
            for ask in (client.attach, client.credential):
                with pytest.raises(UnavailableError, match="does not answer") as late:
                    ask()
                assert "may wait for servers that are away" in (late.value.hint or "")
            assert client.left() == 0
        assert time.monotonic() - began < 5
        assert client.left() == 30
