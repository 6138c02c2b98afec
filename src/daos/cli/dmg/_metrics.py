"""Metrics of hosts, as Prometheus reads them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from daos.cli.dmg._base import settings_of
from daos.errors import DER, InvalidError, NotFoundError, UnavailableError
from daos.mgmt.sets import parse_hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click
    from prometheus_client import Metric

PORT = 9191
SCRAPE_S = 10.0
SCRAPE_BYTES_MAX = 64 << 20
AT_ONCE_MAX = 16


def addresses_of(context: click.Context, hosts: str | None, port: str) -> list[str]:
    """Return where metrics are: the hosts of the command line or of the configuration, with the port of metrics.

    Raises:
        InvalidError: `DER.INVAL`: no such hosts or port.
        DaosError: As `settings_of`.
    """
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InvalidError(f'invalid argument for flag `-p, --port\': invalid port "{port}"', hint="such as 9191")
    if hosts is not None:
        return parse_hosts(hosts, int(port))
    names = [host.rpartition(":")[0] for host in settings_of(context).hosts]
    return list(dict.fromkeys(f"{name}:{port}" for name in names))


def scraped(addresses: Sequence[str], *, allow_proxy: bool) -> dict[str, list[Metric]]:
    """Return the metrics of each.

    Args:
        addresses: Of hosts, `host:port`.
        allow_proxy: Go by the proxies of the environment; otherwise by none.

    Raises:
        UnavailableError: `DER.UNREACH`: one does not give any.
    """
    with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        return dict(zip(addresses, pool.map(partial(_scrape, allow_proxy=allow_proxy), addresses), strict=True))


def _scrape(address: str, *, allow_proxy: bool) -> list[Metric]:
    from prometheus_client.parser import text_string_to_metric_families

    opener = build_opener(ProxyHandler(None if allow_proxy else {}))
    try:
        with opener.open(f"http://{address}/metrics", timeout=SCRAPE_S) as answer:
            text = answer.read(SCRAPE_BYTES_MAX).decode()
        return list(text_string_to_metric_families(text))
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UnavailableError(
            f"unable to collect metrics from {address}: {getattr(reason, 'strerror', None) or reason}",
            code=DER.UNREACH,
            hint="the servers have metrics if telemetry_port is in their configuration",
        ) from None
    except ValueError:
        raise UnavailableError(f"what {address} gives are no metrics", code=DER.PROTO) from None


def chosen(metrics: Sequence[Metric], names: Sequence[str]) -> list[Metric]:
    """Return the metrics of some names, all where none is given.

    Raises:
        NotFoundError: `DER.METRIC_NOT_FOUND`.
    """
    found = {metric.name: metric for metric in metrics}
    for metric in metrics:
        found |= {sample.name: metric for sample in metric.samples if sample.name not in found}
    for name in names:
        if name not in found:
            raise NotFoundError(
                f'there is no metric "{name}"', code=DER.METRIC_NOT_FOUND, hint="dmg telemetry metrics list has all"
            )
    return [found[name] for name in names] if names else list(metrics)


def number(value: float) -> int | float | str:
    """Return a value as JSON can have it."""
    if not math.isfinite(value):
        return str(value)
    return int(value) if value == int(value) else value
