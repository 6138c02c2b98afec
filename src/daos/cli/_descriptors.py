"""Descriptors of a process that a person started."""

from __future__ import annotations

import os
import resource


def keep_standard_descriptors() -> None:
    """Open those of the first three descriptors that are closed.

    They would be given to the next files that are opened, such as one that a command line names.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def raise_descriptor_limit() -> None:
    """Have this process open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
