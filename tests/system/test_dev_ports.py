"""Ports of systems for development: two that are made at once have others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from daos.dev import Plan, layout

CHOOSE = """
import os, sys
from daos.dev import Plan, layout
os.getpid = lambda: int(sys.argv[1])
print(*layout.choose_ports(Plan(servers=3, targets=2)).ports, flush=True)
sys.stdin.read()
"""
"""Chooses ports as the process of this number would, and keeps them until it is told to end."""


def choose(process: int) -> tuple[subprocess.Popen[str], set[int]]:
    chooser = subprocess.Popen(
        [sys.executable, "-c", CHOOSE, str(process)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert chooser.stdout is not None
    return chooser, {int(port) for port in chooser.stdout.readline().split()}


def test_two_that_look_at_once_find_others() -> None:
    number = os.getpid()
    one, first = choose(number)
    other, second = choose(number)
    try:
        assert len(first) == len(second) == 3
        apart = {port // layout.PORTS_OF_CLAIM for port in first} & {port // layout.PORTS_OF_CLAIM for port in second}
        assert not apart
    finally:
        for chooser in (one, other):
            chooser.communicate(timeout=20)
    assert one.returncode == other.returncode == 0


def test_ports_that_somebody_has_are_passed_over() -> None:
    (port,) = layout.choose_ports(Plan(servers=1)).ports
    with socket.create_server((layout.HOST, port + 1)):
        assert layout.choose_ports(Plan(servers=1)).ports != (port,)
    assert layout.choose_ports(Plan(servers=1)).ports == (port,)
