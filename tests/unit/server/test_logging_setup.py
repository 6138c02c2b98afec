"""Where logs go."""

from __future__ import annotations

from pathlib import Path

import pytest

from daos.errors import DER, UnavailableError
from daos.server import logging_setup


def test_the_directory_of_a_log_is_made_and_a_log_that_is_there_is_kept(tmp_path: Path) -> None:
    first, second = tmp_path / "daos" / "server.log", tmp_path / "daos" / "engine.log"
    logging_setup.prepare({"control_log_file": first, "engines[0].log_file": second, "engines[1].log_file": None})
    first.write_text("line\n")
    logging_setup.prepare({"control_log_file": first})
    assert (first.read_text(), second.read_text()) == ("line\n", "")


@pytest.mark.parametrize(
    ("path", "why"), [("absent/daos/log", "No such file"), ("file/log", "File exists"), (".", "Is a directory")]
)
def test_a_log_that_cannot_be_written_is_named_by_its_key(path: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match=rf"cannot write engines\[1\]\.log_file .*: {why}") as told:
        logging_setup.prepare({"control_log_file": None, "engines[1].log_file": tmp_path / path})
    assert told.value.code is DER.IO
    assert not (tmp_path / "absent").exists()
