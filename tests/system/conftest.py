"""A system of real processes for all tests of this folder; and what a failed test shows of its logs."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from daos.dev import DevSystem, Plan
from tests.system.running import RUNNING, tails

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevSystem]:
    """A system of three servers, and an agent that this process finds: one for all modules, whole when each begins."""
    if not RUNNING:
        RUNNING.append(DevSystem(tmp_path_factory.mktemp("system") / "s"))
    made = RUNNING[0]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment().items():
            patch.setenv(name, value)
        made.up(Plan(servers=3))
        yield made


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the system behind the last test of this folder, whatever runs then."""
    if item.path.parent == HERE and (nextitem is None or nextitem.path.parent != HERE):
        while RUNNING:
            RUNNING.pop().down(destroy=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of all logs to what a failed test tells."""
    report = yield
    if report.failed and item.path.parent == HERE:
        report.sections.extend(
            (f"logs of {each.layout.root}", tails(each)) for each in RUNNING if each.layout.state.exists()
        )
    return report
