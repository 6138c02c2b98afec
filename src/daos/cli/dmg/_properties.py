"""Properties of pools, as `dmg` takes and shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.model.pool_properties import POOL_PROPERTIES
from daos.model.sizes import format_binary

if TYPE_CHECKING:
    from collections.abc import Mapping

TITLES = {name: prop.title for name, prop in POOL_PROPERTIES.items()} | {
    "label": "Pool label",
    "svc_list": "Pool service replica list",
    "global_version": "Global Version",
    "upgrade_status": "Upgrade Status",
}
"""Of all that are shown: DAOS shows no obj_version."""
_SIZES = ("ec_cell_sz", "data_thresh")


def values(pairs: Mapping[str, str]) -> dict[str, pb.PropertyValue]:
    """Return properties of a command line as they are sent; the server reads their words."""
    return {name: pb.PropertyValue(text=text) for name, text in pairs.items()}


def plain(value: pb.PropertyValue) -> str | int | list[int]:
    """Return a value as JSON has it."""
    kind = value.WhichOneof("value")
    if kind == "numbers":
        return list(value.numbers.values)
    return value.number if kind == "number" else value.text


def shown(name: str, value: str | int | list[int]) -> str:
    """Return a value as people read it."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, int) and name in _SIZES:
        return format_binary(value)
    return f"{value}%" if name == "space_rb" else str(value)
