"""Access lists: entries, and who may do what by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import DER, AccessError, DaosError, InvalidError, NotFoundError
from daos.model.acl import (
    DEFAULT_CONTAINER_ACL,
    DEFAULT_POOL_ACL,
    Access,
    Ace,
    Acl,
    Credential,
    Permission,
    Principal,
    check_principal,
    container_capabilities,
    pool_capabilities,
)

NOTHING = Permission(0)


def letters(permissions: Permission) -> str:
    return "".join(letter for letter in "rwcdtTaAo" if Permission[letter] in permissions)


def rights(text: str) -> Permission:
    together = NOTHING
    for letter in text:
        together |= Permission[letter]
    return together


OWNER, MEMBER, OTHER = (
    Credential("alice@", "staff@", ("readers@",)),
    Credential("bob@", "bobs@", ("staff@", "readers@", "writers@")),
    Credential("carol@", "carols@"),
)


@pytest.mark.parametrize(
    ("acl", "owner", "member", "other"),
    [
        ("", "", "", ""),
        ("A::OWNER@:rw", "rw", "", ""),
        ("A::OWNER@:r A::alice@:rwd", "r", "", ""),
        ("A::OWNER@: A:G:GROUP@:rw A::EVERYONE@:r", "", "rw", "r"),
        ("A::alice@:w A:G:GROUP@:rwd", "w", "rwd", ""),
        ("A::bob@: A:G:GROUP@:rw A::EVERYONE@:rw", "rw", "", "rw"),
        ("A::bob@:r A:G:GROUP@:rwd", "rwd", "r", ""),
        ("A:G:GROUP@:r A:G:readers@:t A:G:writers@:w", "rt", "rwt", ""),
        ("A:G:GROUP@: A::EVERYONE@:rw", "", "", "rw"),
        ("A:G:GROUP@: A:G:readers@:r A::EVERYONE@:rw", "r", "r", "rw"),
        ("A:G:carols@:a A::EVERYONE@:rw", "rw", "rw", "a"),
        ("A::EVERYONE@:rwcdtTaAo", "rwcdtTaAo", "rwcdtTaAo", "rwcdtTaAo"),
    ],
)
def test_the_first_class_that_is_there_decides(acl: str, owner: str, member: str, other: str) -> None:
    parsed = Acl.parse(acl.split())
    for credential, expected in ((OWNER, owner), (MEMBER, member), (OTHER, other)):
        assert letters(parsed.permissions(credential, owner="alice@", group="staff@")) == expected


@pytest.mark.parametrize(
    "line", ["A::OWNER@:rwcdtTaAo", "A:G:GROUP@:rt", "A::EVERYONE@:", "A::bob@:r", "A:G:dev team@:T"]
)
def test_entries_come_back_as_they_were(line: str) -> None:
    assert str(Ace.parse(line)) == line


def test_letters_are_put_in_order() -> None:
    assert str(Ace.parse("A::bob@:odTwr")) == "A::bob@:rwdTo"


@pytest.mark.parametrize(
    "line",
    [
        *("", "A", "A::bob@", "A::bob@:r:", "D::bob@:r", "a::bob@:r", "A:F:bob@:r", "A:GG:bob@:r", "A::bob@:x"),
        *("A::bob:r", "A::@:r", "A::bob@host:r", "A::b@b@:r", "A:G:OWNER@:r", "A::GROUP@:r", "A:G:EVERYONE@:r"),
        *("A::bo\nb@:r", f"A::{'b' * 255}@:r", "A::bob@:R", " A::bob@:r"),
    ],
)
def test_bad_entries(line: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Ace.parse(line)
    assert caught.value.code is DER.INVAL
    assert caught.value.hint


def test_lists() -> None:
    acl = Acl.parse(["# a comment", "", "A::EVERYONE@:r ", "A:G:GROUP@:r", "A:G:x@:r", "A::bob@:r", "A::OWNER@:r"])
    assert acl.lines() == ("A::OWNER@:r", "A::bob@:r", "A:G:GROUP@:r", "A:G:x@:r", "A::EVERYONE@:r")
    merged = acl.merged(Acl.parse(["A::bob@:", "A::carol@:w"]))
    assert merged.lines() == (
        *("A::OWNER@:r", "A::bob@:", "A::carol@:w", "A:G:GROUP@:r", "A:G:x@:r", "A::EVERYONE@:r"),
    )
    assert merged.without(Principal.parse("u:bob@")).find(Principal.parse("u:bob@")) is None
    assert merged.without(Principal.parse("EVERYONE@")).lines() == merged.lines()[:-1]
    with pytest.raises(NotFoundError, match="no entry for nobody@"):
        acl.without(Principal.parse("g:nobody@"))
    with pytest.raises(InvalidError, match="two ACL entries for bob@"):
        Acl.parse(["A::bob@:r", "A::bob@:w"])
    assert Acl.parse(["A::bob@:r", "A:G:bob@:w"]).lines() == ("A::bob@:r", "A:G:bob@:w"), "a user and a group"


def test_lists_have_a_size() -> None:
    short = [f"A::u{number}@:r" for number in range(204)]
    Acl.parse(short)
    with pytest.raises(InvalidError, match="205 entries takes 65600 bytes"):
        Acl.parse([*short, "A::more@:r"])


@pytest.mark.parametrize("text", ["bob@", "x:bob@", "u:", "u:OWNER@", "u:a@b", "owner@", "GROUP"])
def test_bad_principals(text: str) -> None:
    with pytest.raises(InvalidError):
        Principal.parse(text)


def test_names() -> None:
    assert check_principal("root") == "root@"
    assert check_principal("root@") == "root@"
    for bad in ("", "@", "a:b", "a@b", "EVERYONE@", "a\0", 5):
        with pytest.raises(InvalidError):
            check_principal(bad)


@pytest.mark.parametrize(
    ("permissions", "read", "write"),
    [
        ("", None, None),
        ("r", "r", None),
        ("t", "r", None),
        ("w", None, None),
        ("cd", None, None),
        ("aAoT", None, None),
        ("rw", "r", "rwc"),
        ("rc", "r", "rwc"),
        ("td", "r", "rwd"),
        ("rwcd", "r", "rwcd"),
    ],
)
def test_capabilities_of_pools(permissions: str, read: str | None, write: str | None) -> None:
    for access, expected in ((Access.READ_ONLY, read), (Access.READ_WRITE, write), (Access.EXCLUSIVE, write)):
        if expected is None:
            with pytest.raises(AccessError):
                pool_capabilities(rights(permissions), access)
        else:
            assert letters(pool_capabilities(rights(permissions), access)) == expected


@pytest.mark.parametrize(
    ("permissions", "owner", "read", "write"),
    [
        ("", False, None, None),
        ("", True, "a", "aA"),
        ("r", False, "r", None),
        ("t", False, "t", None),
        ("a", False, "a", None),
        ("w", False, None, None),
        ("c", False, None, None),
        ("rw", False, "r", "rw"),
        ("td", False, "t", "dt"),
        ("rwtT", False, "rt", "rwtT"),
        ("rwcdtTaAo", False, "rta", "rwdtTaAo"),
        ("rw", True, "ra", "rwaA"),
    ],
)
def test_capabilities_of_containers(permissions: str, *, owner: bool, read: str | None, write: str | None) -> None:
    for access, expected in ((Access.READ_ONLY, read), (Access.READ_WRITE, write)):
        if expected is None:
            with pytest.raises(AccessError):
                container_capabilities(rights(permissions), access, owner=owner)
        else:
            assert letters(container_capabilities(rights(permissions), access, owner=owner)) == expected
    if not owner:
        with pytest.raises(AccessError, match="only its owner"):
            container_capabilities(rights(permissions), Access.EXCLUSIVE, owner=False)


def test_defaults() -> None:
    assert DEFAULT_POOL_ACL.lines() == ("A::OWNER@:rw", "A:G:GROUP@:rw")
    assert DEFAULT_CONTAINER_ACL.lines() == ("A::OWNER@:rwdtTaAo", "A:G:GROUP@:rwtT")


KINDS = {"O": "OWNER@", "G": "GROUP@", "E": "EVERYONE@"}
NAMES = st.sampled_from(["a@", "b@", "c@"])
ENTRIES = st.builds(
    lambda kind, name, bits: Ace.parse(f"A:{'G' if kind in 'gG' else ''}:{KINDS.get(kind, name)}:{letters(bits)}"),
    st.sampled_from("OuGgE"),
    NAMES,
    st.integers(0, 511).map(Permission),
)


@given(
    st.lists(ENTRIES, max_size=8, unique_by=lambda entry: entry.principal), NAMES, NAMES, st.lists(NAMES), NAMES, NAMES
)
def test_precedence_against_a_plain_model(
    entries: list[Ace], user: str, group: str, groups: list[str], owner: str, owner_group: str
) -> None:
    table = {str(entry).rsplit(":", 1)[0]: entry.permissions for entry in entries}
    mine = {group, *groups}
    union = [table[f"A:G:{name}"] for name in sorted(mine) if f"A:G:{name}" in table]
    if owner_group in mine and "A:G:GROUP@" in table:
        union.append(table["A:G:GROUP@"])
    if user == owner and "A::OWNER@" in table:
        expected = table["A::OWNER@"]
    elif f"A::{user}" in table:
        expected = table[f"A::{user}"]
    elif union:
        expected = NOTHING
        for permissions in union:
            expected |= permissions
    else:
        expected = table.get("A::EVERYONE@", NOTHING)
    acl = Acl.of(entries)
    assert acl.permissions(Credential(user, group, tuple(groups)), owner=owner, group=owner_group) == expected
    assert Acl.parse(acl.lines()) == acl


@given(st.text(alphabet="AG:@rwob\n ", max_size=20))
def test_junk_is_refused_or_comes_back(line: str) -> None:
    try:
        entry = Ace.parse(line)
    except DaosError:
        return
    assert Ace.parse(str(entry)) == entry
