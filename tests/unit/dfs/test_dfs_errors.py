"""What failures of the core are raised as."""

from __future__ import annotations

import errno
import pickle

import pytest

from daos import errors
from daos.dfs.errors import FileClosedError, FileForkedError, StoreError, error_from_core
from daos.errors import _CLASS_OF, DER, DaosError


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EEXIST, FileExistsError),
        (errno.EISDIR, IsADirectoryError),
        (errno.ENOTDIR, NotADirectoryError),
        (errno.EACCES, PermissionError),
        (errno.EPERM, PermissionError),
        (errno.ENOTEMPTY, OSError),
        (errno.EINVAL, OSError),
    ],
)
def test_what_a_file_system_refuses_is_python_s_class_for_the_number(number: int, kind: type[OSError]) -> None:
    error = error_from_core(number, None, "why", "do this", False, "/a", "/b")
    assert type(error) is kind
    assert (error.errno, error.filename, error.filename2) == (number, "/a", "/b")
    assert error.__notes__ == ["hint: do this"]
    assert not isinstance(error, DaosError)


@pytest.mark.parametrize("code", [code for code in DER if code not in {DER.EXIST, DER.NONEXIST, DER.ENOENT}])
def test_what_the_store_refuses_is_its_class_and_an_oserror(code: DER) -> None:
    error = error_from_core(errno.EIO, code.value, "why", "do this", False, "/a", None)
    assert isinstance(error, StoreError)
    assert isinstance(error, _CLASS_OF[code.value])
    assert (error.errno, error.filename, error.code, error.hint) == (errno.EIO, "/a", code, "do this")
    assert str(error) == f"/a: why: {code}\nhint: do this"
    error.add_note("n")
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), copied.errno, copied.filename, copied.code) == (type(error), errno.EIO, "/a", code)
    assert copied.__notes__ == ["n"]


def test_names_that_the_store_knows_are_not_its_failures() -> None:
    assert type(error_from_core(errno.EEXIST, DER.EXIST, "there", None, False, "/a", None)) is FileExistsError
    missing = error_from_core(errno.ENODATA, DER.NONEXIST, "no attribute", None, False, "/a", None)
    assert (type(missing), missing.strerror) == (OSError, "no attribute")


def test_what_is_gone_says_that_it_is_to_be_mounted_again() -> None:
    assert isinstance(error_from_core(errno.ENODEV, None, "unmounted", None, False, None, None), FileClosedError)
    forked = error_from_core(errno.ESTALE, None, "forked", "mount it", True, "/a", None)
    assert isinstance(forked, FileForkedError)
    assert isinstance(forked, errors.ForkedError)
