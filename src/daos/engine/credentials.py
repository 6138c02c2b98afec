"""Whom an engine believes: credentials that an agent of the system has signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daos.errors import AccessError
from daos.model.acl import Credential

if TYPE_CHECKING:
    from daos.engine.clients import Verifier
    from daos.local import EngineOptions
    from daos.rsvc import Clock


class Unsigned:
    """Believes what is said: for systems without certificates, on one machine."""

    def verify(self, credential: bytes, *, pool: str) -> Credential:  # noqa: ARG002 -- it binds to nothing
        """Return who asks, as he says."""
        try:
            return msgspec.msgpack.decode(credential, type=Credential)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise AccessError("this is no credential", hint="the agent of the client's host gives one") from None


def verifier_of(options: EngineOptions, clock: Clock) -> Verifier:
    """Return the verifier of an engine."""
    del clock
    if not options.insecure:
        raise AccessError("no certificates", hint="give transport_config certificates, or allow_insecure")
    return Unsigned()
