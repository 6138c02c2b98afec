"""What all tests share: how hypothesis searches, and that SIGINT ends what they start."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from daos.client import system
from tests.fake_core import FakeDisk

# A shell that starts a command in the background has it ignore SIGINT, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
