from __future__ import annotations

import grpc
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import DER, DaosError, InternalError, NotFoundError, error_from_der
from daos.mgmt.stamps import RequestIds, stamp_ns
from daos.mgmt.wire import ERROR_BYTES_MAX, ERROR_KEY, decode_error, encode_error, error_in, status_of


@pytest.mark.parametrize("code", DER)
def test_an_error_comes_back_as_it_was(code: DER) -> None:
    error = error_from_der(code, "it failed", "do this", {"rank": 3, "leader": "h:1", "ranks": (1, 2), "free": None})
    back = decode_error(encode_error(error))
    assert (type(back), back.code, back.message, back.hint) == (type(error), code, "it failed", "do this")
    assert dict(back.context) == {"rank": 3, "leader": "h:1", "ranks": [1, 2], "free": None}
    assert status_of(error) is not grpc.StatusCode.OK


@given(
    st.text(max_size=3000),
    st.none() | st.text(max_size=3000),
    st.dictionaries(st.text(max_size=40), st.integers() | st.text(max_size=2000) | st.just(object()), max_size=40),
)
def test_an_error_always_has_room(message: str, hint: str | None, context: dict[str, object]) -> None:
    try:
        message.encode()
        (hint or "").encode()
        "".join([*context, *(fact for fact in context.values() if isinstance(fact, str))]).encode()
    except UnicodeEncodeError:
        return
    body = encode_error(NotFoundError(message, hint=hint, context=context))
    assert len(body) <= ERROR_BYTES_MAX
    assert message.startswith(decode_error(body).message)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_error_are_one(body: bytes) -> None:
    assert isinstance(decode_error(body), DaosError)


def test_the_form_of_an_error_is_an_array() -> None:
    body = encode_error(NotFoundError("m", hint="h", context={"a": 1}))
    assert msgspec.msgpack.decode(body) == [1005, "m", "h", {"a": 1}]
    assert error_in([("other", "x"), (ERROR_KEY, body)]) is not None
    assert error_in([("other", "x")]) is None
    assert error_in(None) is None
    assert isinstance(decode_error(b"\xc1"), InternalError)


def test_stamps_grow_also_when_the_clock_does_not() -> None:
    now = 1_700_000_000 * 10**9
    ids = RequestIds(lambda: now)
    first, second = ids.next(), ids.next()
    assert second.stamp == first.stamp + 1
    assert first.client == second.client
    assert stamp_ns(first.stamp) == now
    assert ids.next(floor=first.stamp + 100).stamp == first.stamp + 101
    assert RequestIds().next().client != first.client
