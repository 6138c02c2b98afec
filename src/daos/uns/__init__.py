"""The unified namespace: paths of any file system that stand for containers.

An empty directory with an extended attribute names a container; whatever takes pool and container takes that path, or
one below it. `create` makes both, `link` gives a container another path, `resolve` tells what a path stands for,
`unlink` removes a path, and `destroy` both.
"""

from __future__ import annotations

from daos.uns._make import create, destroy, link, unlink
from daos.uns._resolve import Resolved, find, resolve

__all__ = ["Resolved", "create", "destroy", "find", "link", "resolve", "unlink"]
