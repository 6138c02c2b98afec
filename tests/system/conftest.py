"""Systems of real processes, one a module; what a failed test shows of their logs."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from daos.dev import DevSystem, Plan
from tests.system.running import RUNNING, tails


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevSystem]:
    """A system of three servers, and an agent that this process finds; it ends with the module."""
    made = DevSystem(tmp_path_factory.mktemp("system") / "s")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment().items():
            patch.setenv(name, value)
        RUNNING.append(made)
        try:
            made.up(Plan(servers=3))
            yield made
        finally:
            RUNNING.remove(made)
            made.down(destroy=True)


@pytest.fixture
def home(system: DevSystem) -> Path:
    """A directory beside the system, on its device."""
    found = system.layout.root.parent / f"home-{os.getpid()}"
    found.mkdir(exist_ok=True)
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of all logs to what a failed test tells."""
    report = yield
    if report.failed and str(item.path.parent) == str(Path(__file__).parent):
        report.sections.extend((f"logs of {each.layout.root}", tails(each)) for each in RUNNING)
    return report
