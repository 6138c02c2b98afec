"""Dtypes and fill values of arrays: which there are, how they are stored, how data becomes cells. Pure, but for NumPy.

What an array's entry adds to the root key-value store, little-endian:

====== ====== =======================================================================
offset bytes  content
====== ====== =======================================================================
0      4      bytes of the dtype's description
4      n      the description, JSON: NumPy's text of a simple dtype, such as `"<f8"`;
              of a structured one a list of fields `[name, description, shape?]`,
              padding as fields without a name
4 + n  ..     the fill value, one cell
====== ====== =======================================================================
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from numpy.lib import format as npy

from daos.errors import DER, CorruptionError, InvalidError, NoSpaceError

if TYPE_CHECKING:
    from collections.abc import Sequence

Scalar: TypeAlias = "np.generic[object]"
Dtype: TypeAlias = "np.dtype[Scalar]"
DtypeLike: TypeAlias = "Dtype | str | type[object] | Sequence[tuple[object, ...]]"
"""What a caller may give as a dtype: what `numpy.dtype` takes."""
Cells: TypeAlias = "np.ndarray[tuple[int, ...], Dtype]"

CELL_SIZE_MAX = 1 << 20
"""Bytes of a cell."""
_LENGTH = struct.Struct("<I")
_NUMBERS = frozenset("biufc")
_INTEGERS = frozenset("iu")
_BYTES_KIND = frozenset("SV")


def check_dtype(given: object) -> Dtype:
    """Return a dtype that an array can have.

    Raises:
        InvalidError: `DER.INVAL`: no dtype; one of objects, of no bytes, of too many, or that is not NumPy's own.
    """
    try:
        dtype = cast("Dtype", np.dtype(given))  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise InvalidError(f"no dtype: {given!r}", hint='such as "f8", "<i4", numpy.float32') from error
    if dtype.hasobject:
        raise InvalidError(f"{dtype} holds Python objects", hint="cells have a fixed size; use bytes of a fixed length")
    if dtype.subdtype is not None:
        raise InvalidError(f"{dtype} is several elements", hint="an array has one dimension; use a structured dtype")
    if not 0 < dtype.itemsize <= CELL_SIZE_MAX:
        raise InvalidError(f"cells of {dtype.itemsize} bytes", hint=f"1 to {CELL_SIZE_MAX}", context={"dtype": dtype})
    try:
        kept = npy.descr_to_dtype(npy.dtype_to_descr(dtype)) == dtype
    except (TypeError, ValueError):
        kept = False
    if not kept:
        raise InvalidError(f"{dtype} cannot be stored by its description", hint="use a dtype of NumPy's own")
    return dtype


def check_fill(given: object, dtype: Dtype) -> bytes:
    """Return a fill value as the bytes of one cell; without one they are zero: 0, an empty text, the first time.

    Raises:
        InvalidError: `DER.INVAL`: it is no single value, or does not become the dtype.
    """
    if given is None:
        return bytes(dtype.itemsize)
    cell = as_cells(given, dtype, what="fill value")
    if cell.ndim:
        raise InvalidError("a fill value is one cell", hint="give a scalar")
    return cell.tobytes()


def same_cell(one: bytes, other: bytes, dtype: Dtype) -> bool:
    """Tell whether the bytes of two cells are the same value; what pads a structured one does not count."""
    cells = np.frombuffer(one + other, dtype)
    return one == other or bool(cells[0] == cells[1])


def encode(dtype: Dtype, fill: bytes) -> bytes:
    """Return what an array's entry adds."""
    description = json.dumps(npy.dtype_to_descr(dtype)).encode()
    return _LENGTH.pack(len(description)) + description + fill


def decode(extra: bytes, cell_size: int) -> tuple[Dtype, bytes]:
    """Return dtype and fill value of an array; of an entry that adds nothing, cells as bytes.

    Raises:
        CorruptionError: `DER.DF_INVAL`: it is no such addition, or is of cells of another size.
    """
    if not extra:
        return cast("Dtype", np.dtype(f"V{cell_size}")), bytes(cell_size)
    try:
        (length,) = _LENGTH.unpack_from(extra)
        behind = _LENGTH.size + length
        description = json.loads(extra[_LENGTH.size : behind].decode())
        dtype = check_dtype(npy.descr_to_dtype(_tuples(description)))  # type: ignore[arg-type]  # it looks
    except (struct.error, ValueError, TypeError, LookupError, RecursionError, SyntaxError) as error:
        raise CorruptionError(
            f"dtype of an array: {error}", code=DER.DF_INVAL, context={"stored": bytes(extra)}
        ) from None
    fill = extra[behind : behind + dtype.itemsize]
    if len(fill) == dtype.itemsize == cell_size:
        return dtype, fill
    raise CorruptionError(
        f"{len(fill)} bytes to fill cells of {cell_size} bytes with, of {dtype}",
        code=DER.DF_INVAL,
        context={"stored": bytes(extra)},
    )


