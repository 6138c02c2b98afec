"""What all tests share: how hypothesis searches."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from daos.client import system
from tests.fake_core import FakeDisk

# No example database, so that nothing lands in the tree; no deadline, because a test
# machine of two cores stalls now and then, and the time-out of pytest catches what hangs.
COMMON = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("daily", COMMON, max_examples=100)
settings.register_profile("ci", COMMON, max_examples=200, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "daily")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FakeDisk:
    """Put a fake in the place of the native store, and return its disk."""
    fake = FakeDisk()
    monkeypatch.setattr(system, "_open_core", fake.open)
    return fake
