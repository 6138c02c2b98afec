"""The guide lists the keys as the models have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from daos.config import AgentConfig, ControlConfig, Section, ServerConfig
from daos.config._reference import reference

GUIDE = Path(__file__).parents[3] / "docs/guide/configuration.md"


@pytest.mark.parametrize("kind", [ServerConfig, AgentConfig, ControlConfig])
def test_the_guide_is_up_to_date(kind: type[Section]) -> None:
    assert "\n".join(reference(kind)) in GUIDE.read_text(), "run: python -m daos.config docs/guide/configuration.md"


def test_all_keys_are_told_about() -> None:
    lines = reference(ServerConfig)
    assert any(line.startswith("| `engines[].storage[].class` | required |") for line in lines)
    assert any(line.startswith("| `nr_hugepages` | memory is mapped") for line in lines)
    assert not any("|  |\n" in line for line in lines)
    assert any("client_user_map.*.user" in line for line in reference(AgentConfig))
