"""Attributes that users write, of pools and containers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daos.errors import InvalidError
from daos.model.attributes import check_attribute_name, check_attribute_value

ATTRIBUTES_MAX = 1024
"""Of a pool or container."""
BYTES_MAX = 1 << 20
"""Of all values of a pool or container: they are in each snapshot of the service."""


def set_attributes(table: dict[str, bytes], attributes: Mapping[str, bytes]) -> None:
    """Set attributes in a table, all or none.

    Raises:
        InvalidError: `DER.INVAL`: a bad name, an empty value, too many; `DER.REC2BIG`: a long value.
    """
    for name, value in attributes.items():
        check_attribute_name(name)
        if not check_attribute_value(value):
            raise InvalidError(f"the value of attribute {name!r} is empty", hint="delete the attribute instead")
    merged = {**table, **attributes}
    if len(merged) > ATTRIBUTES_MAX or sum(map(len, merged.values())) > BYTES_MAX:
        raise InvalidError(
            f"at most {ATTRIBUTES_MAX} attributes of together {BYTES_MAX} bytes", hint="delete some, or use a container"
        )
    table.update(attributes)


def delete_attributes(table: dict[str, bytes], names: Iterable[str]) -> int:
    """Delete attributes from a table; those that are not there are passed over. Return how many were there.

    Raises:
        InvalidError: `DER.INVAL`: a bad name.
    """
    checked = {check_attribute_name(name) for name in names}
    return sum(table.pop(name, None) is not None for name in checked)
