"""What the fields of the configuration are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from daos.config._tree import Decimal, Number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.config import JsonDict

    from daos.config._tree import Place

CONTROL_PORT = 10001
SYSTEM = "daos_server"
SYSTEM_LEN_MAX = 15
"""DAOS's `DAOS_SYS_NAME_MAX`."""
CERTIFICATES = Path("/etc/daos/certs")

_SYSTEM = re.compile(r"[A-Za-z0-9._-]+")
_PAIR = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _text(value: object) -> object:
    return value.text if isinstance(value, Number | Decimal) else value


def _path(value: object) -> object:
    value = _text(value)
    return Path(value).expanduser() if isinstance(value, str) and value else value


def _system(value: str) -> str:
    if len(value) > SYSTEM_LEN_MAX or not _SYSTEM.fullmatch(value):
        raise ValueError(f'"{value}" is no name of a system; 1 to {SYSTEM_LEN_MAX} of letters, digits, and . _ -')
    return value


def _pair(value: str) -> str:
    if not _PAIR.fullmatch(value):
        raise ValueError(f'"{value}" is no variable; NAME=VALUE')
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError(f'"{value}" is no name of a variable; letters, digits and _, no digit first')
    return value


def _level(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _one_or_more(value: object) -> object:
    """Let a list of one be written without brackets, as `hostlist: host1`."""
    return (value,) if isinstance(value, str) else value


def seconds_of(value: object) -> object:
    """Return the seconds of a duration as Go writes it, `1h30m`; a bare number is seconds."""
    value = _text(value)
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f'"{value}" is no duration; such as 30s, 5m, 1h30m')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more)]
SystemName = Annotated[str, BeforeValidator(_text), AfterValidator(_system)]
File = Annotated[Path, BeforeValidator(_path)]
Port = Annotated[int, Field(ge=1, le=65535)]
EnvVar = Annotated[str, BeforeValidator(_text), AfterValidator(_pair)]
EnvName = Annotated[str, BeforeValidator(_text), AfterValidator(_variable)]
Seconds = Annotated[float, BeforeValidator(seconds_of), Field(ge=0)]
LogLevel = Annotated[Literal["DISABLED", "TRACE", "DEBUG", "INFO", "NOTICE", "ERROR"], BeforeValidator(_level)]


@dataclass(frozen=True)
class Problem:
    """Something wrong that fields tell together.

    Attributes:
        place: Where.
        what: In a line.
        hint: What is allowed, or what to do.
    """

    place: Place
    what: str
    hint: str


class Section(BaseModel):
    """A mapping of a configuration file: frozen, no key but those listed; a key without a value is as if not there."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: value for key, value in values.items() if value is not None or key not in known}


class Transport(Section):
    """TLS of the control plane, and of the engines' ports."""

    allow_insecure: bool = False
    """No certificates: anybody who reaches a port is taken at his word. For tests on one machine."""
    ca_cert: File = CERTIFICATES / "daosCA.crt"
    """The certificate of the CA that signed all others."""

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield each key that names a file, and the file; none where there is no TLS."""
        if not self.allow_insecure:
            yield from ((name, getattr(self, name)) for name in ("ca_cert", "cert", "key"))


class ServerTransport(Transport):
    """TLS of a server."""

    client_cert_dir: File = CERTIFICATES / "clients"
    """Where DAOS looks for the agents' certificates. A credential here brings its certificate along: not needed."""
    cert: File = CERTIFICATES / "server.crt"
    """The server's certificate."""
    key: File = CERTIFICATES / "server.key"
    """Its key, mode 0400."""


class AgentTransport(Transport):
    """TLS of an agent."""

    cert: File = CERTIFICATES / "agent.crt"
    """The agent's certificate; a SAN of it is the name of the host."""
    key: File = CERTIFICATES / "agent.key"
    """Its key, mode 0400."""


class AdminTransport(Transport):
    """TLS of `dmg`."""

    cert: File = CERTIFICATES / "admin.crt"
    """The administrator's certificate."""
    key: File = CERTIFICATES / "admin.key"
    """Its key, mode 0400, or 0440 for a group of administrators."""


def ignored(reason: str) -> JsonDict:
    """Mark a key that DAOS has and that means nothing here; the reason stands in the reference."""
    return {"ignored": reason}
