"""What all tests share: how hypothesis searches."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No example database, so that nothing lands in the tree; no deadline, because a test
# machine of two cores stalls now and then, and the time-out of pytest catches what hangs.
COMMON = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("daily", COMMON, max_examples=100)
settings.register_profile("ci", COMMON, max_examples=200, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "daily")
