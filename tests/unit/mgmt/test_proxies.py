"""Proxies of the environment: which one is meant, and that nobody goes by one who may not."""

from __future__ import annotations

import pytest

from daos.errors import DER, InvalidError, UnavailableError
from daos.mgmt import methods
from daos.mgmt.client import ManagementClient
from daos.mgmt.identity import Identity
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.proxies import EXCEPTIONS, PROXIES, Proxy, channel_options, proxy_of, scrub
from tests.unit.mgmt.http_proxy import proxy
from tests.unit.mgmt.test_server import ADMIN, SERVER, run, served

ELSEWHERE = "127.9.8.7:10001"
"""Where nobody listens; the proxy knows it as the server."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No proxies, whatever this machine has."""
    for name in (*PROXIES, *EXCEPTIONS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"http_proxy": ""}, None),
        ({"http_proxy": "http://proxy:3128"}, Proxy("proxy", 3128)),
        ({"http_proxy": "http://proxy"}, Proxy("proxy", 80)),
        ({"HTTPS_PROXY": "proxy:1"}, Proxy("proxy", 1)),
        ({"https_proxy": "http://a:1", "http_proxy": "http://b:2"}, Proxy("a", 1)),
        ({"grpc_proxy": "http://g:3", "https_proxy": "http://a:1"}, Proxy("g", 3)),
        ({"http_proxy": "http://me:a%20b@[::1]:5"}, Proxy("::1", 5, b"me:a b")),
        ({"http_proxy": "http://proxy:1", "no_proxy": "other, node7"}, None),
        ({"http_proxy": "http://proxy:1", "NO_PROXY": ".cluster"}, Proxy("proxy", 1)),
        ({"http_proxy": "http://proxy:1", "no_proxy": "ode7,,node77,node7:1"}, Proxy("proxy", 1)),
        ({"http_proxy": "http://proxy:1", "no_proxy": "Node7:10001"}, None),
        ({"http_proxy": "http://proxy:1", "no_proxy": "*"}, None),
        ({"http_proxy": "http://proxy:1", "no_grpc_proxy": "x", "no_proxy": "*"}, Proxy("proxy", 1)),
        ({"ftp_proxy": "http://proxy:1", "all_proxy": "http://proxy:1"}, None),
    ],
)
def test_which_proxy(environ: dict[str, str], expected: Proxy | None) -> None:
    assert proxy_of("node7:10001", environ) == expected


def test_a_domain_excepts_its_hosts() -> None:
    environ = {"http_proxy": "http://proxy:1", "no_proxy": ".cluster, example.org"}
    for host in ("a.cluster", "b.example.org", "example.org"):
        assert proxy_of(f"{host}:1", environ) is None, host
    assert proxy_of("notexample.org:1", environ) is not None


@pytest.mark.parametrize("url", ["socks5://proxy:1", "https://proxy:1", "http://", "http://proxy:99999", "http://[::1"])
def test_what_can_be_no_proxy(url: str) -> None:
    with pytest.raises(InvalidError, match=r"^https_proxy names no proxy") as refused:
        proxy_of("node7:10001", {"https_proxy": url})
    assert refused.value.code is DER.INVAL


def test_a_password_is_in_no_text() -> None:
    made = proxy_of("node7:1", {"http_proxy": "http://me:secret@proxy:1"})
    assert made is not None
    assert "secret" not in f"{made} {made!r}"
    assert made.greeting("node7:1") == (
        b"CONNECT node7:1 HTTP/1.1\r\nHost: node7:1\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
    )


def test_an_environment_is_scrubbed() -> None:
    names = ("http_proxy", "HTTPS_PROXY", "grpc_proxy", "NO_PROXY", "no_grpc_proxy", "PATH")
    environ = dict.fromkeys(names, "a")
    scrub(environ)
    assert environ == {"PATH": "a"}


def test_a_channel_without_a_proxy_looks_for_none() -> None:
    assert channel_options(None, {"http_proxy": "http://proxy:1"}) == (("grpc.enable_http_proxy", 0),)


@pytest.mark.parametrize("identity", [None, ADMIN], ids=["plain", "tls"])
def test_a_client_that_may_goes_by_the_proxy(identity: Identity | None, environment: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        there = None if identity is None else lambda: SERVER
        own = None if identity is None else lambda: identity
        async with served(there) as server, proxy({ELSEWHERE: server.address}) as by:
            environment.setenv("http_proxy", f"http://me:secret@{by.address}")
            async with ManagementClient([ELSEWHERE], own, deadline_s=20, allow_proxy=True) as client:
                told = await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert [member.rank for member in told.members] == [0, 1, 2]
            # A first look, and gRPC's own connection.
            assert by.asked == [f"CONNECT {ELSEWHERE} HTTP/1.1"] * 2
            assert by.authorized == ["Proxy-Authorization: Basic bWU6c2VjcmV0"] * 2

    run(test)


def test_a_client_that_may_not_does_not(environment: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with served() as server, proxy({}) as by:
            environment.setenv("http_proxy", f"http://{by.address}")
            async with ManagementClient([server.address], None, deadline_s=20) as client:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            environment.setenv("no_proxy", server.address.partition(":")[0])
            async with ManagementClient([server.address], None, deadline_s=20, allow_proxy=True) as client:
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert by.asked == []

    run(test)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403"),
        (b"HTTP/1.1\r\n\r\n", "it does not speak HTTP"),
        (b"\x00\xff 200\r\n\r\n", "it does not speak HTTP"),
        (b"SSH-2.0-x\r\n", "it does not speak HTTP"),
        (b"x" * 200_000, "it does not speak HTTP"),
    ],
)
def test_a_proxy_that_does_not_connect(answer: bytes, said: str, environment: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with proxy({}) as by:
            by.answer = answer
            environment.setenv("https_proxy", by.address)
            async with ManagementClient([ELSEWHERE], None, deadline_s=2, allow_proxy=True) as client:
                with pytest.raises(UnavailableError) as refused:
                    await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())
            assert f"the proxy {by.address} does not connect to {ELSEWHERE}: {said}" in refused.value.message
            assert "\n" not in refused.value.message

    run(test)


def test_a_proxy_that_is_not_there(environment: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with proxy({}) as by:
            gone = by.address
        environment.setenv("https_proxy", gone)
        async with ManagementClient([ELSEWHERE], None, deadline_s=2, allow_proxy=True) as client:
            with pytest.raises(UnavailableError, match=f"the proxy {gone} cannot be reached"):
                await client.ask(methods.SYSTEM_QUERY, pb.SystemQueryRequest())

    run(test)
