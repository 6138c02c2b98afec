"""Container properties: names, values, defaults, and their stored form.

The store keeps them as bytes that it does not read, and is told beside them how to sum what is written. What this
release does not carry out is refused here, so that no container promises what it does not do.

Source: DAOS's public administration and user guides, on container properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from daos.errors import DER, CorruptionError, InvalidError
from daos.model.sizes import parse_size

FORMAT_VERSION = 2
"""Of the first version the store made no checksums, whatever `cksum` says."""


@dataclass(frozen=True)
class Property:
    """A property that can be set when a container is created.

    Attributes:
        name: As tools and programs write it.
        title: As tools print it.
        default: Its value where none is given.
        choices: The words it may have; empty for a number.
        synonyms: Other words, each with the choice that it means.
        unsupported: Words DAOS knows and this release does not carry out.
        size: Whether it is a number of bytes, which may be written with a unit.
        low: The smallest number.
        high: The largest number.
        len_max: Characters of a text that is not one of some words; 0 for a word.
    """

    name: str
    title: str
    default: str | int
    choices: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, str], ...] = ()
    unsupported: tuple[str, ...] = ()
    size: bool = False
    low: int = 0
    high: int = 0
    len_max: int = 0

    def check(self, value: object) -> str | int:
        """Return the value as it is stored.

        Raises:
            InvalidError: `DER.INVAL`, or `DER.NOTSUPPORTED` for a value that is known and not carried out.
        """
        if self.len_max:
            return self._check_text(value)
        return self._check_number(value) if isinstance(self.default, int) else self._check_word(value)

    def _check_text(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > self.len_max:
            raise InvalidError(f"invalid value of {self.name}", hint=f"a str of at most {self.len_max} characters")
        return value

    def _check_word(self, value: object) -> str:
        words = ", ".join(self.choices)
        if isinstance(value, bool) and "true" in self.choices:
            return "true" if value else "false"
        if not isinstance(value, str):
            raise InvalidError(f"{self.name} is a str, not {type(value).__name__}", hint=f"one of: {words}")
        word = dict(self.synonyms).get(value.lower(), value.lower())
        if word in self.unsupported:
            raise InvalidError(
                f'"{word}" is not supported for {self.name} by this release',
                code=DER.NOTSUPPORTED,
                hint=f"one of: {words}",
            )
        if word not in self.choices:
            raise InvalidError(f'invalid choice "{value}" for {self.name}', hint=f"one of: {words}")
        return word

    def _check_number(self, value: object) -> int:
        what = f"value of {self.name}"
        if self.size:
            number = parse_size(value, what)
        elif isinstance(value, str) and value.isascii() and value.isdecimal():
            number = int(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            raise InvalidError(f"invalid {what} {value!r}", hint=f"a whole number from {self.low} to {self.high}")
        if not self.low <= number <= self.high:
            raise InvalidError(f"{what} {number} is out of range", hint=f"from {self.low} to {self.high}")
        return number


CHECKSUMS = {"off": 0, "crc16": 1, "crc32": 2, "crc64": 3, "sha1": 4, "sha256": 5, "sha512": 6, "adler32": 7}
"""The words of `cksum`, with DAOS's numbers."""

CONTAINER_PROPERTIES = {
    prop.name: prop
    for prop in (
        Property(
            "cksum",
            "Checksum",
            "crc32",
            tuple(CHECKSUMS),
            (("crc32c", "crc32"),),
        ),
        Property("cksum_size", "Checksum Chunk Size", 32 << 10, size=True, low=1, high=1 << 30),
        Property("srv_cksum", "Server Checksumming", "off", ("off", "on")),
        Property(
            "compression",
            "Compression",
            "off",
            ("off",),
            (),
            ("lz4", "deflate", "deflate1", "deflate2", "deflate3", "deflate4"),
        ),
        Property("dedup", "Deduplication", "off", ("off",), (), ("memcmp", "hash")),
        Property("dedup_threshold", "Dedup Threshold", 4 << 10, size=True, low=1, high=1 << 30),
        Property(
            "encryption",
            "Encryption",
            "off",
            ("off",),
            (),
            tuple(f"aes-{mode}" for mode in ("xts128", "xts256", "cbc128", "cbc192", "cbc256", "gcm128", "gcm256")),
        ),
        Property("scrub_disabled", "Scrubbing Disabled", "false", ("false", "true")),
        Property("rd_fac", "Redundancy Factor", 0, low=0, high=4),
        Property("rd_lvl", "Redundancy Level", "node", ("rank", "node")),
        Property("ec_cell_sz", "EC Cell Size", 128 << 10, size=True, low=4 << 10, high=1 << 20),
    )
}
POSIX_PROPERTIES = {
    prop.name: prop
    for prop in (
        Property("root_oids", "Root Objects", "", len_max=128),
        Property("dfs", "File System", "", len_max=1024),
    )
}
"""What only containers of the layout `POSIX` have, which gives it to them: users cannot."""
ALIASES = {"rf": "rd_fac", "rf_lvl": "rd_lvl"}


