"""The package as a whole: what it exports, how quickly and with how little it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import daos


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_every_public_name_is_there() -> None:
    for name in daos.__all__:
        assert getattr(daos, name) is not None
    assert set(daos.__all__) <= set(dir(daos))


def test_the_asynchronous_face_is_loaded_when_it_is_named() -> None:
    assert "asyncio" in loaded_by("import daos; daos.aio.open")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        daos.nonesuch  # type: ignore[attr-defined]  # noqa: B018


def test_import_loads_nothing_heavy() -> None:
    loaded = loaded_by("import daos")
    assert not loaded & {"numpy", "msgspec", "click", "rich", "asyncio", "daos._core"}
    assert "numpy" not in loaded_by("import daos.aio")
    assert not loaded_by("import daos; daos.DaosError") & {"numpy", "click", "rich", "daos._core"}


def test_import_is_quick() -> None:
    script = "import time; t = time.perf_counter(); import daos; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True) for _ in range(5)
    ]
    assert min(float(run.stdout) for run in runs) < 0.150


def test_build_and_package_agree() -> None:
    assert daos.build_info().version == daos.__version__
    assert daos.build_info().debug is False
