"""Every exception the package raises, by what a handler would do about it; `DER` says what happened.

::

    DaosError
    ├── InvalidError (ValueError)         the call is wrong: change it
    ├── NotFoundError (LookupError)       nothing there: create it, or take a default
    │   ├── KeyNotFoundError (KeyError)
    │   └── OutOfRangeError (IndexError)
    ├── ExistsError                       it is there already: open it instead
    ├── AccessError (PermissionError)     not allowed: ask for the right
    ├── NoSpaceError (OSError)            full: delete, or give it more
    ├── ClosedError (ValueError)          the handle is gone: open it again
    │   └── ForkedError                   ... because it belongs to the parent process
    ├── RetryableError                    nothing happened: try again
    │   ├── StaleError                    ... after refreshing what was cached
    │   ├── ConflictError                 ... the whole transaction
    │   └── BusyError                     ... when the holder lets go
    ├── TimedOutError (TimeoutError)      the deadline passed and nothing happened
    ├── UnavailableError                  a service or device does not answer: an operator must look
    ├── UncertainError                    it may or may not have happened: read before writing again
    ├── CorruptionError                   stored bytes fail their checksum: repair from a copy
    ├── DataLossError                     acknowledged data is gone: restore from elsewhere
    └── InternalError                     a defect of this software: report it

Codes carry DAOS's names and numbers. The table of codes lives in the Rust crate `types`; a test keeps `DER` equal to
it, and another walks it to see that each code has its class.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DER",
    "AccessError",
    "BusyError",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "DaosError",
    "DataLossError",
    "ExistsError",
    "ForkedError",
    "InternalError",
    "InvalidError",
    "KeyNotFoundError",
    "NoSpaceError",
    "NotFoundError",
    "OutOfRangeError",
    "RetryableError",
    "StaleError",
    "TimedOutError",
    "UnavailableError",
    "UncertainError",
    "error_from_der",
]


class DER(IntEnum):
    """What went wrong, by DAOS's name and number: `DER.NOSPACE == 1007`.

    `text` is one line for people; `str` prints a code as DAOS's tools do.

    Source: DAOS's public list of error codes (`daos_errno.h` in its API documentation).
    """

    text: str

    def __new__(cls, number: int, text: str = "") -> Self:
        """Make a member; the default of `text` lets mypy accept `DER(1007)`."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.text = text
        return member

    def __str__(self) -> str:
        return f"DER_{self.name}(-{self.value}): {self.text}"

    @classmethod
    def of(cls, number: int) -> DER:
        """Return the member of a number of either sign, `UNKNOWN` for one that is not in the table.

        The C interface and the tools' JSON negate the numbers.
        """
        try:
            return cls(abs(number))
        except ValueError:
            return cls.UNKNOWN

    NO_PERM = 1001, "Operation not permitted"
    NO_HDL = 1002, "Invalid handle"
    INVAL = 1003, "Invalid parameters"
    EXIST = 1004, "Entity already exists"
    NONEXIST = 1005, "The specified entity does not exist"
    UNREACH = 1006, "Unreachable node"
    NOSPACE = 1007, "No space left on storage target"
    ALREADY = 1008, "Operation already performed"
    NOMEM = 1009, "Out of memory"
    NOSYS = 1010, "Function not implemented"
    TIMEDOUT = 1011, "Time out"
    BUSY = 1012, "Device or resource busy"
    AGAIN = 1013, "Try again"
    PROTO = 1014, "Incompatible protocol"
    UNINIT = 1015, "Device or resource not initialized"
    TRUNC = 1016, "Buffer too short"
    OVERFLOW = 1017, "Data too long for defined data type or buffer size"
    CANCELED = 1018, "Operation canceled"
    OOG = 1019, "Out of group or member list"
    HG = 1020, "Transport layer mercury error"
    UNREG = 1021, "RPC or protocol version not registered"
    ADDRSTR_GEN = 1022, "Failed to generate an address string"
    PMIX = 1023, "PMIx layer error"
    IVCB_FORWARD = 1024, "Incast variable unavailable locally, must forward"
    MISC = 1025, "Miscellaneous error"
    BADPATH = 1026, "Bad path name"
    NOTDIR = 1027, "Not a directory"
    CORPC_INCOMPLETE = 1028, "Collective RPC failed"
    NO_RAS_RANK = 1029, "No rank is subscribed to RAS"
    NOTATTACH = 1030, "Service group is not attached"
    MISMATCH = 1031, "Version mismatch"
    EXCLUDED = 1032, "Rank has been excluded"
    NOREPLY = 1033, "User-provided RPC handler did not send reply"
    DOS = 1034, "Denial-of-service"
    BAD_TARGET = 1035, "Incorrect target for the RPC"
    GRPVER = 1036, "Group versioning mismatch"
    HLC_SYNC = 1037, "Hybrid logical clock synchronization error"
    NO_SHMEM = 1038, "Not enough shared memory free"
    ADD_METRIC_FAILED = 1039, "Failed to add metric"
    DURATION_MISMATCH = 1040, "Duration end/start mismatch"
    OP_NOT_PERMITTED = 1041, "Operation not permitted"
    EXCEEDS_PATH_LEN = 1042, "Path name exceeds permitted length"
    METRIC_NOT_FOUND = 1043, "Metric not found"
    SHMEM_PERMS = (
        1044,
        "Unable to access shared memory segment due to incompatible user or group permissions",
    )
    HG_FATAL = 1045, "Fatal transport layer mercury error"
    QUOTA_LIMIT = 1046, "Quota limit reached"
    IO = 2001, "I/O error"
    FREE_MEM = 2002, "Memory free error"
    ENOENT = 2003, "Entry not found"
    NOTYPE = 2004, "Unknown object type"
    NOSCHEMA = 2005, "Unknown object schema"
    NOLOCAL = 2006, "Object is not local"
    STALE = 2007, "Stale pool map version"
    NOTLEADER = 2008, "Not service leader"
    TGT_CREATE = 2009, "Target create error"
    EP_RO = 2010, "Epoch is read-only"
    EP_OLD = 2011, "Epoch is too old, all data have been recycled"
    KEY2BIG = 2012, "Key is too large"
    REC2BIG = 2013, "Record is too large"
    IO_INVAL = 2014, "I/O buffers do not match object extents"
    EQ_BUSY = 2015, "Event queue is busy"
    DOMAIN = 2016, "Domain of cluster component do not match"
    SHUTDOWN = 2017, "Service should shut down"
    INPROGRESS = 2018, "Operation now in progress"
    NOTAPPLICABLE = 2019, "Not applicable"
    NOTREPLICA = 2020, "Not a service replica"
    CSUM = 2021, "Checksum error"
    DF_INVAL = 2022, "Durable format error"
    DF_INCOMPT = 2023, "Incompatible durable format version"
    REC_SIZE = 2024, "Record size error"
    TX_RESTART = 2025, "Transaction should restart"
    DATA_LOSS = 2026, "Data lost or not recoverable"
    OP_CANCELED = 2027, "Operation canceled"
    TX_BUSY = 2028, "TX is not committed"
    AGENT_INCOMPAT = 2029, "Agent is incompatible with libdaos"
    NEED_TX = 2030, "To be handled via distributed transaction"
    RF = 2031, "Failures exceed RF"
    FETCH_AGAIN = 2032, "Fetch again"
    TX_UNCERTAIN = 2033, "TX status is uncertain"
    AGENT_COMM = 2034, "Agent communication error"
    ID_MISMATCH = 2035, "ID mismatch"
    TGT_RETRY = 2036, "Retry with other target"
    NOTSUPPORTED = 2037, "Operation not supported"
    CONTROL_INCOMPAT = 2038, "Control plane is incompatible with the engine"
    NO_SERVICE = 2039, "No service available"
    TX_ID_REUSED = 2040, "TX ID may be reused"
    UPDATE_AGAIN = 2041, "Update again"
    NVME_IO = 2042, "NVMe I/O error"
    NO_CERT = 2043, "Unable to access one or more certificates"
    BAD_CERT = 2044, "Invalid x509 certificate"
    VOS_PARTIAL_UPDATE = 2045, "Partial update of the same epoch is not allowed"
    CHKPT_BUSY = 2046, "Page is temporarily read only due to checkpointing"
    DIV_BY_ZERO = 2047, "Division by zero"
    OVERLOAD_RETRY = 2048, "Engine is overloaded, retry later"
    NOT_RESUME = 2049, "Cannot resume former instance"
    CONT_NONEXIST = 2050, "The specified container does not exist"
    CONT_DESTROYING = 2051, "The specified container is being destroyed"
    IGNORE = 2052, "The request can be ignored"
    UNKNOWN = 501_000, "Unknown error code"