class ContainerProperties(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All properties of a container; those that were not given have their defaults.

    Attributes:
        version: Of this stored form.
        layout: Who owns the objects in it: `PYTHON` for names in the root key-value store, `POSIX` for a file system.
        values: Every property by its name.
    """

    version: int = FORMAT_VERSION
    layout: str = "PYTHON"
    values: dict[str, str | int]

    def encode(self) -> bytes:
        """Return the stored form."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, stored: bytes) -> ContainerProperties:
        """Return the properties of a stored form.

        Raises:
            CorruptionError: `DER.DF_INVAL`: these bytes are none.
            InvalidError: `DER.DF_INCOMPT`: written by a newer release.
        """
        try:
            properties = _PROPERTIES.decode(stored)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            try:
                version = _ANY.decode(stored).version
            except (msgspec.DecodeError, UnicodeDecodeError):
                version = 0
            if version <= FORMAT_VERSION:
                raise CorruptionError(f"container properties: {error}", code=DER.DF_INVAL) from None
            raise _newer(version) from None
        if properties.version > FORMAT_VERSION:
            raise _newer(properties.version)
        # Of containers that were made before there was a scrubber.
        values = {"scrub_disabled": "false", **properties.values}
        if properties.version == 1:
            values["cksum"] = "off"
        return msgspec.structs.replace(properties, version=FORMAT_VERSION, values=values)

    @property
    def checksums(self) -> tuple[int, int, bool]:
        """Number of the algorithm, bytes that one sum of an array stands for, whether the server compares."""
        kind, size = self.values["cksum"], self.values["cksum_size"]
        return CHECKSUMS[str(kind)], int(size), self.values["srv_cksum"] == "on"

    @property
    def scrub_disabled(self) -> bool:
        """Whether the scrubber passes it over."""
        return self.values["scrub_disabled"] == "true"


class _AnyVersion(msgspec.Struct):
    """What every version of the stored form holds."""

    version: int


def _newer(version: int) -> InvalidError:
    return InvalidError(
        f"container properties of version {version} are newer than this release",
        code=DER.DF_INCOMPT,
        hint="use the release that wrote them, or a later one",
    )


def container_properties(
    given: Mapping[str, object] | None, *, domains: int = 1, internal: bool = False
) -> ContainerProperties:
    """Return the properties of a container to be created.

    Args:
        given: Property names, or their aliases `rf` and `rf_lvl`, with words or numbers.
        domains: Fault domains of the pool; the redundancy factor must be smaller.
        internal: Take what a layout gives to a container, too.

    Raises:
        InvalidError: `DER.INVAL` for an unknown name, a value out of range, a property given twice;
            `DER.NOTSUPPORTED` for what DAOS knows and this release does not carry out.
    """
    if given is not None and not isinstance(given, Mapping):
        raise InvalidError(f"properties are a mapping, not {type(given).__name__}", hint='such as {"cksum": "crc64"}')
    valid = f"valid: {', '.join(sorted(CONTAINER_PROPERTIES))}"
    values = {name: prop.default for name, prop in CONTAINER_PROPERTIES.items()}
    seen: set[str] = set()
    for key, value in (given or {}).items():
        name = ALIASES.get(key, key)
        if name == "label":
            raise InvalidError("the label is not given as a property", hint="it is the container's first argument")
        prop = CONTAINER_PROPERTIES.get(name) or (POSIX_PROPERTIES.get(name) if internal else None)
        if prop is None:
            raise InvalidError(f'"{key}" is not a settable property', hint=valid)
        if name in seen:
            raise InvalidError(f'property "{name}" is given twice', hint="drop the alias")
        seen.add(name)
        values[name] = prop.check(value)
    factor = values["rd_fac"]
    if isinstance(factor, int) and factor >= domains:
        raise InvalidError(
            f"rd_fac {factor} needs {factor + 1} fault domains, the pool has {domains}",
            hint="an embedded system is one rank: redundancy needs several",
        )
    return ContainerProperties(values=values)


# Made here: threads that read them for the first time at once must not make them (`daos._packed`).
_PROPERTIES = msgspec.msgpack.Decoder(ContainerProperties)
_ANY = msgspec.msgpack.Decoder(_AnyVersion)
