"""`daos health net-test`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from daos.cli._base import command as make
from daos.cli._base import for_running, session_of
from daos.cli._net_test import PERCENTILES, Measured, measure
from daos.cli._output import Reply, error_text, rows
from daos.cli._progress import Progress
from daos.errors import DER, DaosError, InvalidError
from daos.mgmt.sets import format_ranks, parse_ranks
from daos.model.sizes import format_binary, format_size, parse_size

if TYPE_CHECKING:
    from daos.client._probe import Engines

BYTES_MAX = 1 << 20
"""Of a request: what an engine takes."""
DEADLINE_S = 60.0
"""For each rank."""
CALL_S = 10.0
"""For a request: an engine that is not there is not waited for longer."""


@make(
    "net-test",
    click.Option(["-r", "--ranks"], metavar="RANKS", help="These only, such as 0,2-5."),
    click.Option(["-t", "--tags"], metavar="TAGS", default="0", help="0, an engine's control endpoint."),
    click.Option(
        ["-s", "--size"], metavar="SIZE", default="1KiB", show_default=True, help="Of a request and its reply."
    ),
    click.Option(
        ["-m", "--max-inflight"], type=click.IntRange(1, 64), default=16, show_default=True, help="Requests at once."
    ),
    click.Option(
        ["-c", "--rpc-count"], type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="To each rank."
    ),
    click.Option(["-y", "--bytes", "as_bytes"], is_flag=True, help="Bandwidth in bytes, not in bits."),
    click.Option(["-v", "--verbose"], is_flag=True, help="All percentiles."),
)
@click.pass_context
def command(
    context: click.Context,
    ranks: str | None,
    tags: str,
    size: str,
    max_inflight: int,
    rpc_count: int,
    *,
    as_bytes: bool,
    verbose: bool,
) -> Reply:
    """Measure the way to the engines of a running system: requests of some bytes to each rank in turn.

    Needs no pool. Ends with status 1 if a rank does not answer.
    """
    for_running(context, "an embedded system has no network")
    if tags.strip() != "0":
        raise InvalidError(f'tags "{tags}" cannot be measured', code=DER.NOTSUPPORTED, hint="0, the control endpoint")
    length = parse_size(size, "size")
    if length > BYTES_MAX:
        raise InvalidError(f"a request of {format_binary(length)}", hint=f"at most {format_binary(BYTES_MAX)}")
    wanted = None if ranks is None else parse_ranks(ranks)
    from daos.client._probe import Engines

    with Engines(session_of(context).sys_name or "", timeout=CALL_S) as engines:
        found = []
        chosen = list(engines.info.engines) if wanted is None else wanted
        with Progress("measuring", len(chosen) * rpc_count * length * 2) as progress:
            for number, rank in enumerate(chosen):
                progress.at(number * rpc_count * length * 2)
                found.append(_one(engines, rank, length, rpc_count, max_inflight))
        name = engines.info.name
    lines = [
        "Network Test Parameters",
        "-----------------------",
        *rows(
            [
                ("Servers", "All" if wanted is None else format_ranks(wanted)),
                ("Send RPC Size", format_binary(length)),
                ("Reply RPC Size", format_binary(length)),
                ("RPCs Per Server", str(rpc_count)),
                ("RPCs In Flight", str(max_inflight)),
            ]
        ),
        "",
    ]
    for one in found:
        lines += _lines(one, length, as_bytes=as_bytes, verbose=verbose)
    wrong = [f"rank {one.rank}: {_why(one)}" for one in found if one.failed]
    return Reply(
        lines,
        lambda: {
            "configuration": {
                "group_name": name,
                "endpoint_ranks": chosen,
                "endpoint_tags": [0],
                "repetitions": rpc_count,
                "send_sizes": [length],
                "reply_sizes": [length],
                "buffer_alignment": -1,
                "max_inflight_rpcs": max_inflight,
            },
            "results": [_json(one, length) for one in found],
        },
        error="; ".join(wrong) or None,
        hint="dmg system query tells which ranks are up" if wrong else None,
    )


def _one(engines: Engines, rank: int, length: int, count: int, in_flight: int) -> Measured:
    try:
        probe = engines.probe(rank)
        # What is set up with the first request is not measured.
        probe.ping(length, length)
    except DaosError as error:
        return Measured(rank, (), count, 0.0, error)
    return measure(rank, lambda: probe.ping(length, length), count, in_flight, time.monotonic() + DEADLINE_S)


def _why(one: Measured) -> str:
    return "its time is over" if one.error is None else error_text(one.error)[0]


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.3f} ms"


def _lines(one: Measured, length: int, *, as_bytes: bool, verbose: bool) -> list[str]:
    title = f"Network Test Summary, rank {one.rank}"
    bandwidth = one.per_second * length * 2
    shown = PERCENTILES if verbose else (95, 99)
    told = [("Server Endpoint", f"{one.rank}:0")]
    if one.failed:
        told.append(("Failed RPCs", f"{one.failed} ({100 * one.failed / one.total:.1f}%)"))
    if one.took_ns:
        bits = f"{bandwidth * 8 / 1e6:.2f} Mbps"
        told += [
            ("RPC Throughput", f"{one.per_second:.2f} RPC/s"),
            ("RPC Bandwidth", f"{format_size(int(bandwidth))}/s" if as_bytes else bits),
            ("Average Latency", _ms(one.mean_ns)),
            *((f"{percent}% Latency", _ms(one.percentile(percent))) for percent in shown),
        ]
        if verbose:
            told += [("Minimum Latency", _ms(one.took_ns[0])), ("Maximum Latency", _ms(one.took_ns[-1]))]
    return [title, "-" * len(title), *rows(told), ""]


def _json(one: Measured, length: int) -> dict[str, object]:
    return {
        "target_endpoints": [{"rank": one.rank, "tag": 0}],
        "target_latencies": {
            f"{one.rank}:0": {
                "total_rpcs": one.total,
                "fail_count": one.failed,
                "min": one.took_ns[0] if one.took_ns else 0,
                "max": one.took_ns[-1] if one.took_ns else 0,
                "avg": one.mean_ns,
                "std_dev": one.deviation_ns,
                "percentiles": [
                    {
                        "label": f"{percent}%",
                        "cumulative_count": -(-len(one.took_ns) * percent // 100),
                        "upper_bound": one.percentile(percent),
                    }
                    for percent in PERCENTILES
                ],
            }
        },
        "rpc_count_per_second": one.per_second,
        "rpc_bytes_per_second": one.per_second * length * 2,
        "duration": int(one.seconds * 1e9),
    }
