"""Access lists of pools and containers: their entries, and what they let whom do.

An entry is written `TYPE:FLAGS:PRINCIPAL:PERMISSIONS`, such as `A::alice@:rw` or `A:G:readers@:r`. Of the entries that
are for a caller the first class that there is decides, and no other: the owner (`OWNER@`); a named user; all groups
that the caller is in, together (`GROUP@` and named ones); everyone (`EVERYONE@`). So an entry without permissions
denies a user what his groups may do.

Source: DAOS's public user and administration guides, on access control lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Protocol

from daos.errors import AccessError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PRINCIPAL_LEN_MAX = 255
ACL_BYTES_MAX = 64 << 10
"""Of the size that DAOS gives an access list."""


class Permission(IntFlag):
    """What an entry allows; the letters are in the order in which they are printed."""

    r = 1
    w = 2
    c = 4
    d = 8
    t = 16
    T = 32
    a = 64
    A = 128
    o = 256


_NONE = Permission(0)
_LETTERS = "rwcdtTaAo"


class PrincipalType(IntEnum):
    """Whom an entry is for, in the order in which the classes are asked. Numbers are DAOS's."""

    OWNER = 0
    USER = 1
    OWNER_GROUP = 2
    GROUP = 3
    EVERYONE = 4


_SPECIAL = {
    "OWNER@": PrincipalType.OWNER,
    "GROUP@": PrincipalType.OWNER_GROUP,
    "EVERYONE@": PrincipalType.EVERYONE,
}
_NAMES = {kind: name for name, kind in _SPECIAL.items()}
_GROUPS = (PrincipalType.OWNER_GROUP, PrincipalType.GROUP)


@dataclass(frozen=True)
class Principal:
    """Whom an entry is for.

    Attributes:
        kind: Which class.
        name: `user@` or `group@`; empty for a special one.
    """

    kind: PrincipalType
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Principal:
        """Return what `u:alice@`, `g:readers@`, `OWNER@`, `GROUP@` or `EVERYONE@` writes.

        Raises:
            InvalidError: `DER.INVAL`.
        """
        if text in _SPECIAL:
            return cls(_SPECIAL[text])
        kind = {"u": PrincipalType.USER, "g": PrincipalType.GROUP}.get(text[:1])
        if kind is None or text[1:2] != ":":
            raise InvalidError(
                f'invalid principal "{text}"', hint="u:NAME@, g:NAME@, or one of OWNER@, GROUP@, EVERYONE@"
            )
        return cls(kind, check_principal(text[2:]))

    def __str__(self) -> str:
        return self.name or _NAMES[self.kind]