class DaosError(Exception):
    """Something the system could not or would not do.

    Attributes:
        message: What failed, on what, in a line without its code.
        code: What happened, as a `DER`.
        hint: What the caller can do about it; None where there is nothing general to say.
        context: Facts to log: names, sizes, offsets. Read-only; values should be plain, so that the error pickles.
    """

    default_code: ClassVar[DER] = DER.MISC
    message: str
    code: DER
    hint: str | None
    context: Mapping[str, object]

    def __init__(
        self,
        message: str,
        *,
        code: DER | None = None,
        hint: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.hint = hint
        self.context = MappingProxyType(dict(context or {}))
        if isinstance(self, OSError):
            standard: OSError = self  # so named, mypy does not take `errno` for an attribute of every DaosError
            standard.errno = _ERRNO.get(self.code, errno.EIO)

    def __str__(self) -> str:
        # Our own, because KeyError quotes its message and OSError prints its errno.
        text = f"{self.message}: {self.code}"
        return f"{text}\nhint: {self.hint}" if self.hint else text

    def __repr__(self) -> str:
        parts = [repr(self.message), f"code=DER.{self.code.name}"]
        if self.hint is not None:
            parts.append(f"hint={self.hint!r}")
        if self.context:
            parts.append(f"context={dict(self.context)!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the class with `args` alone and lose the keywords.
        arguments = (type(self), self.message, self.code.value, self.hint, dict(self.context))
        notes = getattr(self, "__notes__", None)
        return (_rebuild, arguments, {"__notes__": list(notes)}) if notes else (_rebuild, arguments)


class InvalidError(DaosError, ValueError):
    """The call is wrong, or asks for what this system does not offer: change it."""

    default_code = DER.INVAL


class NotFoundError(DaosError, LookupError):
    """What was named is not there, or no longer."""

    default_code = DER.NONEXIST


class KeyNotFoundError(NotFoundError, KeyError):
    """A mapping has no such key."""

    default_code = DER.NONEXIST


class OutOfRangeError(NotFoundError, IndexError):
    """An array has no cell of this index."""

    default_code = DER.NONEXIST


class ExistsError(DaosError):
    """It is there already, and the call asked to make it."""

    default_code = DER.EXIST


class AccessError(DaosError, PermissionError):
    """The caller may not do this."""

    default_code = DER.NO_PERM


class NoSpaceError(DaosError, OSError):
    """No room for it, on the device, in memory, or in a quota: `errno` tells which. Deleting still works."""

    default_code = DER.NOSPACE


class ClosedError(DaosError, ValueError):
    """The handle was closed, or is not of this system any more: open it again."""

    default_code = DER.NO_HDL


class ForkedError(ClosedError):
    """The handle was inherited by a forked child, which must open its own; the parent's is unharmed.

    Of running systems only transactions and batches: all else goes on there.
    """


class RetryableError(DaosError):
    """Nothing happened, and the same call may succeed later."""

    default_code = DER.AGAIN


class StaleError(RetryableError):
    """Something the caller cached is out of date; it is refreshed by trying again."""

    default_code = DER.STALE


class ConflictError(RetryableError):
    """Another transaction was first: run the whole transaction again."""

    default_code = DER.TX_RESTART


class BusyError(RetryableError):
    """Somebody holds it, or the queue is full: try again when that has passed."""

    default_code = DER.BUSY


class TimedOutError(DaosError, TimeoutError):
    """The deadline passed before anything was done."""

    default_code = DER.TIMEDOUT


class UnavailableError(DaosError):
    """A service, a device or a partner of the right version is missing: somebody must look after it."""

    default_code = DER.NO_SERVICE


class UncertainError(DaosError):
    """The answer was lost: it may or may not have happened. Never taken for a failure."""

    default_code = DER.TX_UNCERTAIN


class CorruptionError(DaosError):
    """Stored bytes do not have their checksum, or break their format. What is wrong is never handed out."""

    default_code = DER.CSUM


class DataLossError(DaosError):
    """Data that was acknowledged cannot be had any more."""

    default_code = DER.DATA_LOSS


class InternalError(DaosError):
    """A defect of this software, such as a code that must not reach a caller."""

    default_code = DER.MISC


# What `errno` says in the classes that are also an `OSError`; DAOS's own mapping where it has one.
_ERRNO: Mapping[DER, int] = {
    DER.NO_PERM: errno.EPERM,
    DER.OP_NOT_PERMITTED: errno.EPERM,
    DER.EP_RO: errno.EPERM,
    DER.SHMEM_PERMS: errno.EACCES,
    DER.NO_CERT: errno.EACCES,
    DER.BAD_CERT: errno.EACCES,
    DER.NOSPACE: errno.ENOSPC,
    DER.NOMEM: errno.ENOMEM,
    DER.NO_SHMEM: errno.ENOMEM,
    DER.QUOTA_LIMIT: errno.EDQUOT,
    DER.TIMEDOUT: errno.ETIMEDOUT,
}

# Each code once; a test walks the table.
_CODES: Mapping[type[DaosError], tuple[DER, ...]] = {
    InvalidError: (
        DER.INVAL,
        DER.NOSYS,
        DER.TRUNC,
        DER.OVERFLOW,
        DER.BADPATH,
        DER.NOTDIR,
        DER.EXCEEDS_PATH_LEN,
        DER.NOTYPE,
        DER.NOSCHEMA,
        DER.KEY2BIG,
        DER.REC2BIG,
        DER.IO_INVAL,
        DER.DOMAIN,
        DER.NOTAPPLICABLE,
        DER.DF_INCOMPT,
        DER.REC_SIZE,
        DER.NOTSUPPORTED,
    ),
    NotFoundError: (
        DER.NONEXIST,
        DER.METRIC_NOT_FOUND,
        DER.ENOENT,
        DER.EP_OLD,
        DER.CONT_NONEXIST,
        DER.CONT_DESTROYING,
    ),
    ExistsError: (DER.EXIST, DER.ALREADY),
    AccessError: (
        DER.NO_PERM,
        DER.OP_NOT_PERMITTED,
        DER.SHMEM_PERMS,
        DER.EP_RO,
        DER.NO_CERT,
        DER.BAD_CERT,
    ),
    NoSpaceError: (DER.NOSPACE, DER.NOMEM, DER.NO_SHMEM, DER.QUOTA_LIMIT),
    ClosedError: (DER.NO_HDL, DER.UNINIT, DER.NOT_RESUME),
    RetryableError: (
        DER.AGAIN,
        DER.INPROGRESS,
        DER.NEED_TX,
        DER.FETCH_AGAIN,
        DER.UPDATE_AGAIN,
        DER.TGT_RETRY,
    ),
    StaleError: (
        DER.STALE,
        DER.BAD_TARGET,
        DER.GRPVER,
        DER.NOLOCAL,
        DER.NOTLEADER,
        DER.NOTREPLICA,
    ),
    ConflictError: (DER.TX_RESTART, DER.TX_BUSY, DER.VOS_PARTIAL_UPDATE),
    BusyError: (DER.BUSY, DER.DOS, DER.EQ_BUSY, DER.CHKPT_BUSY, DER.OVERLOAD_RETRY),
    TimedOutError: (DER.TIMEDOUT,),
    UnavailableError: (
        DER.UNREACH,
        DER.PROTO,
        DER.OOG,
        DER.HG,
        DER.UNREG,
        DER.PMIX,
        DER.CORPC_INCOMPLETE,
        DER.NO_RAS_RANK,
        DER.NOTATTACH,
        DER.MISMATCH,
        DER.EXCLUDED,
        DER.HLC_SYNC,
        DER.HG_FATAL,
        DER.IO,
        DER.TGT_CREATE,
        DER.SHUTDOWN,
        DER.AGENT_INCOMPAT,
        DER.RF,
        DER.AGENT_COMM,
        DER.ID_MISMATCH,
        DER.CONTROL_INCOMPAT,
        DER.NO_SERVICE,
        DER.NVME_IO,
    ),
    UncertainError: (
        DER.CANCELED,
        DER.OP_CANCELED,
        DER.NOREPLY,
        DER.TX_UNCERTAIN,
        DER.TX_ID_REUSED,
    ),
    CorruptionError: (DER.CSUM, DER.DF_INVAL),
    DataLossError: (DER.DATA_LOSS,),
    InternalError: (
        DER.ADDRSTR_GEN,
        DER.IVCB_FORWARD,
        DER.MISC,
        DER.ADD_METRIC_FAILED,
        DER.DURATION_MISMATCH,
        DER.FREE_MEM,
        DER.DIV_BY_ZERO,
        DER.IGNORE,
        DER.UNKNOWN,
    ),
}
_CLASS_OF: Mapping[int, type[DaosError]] = {
    code.value: exception for exception, codes in _CODES.items() for code in codes
}


def error_from_der(
    der_number: int,
    message: str,
    hint: str | None = None,
    context: Mapping[str, object] | None = None,
) -> DaosError:
    """Return, not raise, the exception of an error code.

    All arguments are positional, because this is what the native module calls.

    Args:
        der_number: A number of the table, of either sign; any other becomes `DER.UNKNOWN`.
        message: What failed, on what.
        hint: What the caller can do about it.
        context: Facts to log; of an unknown code the number is added as `der_number`.
    """
    code = DER.of(der_number)
    facts = dict(context or {})
    if code is DER.UNKNOWN and abs(der_number) != DER.UNKNOWN:
        facts["der_number"] = der_number
    return _CLASS_OF[code.value](message, code=code, hint=hint, context=facts)


def _raise_map() -> dict[int, type[DaosError]]:
    """Return a fresh dict from each code's number to its class, for the native module to keep.

    It is asked for once, at import: a class object by number without a call into Python. `KeyNotFoundError`,
    `OutOfRangeError` and `ForkedError` share their codes with their bases; the native module takes such by name.
    """
    return dict(_CLASS_OF)


def _rebuild(
    exception: type[DaosError],
    message: str,
    der_number: int,
    hint: str | None,
    context: Mapping[str, object],
) -> DaosError:
    """Return an unpickled exception, of exactly the class that was pickled."""
    return exception(message, code=DER.of(der_number), hint=hint, context=context)
