"""Requests that change properties and attributes of the system."""

from __future__ import annotations

from daos.control.replicated import Command
from daos.control.system.state import SELF_HEAL, SystemState
from daos.errors import AccessError, InvalidError, NotFoundError
from daos.model.attributes import check_attribute_name, check_attribute_value
from daos.model.scrub import MODES

ATTRIBUTES_MAX = 1024
"""Attributes of a system: a snapshot of its state stays small."""
DEFAULTS = {"pool_scrub_mode": "off", "pool_scrub_thresh": "0", "self_heal": ";".join(SELF_HEAL)}
COMPUTED = ("daos_system", "daos_version")


class SetAttributes(Command[SystemState], frozen=True, kw_only=True, tag="set_attributes"):
    """Set attributes of the system.

    Attributes:
        attributes: Name to text.
    """

    attributes: dict[str, str]

    def run(self, state: SystemState) -> None:
        """Set all of them."""
        for name, text in self.attributes.items():
            check_attribute_name(name)
            check_attribute_value(text.encode())
        if len({**state.attributes, **self.attributes}) > ATTRIBUTES_MAX:
            raise InvalidError(f"a system has at most {ATTRIBUTES_MAX} attributes")
        state.attributes.update(self.attributes)


class DeleteAttributes(Command[SystemState], frozen=True, kw_only=True, tag="delete_attributes"):
    """Delete attributes of the system.

    Attributes:
        names: Which; all must be there.
    """

    names: tuple[str, ...]

    def run(self, state: SystemState) -> None:
        """Delete all of them."""
        for name in self.names:
            if name not in state.attributes:
                raise NotFoundError(f'unable to find system attribute with key "{name}"')
        for name in dict.fromkeys(self.names):
            del state.attributes[name]


class SetProperties(Command[SystemState], frozen=True, kw_only=True, tag="set_properties"):
    """Set properties of the system.

    Attributes:
        properties: Name to word.
    """

    properties: dict[str, str]

    def run(self, state: SystemState) -> None:
        """Set all of them."""
        checked = {name: _checked(name, word) for name, word in self.properties.items()}
        state.properties.update(checked)


def _checked(name: str, word: str) -> str:
    if name in COMPUTED:
        raise AccessError(f"system property {name} cannot be set: the system computes it")
    if name not in DEFAULTS:
        raise InvalidError(f"invalid system property key: {name}", hint=f"settable are: {', '.join(DEFAULTS)}")
    if name == "pool_scrub_thresh":
        valid, normal = "a whole number from 0", word if word.isascii() and word.isdecimal() else None
    elif name == "pool_scrub_mode":
        valid, normal = ", ".join(MODES), word if word in MODES else None
    else:
        valid = f"none, or some of {';'.join(SELF_HEAL)}"
        words = word.split(";")
        known = words == ["none"] or (set(words) <= set(SELF_HEAL) and len(set(words)) == len(words))
        normal = (word if word == "none" else ";".join(flag for flag in SELF_HEAL if flag in words)) if known else None
    if normal is None:
        raise InvalidError(f'invalid system property value for {name}: invalid value "{word}"', hint=f"valid: {valid}")
    return normal
