"""Where the server's log goes, and in which form."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

from daos.errors import DER, UnavailableError
from daos.server.events import open_syslog

LEVELS = {
    "DISABLED": logging.CRITICAL + 1,
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "NOTICE": logging.INFO,
    "ERROR": logging.ERROR,
}


def prepare(files: Mapping[str, Path | None]) -> None:
    """Make sure that logs can be written; a directory that is missing is made, if its parent is there.

    Args:
        files: Where logs go, by the keys of the configuration that say so.

    Raises:
        UnavailableError: `DER.IO`: one cannot be written.
    """
    for key, file in files.items():
        if file is None:
            continue
        try:
            file.parent.mkdir(exist_ok=True)
            with file.open("ab"):
                pass
        except OSError as error:
            raise UnavailableError(
                f"cannot write {key} {file}: {error.strerror}", code=DER.IO, hint="choose another place"
            ) from None


def set_up(*, mask: str, file: Path | None, as_json: bool, syslog: bool = False) -> None:
    """Send what this process logs to a file that can be written, or to standard error.

    Args:
        mask: `control_log_mask`.
        file: `control_log_file`.
        as_json: An object a line.
        syslog: To syslog too, where there is one.
    """
    # A file that was renamed is made anew, so that it can be rotated.
    handler: logging.Handler = (
        logging.StreamHandler(sys.stderr) if file is None else logging.handlers.WatchedFileHandler(file)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=True) if as_json else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    log = open_syslog() if syslog else None
    if log is not None:
        root.addHandler(log)
    root.setLevel(LEVELS.get(mask, logging.INFO))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
