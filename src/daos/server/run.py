"""The life of `daos_server`: everything started in order, kept, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from daos import build_info
from daos.config.server import ServerConfig
from daos.errors import DaosError
from daos.mgmt.identity import Identities, IdentityFiles
from daos.mgmt.proxies import scrub
from daos.mgmt.server import Running, serve
from daos.security.certificates import expiry_warning, load_identity
from daos.server import logging_setup
from daos.server.handlers import ManagementApi
from daos.server.host_handlers import ServerApi
from daos.server.management import Management
from daos.server.node import Server
from daos.server.notify import READY, STOPPING, notify
from daos.server.peers import GrpcPeers
from daos.server.settings import ServerSettings, settings_of, split_address
from daos.server.telemetry import ASK_S, Telemetry

STOP_S_MAX = 40.0
"""Of the whole end: engines take the most of it."""
LOOK_AGAIN_S = 3600.0
"""How often certificates are looked at for their end."""
_log = logging.getLogger(__name__)


async def run(settings: ServerSettings, *, stop: asyncio.Event | None = None, allow_proxy: bool = False) -> None:
    """Run a server until it gets SIGTERM or SIGINT.

    Args:
        settings: What it is to be.
        stop: Ends it as a signal does.
        allow_proxy: Reach other servers by the proxies of the environment.

    Raises:
        AccessError: Its certificates cannot be used.
        UnavailableError: A port is in use.
        DaosError: It cannot start.
    """
    stop = asyncio.Event() if stop is None else stop
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    version = build_info().version
    identity = _identity(settings)
    peers = GrpcPeers(identity, system=settings.system, allow_proxy=allow_proxy)
    server = Server(settings, peers)
    management = Management(server, version)
    telemetry = Telemetry(server, version)
    running: Running | None = None
    ends: list[Callable[[], Awaitable[None]]] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        running = await serve(
            settings.listen,
            ManagementApi(server, management, lambda: b"" if identity is None else identity().ca),
            ServerApi(server, version),
            identity,
            system=settings.system,
        )
        ends.append(running.stop)
        if settings.telemetry_port is not None:
            telemetry.start(split_address(settings.listen)[0], settings.telemetry_port)
            tasks.append(asyncio.create_task(_gather(telemetry), name="telemetry"))
        if settings.certificates is not None:
            tasks.append(asyncio.create_task(_watch_certificates(settings), name="certificates"))
        await server.start()
        _log.info("daos_server %s of system %s serves on %s", version, settings.system, settings.address)
        notify(READY)
        await stop.wait()
        _log.info("daos_server ends")
    finally:
        notify(STOPPING)
        await _end(server, ends, tasks, telemetry)


async def _end(
    server: Server,
    ends: list[Callable[[], Awaitable[None]]],
    tasks: list[asyncio.Task[None]],
    telemetry: Telemetry,
) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    try:
        async with asyncio.timeout(STOP_S_MAX):
            await server.close()
            for end in ends:
                await end()
    except TimeoutError:
        _log.error("the end took longer than %s s: what is left is cut off", STOP_S_MAX)
    await asyncio.to_thread(telemetry.stop)


async def _gather(telemetry: Telemetry) -> None:
    while True:
        await telemetry.gather()
        await asyncio.sleep(ASK_S)


def _identity(settings: ServerSettings) -> Identities | None:
    """Return who this server is, once its certificate was found in order."""
    if settings.certificates is None:
        return None
    ca, certificate, key = settings.certificates
    load_identity(certificate, key, ca, now=datetime.now(UTC), expected="server")
    return IdentityFiles(str(ca), str(certificate), str(key))


async def _watch_certificates(settings: ServerSettings) -> None:
    """Warn, in the log, of a certificate that is about to expire."""
    warned = None
    while settings.certificates is not None:
        ca, certificate, key = settings.certificates
        now = datetime.now(UTC)
        with contextlib.suppress(DaosError):
            expires = load_identity(certificate, key, ca, now=now, expected="server").expires
            days = expiry_warning(expires, now)
            if days is not None and days != warned:
                _log.warning("the certificate %s expires on %s: renew it", certificate, expires.date())
            warned = days
        await asyncio.sleep(LOOK_AGAIN_S)


def start(config: ServerConfig, *, auto_format: bool = False, syslog: bool = False, allow_proxy: bool = False) -> None:
    """Run the server of a configuration until it is told to end.

    Args:
        config: The configuration.
        auto_format: Format storage that is not formatted.
        syslog: Log to syslog too.
        allow_proxy: Reach other servers by the proxies of the environment; otherwise they are taken out of it, as
            engines inherit it.

    Raises:
        DaosError: As `run`.
    """
    engines = {f"engines[{index}].log_file": engine.log_file for index, engine in enumerate(config.engines)}
    logging_setup.prepare({"control_log_file": config.control_log_file, **engines})
    logging_setup.set_up(
        mask=config.control_log_mask,
        file=config.control_log_file,
        as_json=config.control_log_json,
        syslog=syslog,
    )
    for name in config.ignored():
        _log.info("%s has no meaning here", name)
    settings = dataclasses.replace(settings_of(config), auto_format=auto_format)
    if not allow_proxy:
        scrub(os.environ)
    asyncio.run(run(settings, allow_proxy=allow_proxy))
