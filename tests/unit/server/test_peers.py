"""What a failed call between servers means: the other's error, not sent, or unknown."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from daos import errors
from daos.errors import DER
from daos.mgmt.wire import ERROR_KEY, encode_error
from daos.server.peers import GrpcPeers, error_of
from tests.ports import free_port
from tests.unit.mgmt.http_proxy import proxy
from tests.unit.mgmt.test_server import served


def failed(code: grpc.StatusCode, details: str = "", trailing: bytes | None = None) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata() if trailing is None else grpc.aio.Metadata((ERROR_KEY, trailing))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (failed(grpc.StatusCode.DEADLINE_EXCEEDED), errors.UncertainError, DER.NOREPLY),
        (
            failed(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses"),
            errors.UnavailableError,
            DER.UNREACH,
        ),
        (failed(grpc.StatusCode.UNAVAILABLE, "Socket closed"), errors.UncertainError, DER.NOREPLY),
        (failed(grpc.StatusCode.PERMISSION_DENIED, "x"), errors.AccessError, DER.NO_PERM),
        (failed(grpc.StatusCode.INTERNAL, "x"), errors.InternalError, DER.MISC),
    ],
)
def test_statuses(error: grpc.aio.AioRpcError, kind: type[errors.DaosError], code: DER) -> None:
    found = error_of(error, "h:1")
    assert type(found) is kind
    assert found.code is code
    assert "h:1" in found.message


def test_the_others_error_comes_as_it_was() -> None:
    own = errors.StaleError("elsewhere", code=DER.NOTLEADER, hint="there", context={"leader": "c:1"})
    found = error_of(failed(grpc.StatusCode.ABORTED, "x", encode_error(own)), "h:1")
    assert (type(found), found.code, found.hint, dict(found.context)) == (
        errors.StaleError,
        DER.NOTLEADER,
        "there",
        {"leader": "c:1"},
    )
    assert isinstance(error_of(failed(grpc.StatusCode.ABORTED, "x", b"\xc1"), "h:1"), errors.InternalError)


def test_nobody_is_there_and_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from daos.server import peers as module

    monkeypatch.setattr(module, "CHANNELS_MAX", 2)

    async def main() -> None:
        peers = GrpcPeers(None, system="s")
        for port in (free_port() for _ in range(3)):
            with pytest.raises((errors.UnavailableError, errors.UncertainError)):
                await peers.server_call(f"127.0.0.1:{port}", "x", b"", timeout_s=5)
        assert len(peers._channels) == 2
        await peers.close()
        assert not peers._channels
        assert not peers._closing

    asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("allowed", [True, False])
def test_others_are_reached_by_a_proxy_only_if_allowed(monkeypatch: pytest.MonkeyPatch, *, allowed: bool) -> None:
    elsewhere = "127.9.8.7:10001"  # where nobody listens

    async def main() -> None:
        async with served() as there, proxy({elsewhere: there.address}) as by:
            monkeypatch.setenv("http_proxy", f"http://{by.address}")
            peers = GrpcPeers(None, system="", allow_proxy=allowed)
            try:
                if allowed:
                    await peers.server_call(elsewhere, "x", b"", timeout_s=20)
                    assert [name for name, _ in there.server.calls] == ["server_call"]
                else:
                    with pytest.raises((errors.UnavailableError, errors.UncertainError)):
                        await peers.server_call(elsewhere, "x", b"", timeout_s=5)
                assert bool(by.asked) is allowed
            finally:
                await peers.close()

    asyncio.run(asyncio.wait_for(main(), 30))