@dataclass(frozen=True)
class Ace:
    """An entry.

    Attributes:
        principal: Whom it is for.
        permissions: What it allows.
    """

    principal: Principal
    permissions: Permission

    @classmethod
    def parse(cls, line: str) -> Ace:
        """Return the entry of a line.

        Raises:
            InvalidError: `DER.INVAL`; the hint tells the form.
        """
        hint = f"A::user@:PERMISSIONS or A:G:group@:PERMISSIONS, permissions some of {_LETTERS}"
        parts = line.split(":")
        if len(parts) != 4 or parts[0] != "A" or parts[1] not in ("", "G"):  # noqa: PLR2004 -- the form has four parts
            raise InvalidError(f'invalid ACL entry "{line}"', hint=hint)
        _, flags, name, letters = parts
        kind = _SPECIAL.get(name, PrincipalType.GROUP if flags else PrincipalType.USER)
        if (kind in _GROUPS) != bool(flags):
            raise InvalidError(
                f'invalid ACL entry "{line}"', hint="groups, GROUP@ too, have the flag G, others have none"
            )
        if set(letters) - set(_LETTERS):
            raise InvalidError(f'invalid permissions "{letters}" in ACL entry "{line}"', hint=hint)
        if name not in _SPECIAL and not name.endswith("@"):
            raise InvalidError(f'invalid principal "{name}" in ACL entry "{line}"', hint="a name ends in @")
        permissions = _NONE
        for letter in letters:
            permissions |= Permission[letter]
        return cls(Principal(kind, "" if name in _SPECIAL else check_principal(name)), permissions)

    def __str__(self) -> str:
        flags = "G" if self.principal.kind in _GROUPS else ""
        letters = "".join(letter for letter in _LETTERS if Permission[letter] in self.permissions)
        return f"A:{flags}:{self.principal}:{letters}"

    @property
    def size(self) -> int:
        """Bytes by which the limit of a list is counted."""
        name = self.principal.name
        return 256 + (-(-(len(name.encode()) + 1) // 64) * 64 if name else 0)


@dataclass(frozen=True)
class Credential:
    """Who asks.

    Attributes:
        user: `user@`.
        group: The user's own group, `group@`.
        groups: Further groups.
        machine: Where from.
    """

    user: str
    group: str
    groups: tuple[str, ...] = ()
    machine: str = ""


@dataclass(frozen=True)
class Acl:
    """An access list, in order of classes; without an entry nobody may do anything.

    Attributes:
        entries: One for each principal at most.
    """

    entries: tuple[Ace, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[Ace]) -> Acl:
        """Return the list of some entries.

        Raises:
            InvalidError: `DER.INVAL`: two are for the same principal, or they are too many.
        """
        ordered = tuple(sorted(entries, key=lambda entry: entry.principal.kind))
        seen: set[Principal] = set()
        for entry in ordered:
            if entry.principal in seen:
                raise InvalidError(f"two ACL entries for {entry.principal}", hint="give one with all permissions")
            seen.add(entry.principal)
        size = sum(entry.size for entry in ordered)
        if size > ACL_BYTES_MAX:
            raise InvalidError(
                f"an ACL of {len(ordered)} entries takes {size} bytes, the most is {ACL_BYTES_MAX}",
                hint="use groups instead of users",
            )
        return cls(ordered)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Acl:
        """Return the list of some lines: an entry each; blank ones and those that begin with `#` are passed over.

        Raises:
            InvalidError: `DER.INVAL`.
        """
        stripped = (line.strip() for line in lines)
        return cls.of(Ace.parse(line) for line in stripped if line and not line.startswith("#"))

    def lines(self) -> tuple[str, ...]:
        """Return the entries as lines."""
        return tuple(map(str, self.entries))

    def find(self, principal: Principal) -> Ace | None:
        """Return the entry for a principal."""
        return next((entry for entry in self.entries if entry.principal == principal), None)

    def merged(self, other: Acl) -> Acl:
        """Return this list with the entries of another in the place of those for the same principals."""
        ours = {entry.principal: entry for entry in self.entries}
        return Acl.of((ours | {entry.principal: entry for entry in other.entries}).values())

    def without(self, principal: Principal) -> Acl:
        """Return this list without the entry for a principal.

        Raises:
            NotFoundError: `DER.NONEXIST`.
        """
        if self.find(principal) is None:
            raise NotFoundError(f"the ACL has no entry for {principal}")
        return Acl(tuple(entry for entry in self.entries if entry.principal != principal))

    def permissions(self, credential: Credential, *, owner: str, group: str) -> Permission:
        """Return what a caller is allowed.

        Args:
            credential: The caller's.
            owner: Whom `OWNER@` stands for, `user@`.
            group: Whom `GROUP@` stands for, `group@`.
        """
        owners = self.find(Principal(PrincipalType.OWNER))
        if owners is not None and credential.user == owner:
            return owners.permissions
        named = self.find(Principal(PrincipalType.USER, credential.user))
        if named is not None:
            return named.permissions
        groups = {credential.group, *credential.groups}
        matching = [
            entry
            for entry in self.entries
            if (entry.principal.kind is PrincipalType.OWNER_GROUP and group in groups)
            or (entry.principal.kind is PrincipalType.GROUP and entry.principal.name in groups)
        ]
        if matching:
            together = _NONE
            for entry in matching:
                together |= entry.permissions
            return together
        everyone = self.find(Principal(PrincipalType.EVERYONE))
        return _NONE if everyone is None else everyone.permissions


class AccessListLike(Protocol):
    """An access list as it is told: `daos.AccessList`, or what the management API has of it."""

    @property
    def entries(self) -> Sequence[str]:
        """An entry each."""

    @property
    def owner(self) -> str:
        """Whom `OWNER@` stands for, `user@`."""

    @property
    def group(self) -> str:
        """Whom `GROUP@` stands for, `group@`."""


def check_principal(name: object) -> str:
    """Return the name of a user or group with its `@`, which is added to a name that has none.

    Raises:
        InvalidError: `DER.INVAL`; the hint tells the rule.
    """
    rule = f"1 to {PRINCIPAL_LEN_MAX - 1} printable characters but : and @, and at the end an @"
    if not isinstance(name, str):
        raise InvalidError(f"a principal is a str, not {type(name).__name__}", hint=rule)
    whole = name if "@" in name else f"{name}@"
    local, domain = whole.split("@", 1)
    if not local or domain or ":" in local or not local.isprintable() or len(whole) > PRINCIPAL_LEN_MAX:
        raise InvalidError(f'invalid principal "{name[:40]}"', hint=rule)
    if whole in _SPECIAL:
        raise InvalidError(f"{whole} names nobody in particular", hint="give a user or a group")
    return whole


DEFAULT_POOL_ACL = Acl.parse(("A::OWNER@:rw", "A:G:GROUP@:rw"))
DEFAULT_CONTAINER_ACL = Acl.parse(("A::OWNER@:rwdtTaAo", "A:G:GROUP@:rwtT"))

_POOL_READ = Permission.r | Permission.t
_POOL_WRITE = Permission.w | Permission.c | Permission.d
_CONTAINER_READ = Permission.r | Permission.t | Permission.a
_CONTAINER_WRITE = Permission.w | Permission.d | Permission.T | Permission.A | Permission.o
_OWNER_ALWAYS = Permission.a | Permission.A


class Access(IntEnum):
    """How a handle is asked for."""

    READ_ONLY = 1
    READ_WRITE = 2
    EXCLUSIVE = 4


def pool_capabilities(permissions: Permission, access: Access) -> Permission:
    """Return what a handle of a pool allows: `r`, and if it is not read-only, `w`, `c`, `d`.

    In a pool's list `t` means `r`, and `w` means that containers may be made; containers of others go by `d` alone.

    Raises:
        AccessError: `DER.NO_PERM`: it takes a permission to read, and to write one to write as well.
    """
    _check(permissions, access, _POOL_READ, _POOL_WRITE, "pool")
    if access is Access.READ_ONLY:
        return Permission.r
    creates = Permission.c if permissions & (Permission.w | Permission.c) else _NONE
    return Permission.r | Permission.w | creates | (permissions & Permission.d)


def container_capabilities(permissions: Permission, access: Access, *, owner: bool) -> Permission:
    """Return what a handle of a container allows.

    Args:
        permissions: By its access list.
        access: How it is asked for.
        owner: Whether the caller owns it: he may always read and set the access list.

    Raises:
        AccessError: `DER.NO_PERM`: it takes a permission to read, to write one to write as well, and to have it for
            oneself to own it.
    """
    allowed = permissions | (_OWNER_ALWAYS if owner else _NONE)
    if access is Access.EXCLUSIVE and not owner:
        raise AccessError("only its owner may open a container exclusively")
    _check(allowed, access, _CONTAINER_READ, _CONTAINER_WRITE, "container")
    return allowed & (_CONTAINER_READ if access is Access.READ_ONLY else _CONTAINER_READ | _CONTAINER_WRITE)


def _check(allowed: Permission, access: Access, read: Permission, write: Permission, what: str) -> None:
    if not allowed & read:
        raise AccessError(f"no permission to read the {what}", hint="its ACL does not give you one")
    if access is not Access.READ_ONLY and not allowed & write:
        raise AccessError(f"no permission to write to the {what}", hint="open it for reading only")
