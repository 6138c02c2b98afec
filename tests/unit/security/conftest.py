"""An authority and what it issues, made once: keys take a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from daos.security.certificates import Authority, Identity, load_identity, store_issued

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.make(NOW)


@pytest.fixture(scope="session")
def other_authority() -> Authority:
    return Authority.make(NOW)


@pytest.fixture
def ca_file(authority: Authority, tmp_path: Path) -> Path:
    from daos.security.certificates import Folder

    folder = Folder(tmp_path)
    folder.create(authority)
    return folder.ca_certificate


@pytest.fixture
def agent(authority: Authority, ca_file: Path, tmp_path: Path) -> Identity:
    issued = authority.issue("agent", ["host1.example"], (), NOW)
    certificate, key = store_issued("agent", issued, tmp_path / "agent", replace=False)
    return load_identity(certificate, key, ca_file, now=NOW, expected="agent")