def _tuples(description: object) -> object:
    """Return a description as NumPy has it, of one that came from JSON: fields are tuples."""
    if not isinstance(description, list):
        return description
    return [
        (tuple(name) if isinstance(name, list) else name, _tuples(inner), *(tuple(shape) for shape in shapes))
        for name, inner, *shapes in description
    ]


def as_cells(given: object, dtype: Dtype, *, what: str = "data") -> Cells:
    """Return data as cells: a scalar as an array of no dimension, else one dimension without gaps.

    Nothing is copied where the data already is of the dtype and without gaps. Casting goes by NumPy's rule `same_kind`;
    plain Python numbers, and lists of them, go by value: integers that fit.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    typed = isinstance(given, (np.ndarray, np.generic, memoryview))
    try:
        if isinstance(given, (bytes, bytearray)) and dtype.kind not in _BYTES_KIND:
            # Bytes are numbers of a byte each; NumPy would take `bytes` for one text.
            found, typed = np.frombuffer(given, np.uint8), True
        elif typed or dtype.kind in _NUMBERS:
            found = np.asarray(given)
        else:
            # Tuples become records, and text becomes times, only for who knows the dtype.
            found = np.asarray(given, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidError(f"{what} does not become {dtype}: {error}") from error
    if found.ndim > 1:
        raise InvalidError(f"{what} has {found.ndim} dimensions; an array has one", hint="flatten it: data.ravel()")
    cells = _cast(found, dtype, typed=typed, what=what)
    return cells if cells.ndim == 0 else np.ascontiguousarray(cells)


def _cast(found: Cells, dtype: Dtype, *, typed: bool, what: str) -> Cells:
    """Return data as a dtype, refused where that is not its like."""
    if not typed and found.dtype.kind in _INTEGERS and dtype.kind in _INTEGERS:
        cells = found.astype(dtype)
        if not np.array_equal(cells, found):
            raise InvalidError(f"{what} does not fit {dtype}", hint="use an array of a larger dtype")
        return cells
    if found.dtype != dtype and not found.size:
        return np.empty(found.shape, dtype)
    if not np.can_cast(found.dtype, dtype, "same_kind"):
        raise InvalidError(
            f"{what} of {found.dtype} does not become {dtype} of itself", hint=f"convert it: data.astype({dtype.str!r})"
        )
    return found.astype(dtype, copy=False)


def fresh(count: int, dtype: Dtype) -> Cells:
    """Return memory for so many cells, with whatever is in it.

    Raises:
        NoSpaceError: `DER.NOMEM`: there is not so much.
    """
    try:
        return np.empty(count, dtype)
    except (MemoryError, ValueError) as error:
        text = f"no memory for {count} cells of {dtype.itemsize} bytes"
        raise NoSpaceError(text, code=DER.NOMEM, hint="read less at a time") from error


def bytes_of(cells: Cells) -> memoryview:
    """Return the memory of cells of one dimension without gaps; not every dtype has a buffer by itself."""
    return cells.view(np.uint8).data


def memory(given: object) -> tuple[memoryview, int]:
    """Return the memory of an array, and the bytes of an element.

    Raises:
        InvalidError: `DER.INVAL`: it has gaps, or elements of no fixed size.
    """
    found = np.asarray(given)
    dtype = check_dtype(found.dtype)
    if not found.flags.c_contiguous:
        raise InvalidError("a value is one contiguous buffer", hint="copy it first: numpy.ascontiguousarray(x)")
    return bytes_of(found.reshape(-1)), dtype.itemsize


def writable(given: object, dtype: Dtype) -> memoryview:
    """Return the memory of a buffer to read cells into.

    Raises:
        InvalidError: `DER.INVAL`: it has gaps, cannot be written, or is of another dtype; `DER.IO_INVAL`: it does not
            hold whole cells.
    """
    try:
        found = given if isinstance(given, np.ndarray) else np.asarray(memoryview(given))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        hint = "give a NumPy array, or a bytearray"
        raise InvalidError(f"{type(given).__name__} is no buffer to read into", hint=hint) from None
    if not found.flags.c_contiguous or not found.flags.writeable:
        wrong = "has gaps" if found.flags.writeable else "cannot be written"
        raise InvalidError(f"the buffer {wrong}", hint="give a NumPy array of one piece, or a bytearray")
    if found.dtype not in {dtype, np.dtype(np.uint8)}:
        raise InvalidError(f"a buffer of {found.dtype} for cells of {dtype}", hint="give one of the array's dtype")
    if found.nbytes % dtype.itemsize:
        text = f"{found.nbytes} bytes are no whole number of cells of {dtype.itemsize} bytes"
        raise InvalidError(text, code=DER.IO_INVAL, hint="give room for whole cells")
    return bytes_of(found.reshape(-1))
