"""The exception tree: both tables agree, every code has a class, errors travel whole."""

from __future__ import annotations

import builtins
import copy
import errno
import pickle

import pytest

import daos
from daos import _core, errors
from daos.errors import DER, DaosError, error_from_der

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, DaosError)]


def test_the_codes_are_those_of_the_native_table() -> None:
    assert [(code.value, code.name, code.text) for code in DER] == _core.der_table()


@pytest.mark.parametrize("code", DER, ids=lambda code: code.name)
def test_every_code_becomes_its_class_and_no_wider_one(code: DER) -> None:
    error = error_from_der(code, "x")
    assert error.code is code
    assert type(error) is not DaosError
    assert errors._raise_map()[code.value] is type(error)


def test_no_code_has_two_classes() -> None:
    codes = [code for listed in errors._CODES.values() for code in listed]
    assert len(codes) == len(set(codes)) == len(DER)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_raised_by_python_has_a_code_of_its_own_class(cls: type[DaosError]) -> None:
    if cls is DaosError:
        return
    assert issubclass(cls, errors._raise_map()[cls.default_code])


@pytest.mark.parametrize(
    ("cls", "standard"),
    [
        (errors.InvalidError, "ValueError"),
        (errors.NotFoundError, "LookupError"),
        (errors.KeyNotFoundError, "KeyError"),
        (errors.AccessError, "PermissionError"),
        (errors.NoSpaceError, "OSError"),
        (errors.ClosedError, "ValueError"),
        (errors.ForkedError, "ValueError"),
        (errors.TimedOutError, "TimeoutError"),
    ],
)
def test_python_code_may_catch_the_standard_class(cls: type[DaosError], standard: str) -> None:
    assert issubclass(cls, getattr(builtins, standard))


@pytest.mark.parametrize(
    ("number", "name"), [(1007, "NOSPACE"), (-1007, "NOSPACE"), (501000, "UNKNOWN"), (3, "UNKNOWN"), (0, "UNKNOWN")]
)
def test_numbers_of_either_sign_and_unknown_ones(number: int, name: str) -> None:
    assert DER.of(number).name == name


def test_an_unknown_number_is_kept() -> None:
    error = error_from_der(-4711, "odd")
    assert type(error) is errors.InternalError
    assert error.context == {"der_number": -4711}


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (DER.NOSPACE, errno.ENOSPC),
        (DER.NOMEM, errno.ENOMEM),
        (DER.QUOTA_LIMIT, errno.EDQUOT),
        (DER.NO_PERM, errno.EPERM),
        (DER.TIMEDOUT, errno.ETIMEDOUT),
    ],
)
def test_an_oserror_tells_its_errno(code: DER, number: int) -> None:
    error = error_from_der(code, "x")
    assert isinstance(error, OSError)
    assert error.errno == number


def test_every_code_of_an_oserror_has_an_errno() -> None:
    for code in DER:
        assert not isinstance(error_from_der(code, "x"), OSError) or code in errors._ERRNO


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_travel_whole(cls: type[DaosError]) -> None:
    error = cls("get 'a b'", hint="try b", context={"key": "a b", "size": 7})
    error.add_note("seen on Sunday")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is cls
        assert repr(again) == repr(error)
        assert str(again) == str(error)
        assert again.context == error.context
        assert again.__notes__ == ["seen on Sunday"]


def test_the_text_says_what_code_and_hint() -> None:
    error = errors.KeyNotFoundError("no key 'lr'", hint="list the keys")
    assert str(error) == "no key 'lr': DER_NONEXIST(-1005): The specified entity does not exist\nhint: list the keys"
    assert repr(error) == "KeyNotFoundError(\"no key 'lr'\", code=DER.NONEXIST, hint='list the keys')"
    assert repr(errors.BusyError("held", context={"pid": 7})) == (
        "BusyError('held', code=DER.BUSY, context={'pid': 7})"
    )


def test_the_facts_cannot_be_changed() -> None:
    facts: dict[str, object] = {"size": 1}
    error = errors.InvalidError("x", context=facts)
    facts["size"] = 2
    assert error.context == {"size": 1}
    with pytest.raises(TypeError):
        error.context["size"] = 3  # type: ignore[index]


def test_every_exception_is_public() -> None:
    names = {cls.__name__ for cls in CLASSES}
    assert names <= set(daos.__all__)
    assert names <= set(errors.__all__)
    assert all(getattr(daos, name) is getattr(errors, name) for name in names)
