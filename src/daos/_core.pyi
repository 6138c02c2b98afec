"""The native half of the package: conversions only, over the Rust crates. Not public; `daos` is."""

__all__ = ["build_info", "crc32c", "der_table"]

def build_info() -> list[tuple[str, str]]:
    """Return facts of this build as pairs: `version`, `target` and `debug` (`true` or `false`)."""

def crc32c(data: bytes, crc: int = 0) -> int:
    """Return the CRC-32C of bytes, continued from `crc`; the GIL is released."""

def der_table() -> list[tuple[int, str, str]]:
    """Return every error code as (number, name, text), in the order of the numbers."""
