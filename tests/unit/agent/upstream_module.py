"""Stands for the module that makes the servers of a configuration."""

from __future__ import annotations

from daos.config import AgentConfig
from tests.unit.agent.fakes import FakeUpstream


def connect(config: AgentConfig, *, allow_proxy: bool) -> FakeUpstream:
    assert config.name
    assert not allow_proxy
    return FakeUpstream()
