"""A whole system on this machine, for development, tests and demonstrations: servers, engines, agent, certificates.

It is made of the same daemons, configuration files and certificates as one on many hosts: `daos dev up` writes them to
a directory, where they can be looked at. `docs/guide/development.md` tells how it is used.
"""

from daos.dev.layout import Plan
from daos.dev.system import DevSystem

__all__ = ["DevSystem", "Plan"]
