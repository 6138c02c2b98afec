"""Bad command lines, as a table: how the tool ends, what it says in text and in JSON, and that nothing has changed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import pytest

import daos
from daos import _core
from daos.cli import _main
from daos.cli._base import Lazy, LazyGroup
from tests.cli_tool import Result
from tests.forking import in_child

if TYPE_CHECKING:
    from typing import TypeAlias

    from tests.cli_tool import Tool

    Row: TypeAlias = tuple[str, str, int, str]

UUID = "12345678-1234-1234-1234-123456789abc"
GENERIC, NO_PERM, INVAL, EXIST, NONEXIST = -1025, -1001, -1003, -1004, -1005
BUSY, OVERFLOW, NOTDIR, DF_INVAL, DF_INCOMPT, CSUM = -1012, -1017, -1027, -2022, -2023, -2021
NOTYPE, KEY2BIG, REC2BIG, IO_INVAL, NOTSUPPORTED = -2004, -2012, -2013, -2014, -2037
NOBODY = 65534
LABEL_RULE = "use 1 to 127 of letters"
POOLS, CONTAINERS = "daos pool list", "daos container list"
STORES, ARRAYS, KEYS, SNAPS = "daos kv list", "list-objects -v", "daos kv list lists the keys", "list"
EPOCH_HINT, SNAP_RULE = "a number, such as container list-snaps prints", "printable text that is no number"

# The line, a part of what is said to be wrong, the status of the envelope, a part of the hint.
LABELS: list[Row] = [
    ("pool create ''", 'invalid pool label ""', INVAL, LABEL_RULE),
    ("pool create 'a b'", 'invalid pool label "a b"', INVAL, LABEL_RULE),
    ("pool create bad/label", 'invalid pool label "bad/label"', INVAL, LABEL_RULE),
    ("pool create é", 'invalid pool label "é"', INVAL, LABEL_RULE),
    ("pool create \udcff", 'invalid pool label "', INVAL, LABEL_RULE),
    (f"pool create {UUID}", "invalid pool label", INVAL, LABEL_RULE),
    (f"pool create {'x' * 128}", "invalid pool label", INVAL, LABEL_RULE),
    ("-S fresh pool create 'a b'", 'invalid pool label "a b"', INVAL, LABEL_RULE),
    ("pool create tank", 'there is a pool "tank" already', EXIST, "another label"),
    ("pool query ''", 'invalid pool label ""', INVAL, LABEL_RULE),
    (f"pool query {UUID}", 'no pool "U" in sys', NONEXIST, POOLS),
    ("pool set-prop tank label:a/b", 'invalid pool label "a/b"', INVAL, LABEL_RULE),
    ("pool set-prop tank label:more", 'label "more" is taken', EXIST, "another label"),
    ("cont create tank ''", 'invalid container label ""', INVAL, LABEL_RULE),
    ("cont create tank 'a b'", 'invalid container label "a b"', INVAL, LABEL_RULE),
    (f"cont create tank {'x' * 128}", "invalid container label", INVAL, LABEL_RULE),
    ("cont create tank run7", 'there is a container "run7" already', EXIST, "another label"),
    ("cont set-prop tank run7 label:next", 'label "next" is taken', EXIST, "another label"),
    ("cont set-prop tank run7 label:a/b", 'invalid container label "a/b"', INVAL, LABEL_RULE),
    ("cont query tank ''", 'invalid container label ""', INVAL, LABEL_RULE),
]
MADE = "cont create tank x --properties "
SIZES_AS = "bytes as an int, or a text such as 512MiB"
PROPERTIES: list[Row] = [
    (f"{MADE}junk", 'invalid property "junk" (must be key:val)', INVAL, "a:1,b:2"),
    (f"{MADE}a:", 'invalid property "a:" (must be key:val)', INVAL, "a:1,b:2"),
    (f"{MADE}cksum:off,cksum:off", 'property "cksum" is given twice', INVAL, "once"),
    (f"{MADE}rf:0,rd_fac:0", 'property "rd_fac" is given twice', INVAL, "drop the alias"),
    (f"{MADE}nope:1", '"nope" is not a settable property', INVAL, "valid: cksum, cksum_size"),
    (f"{MADE}label:y", "the label is not given as a property", INVAL, "first argument"),
    (f"{MADE}cksum:md5", 'invalid choice "md5" for cksum', INVAL, "one of: off, crc16"),
    (f"{MADE}encryption:aes-xts128", '"aes-xts128" is not supported for encryption', NOTSUPPORTED, "one of: off"),
    (f"{MADE}rd_fac:x", "invalid value of rd_fac 'x'", INVAL, "from 0 to 4"),
    (f"{MADE}rd_fac:9", "value of rd_fac 9 is out of range", INVAL, "from 0 to 4"),
    (f"{MADE}rd_fac:1", "rd_fac 1 needs 2 fault domains", INVAL, "one rank"),
    (f"{MADE}cksum_size:0", "value of cksum_size 0 is out of range", INVAL, "from 1 to"),
    (f"{MADE}cksum_size:-1", "invalid value of cksum_size '-1'", INVAL, SIZES_AS),
    (f"{MADE}cksum_size:2GiB", "value of cksum_size 2147483648 is out of range", INVAL, "to 1073741824"),
    (f"{MADE}cksum_size:1XB", "invalid value of cksum_size '1XB'", INVAL, SIZES_AS),
    (f"{MADE}cksum_size:{'9' * 30}", "is out of range", INVAL, "from 0 to"),
    (f"{MADE}ec_cell_sz:1", "value of ec_cell_sz 1 is out of range", INVAL, "from 4096 to 1048576"),
    ("cont create tank x --type HDF5", 'container type "HDF5" is not supported', NOTSUPPORTED, "PYTHON"),
    ("cont create tank x --hints file:max", "a container of type PYTHON has no file system", INVAL, "--type POSIX"),
    ("cont create tank x --type POSIX --hints file:huge", "hints", INVAL, "file:single"),
    ("cont create tank x --type POSIX --oclass RP_2G1", "RP_2G1", INVAL, "S1 to SX"),
    ("cont create tank x --type POSIX --mode strict", "mode cannot be", INVAL, "balanced"),
    ("cont create tank x --type POSIX --chunk-size 0", "chunks of 0 bytes", INVAL, "such as 4MiB"),
    ("cont get-prop tank run7 nope", 'unknown property "nope"', INVAL, "valid: cksum"),
    ("cont get-prop tank run7 label --properties label", "properties are given twice", INVAL, "or by --properties"),
    ("cont set-prop tank run7", "no properties given", INVAL, "such as label:next"),
    ("cont set-prop tank run7 nope:1", '"nope" is not a settable property', INVAL, "settable are: label, status"),
    ("cont set-prop tank run7 label:z,nope:1", '"nope" is not a settable property', INVAL, "settable are"),
    ("cont set-prop tank run7 cksum:off", "it is fixed when a container", NO_PERM, "settable are: label, status"),
    ("cont set-prop tank run7 status:bad", "status cannot be set to 'bad'", INVAL, '"healthy"'),
    ("pool get-prop tank nope", 'unknown property "nope"', INVAL, "valid: label"),
    ("pool set-prop tank", "no properties given", INVAL, "such as label:next"),
    ("pool set-prop tank label:", 'invalid property "label:" (must be key:val)', INVAL, "a:1,b:2"),
    ("pool set-prop tank nope:1", '"nope" is not a settable property', INVAL, "settable are: label"),
    ("pool create next --size 10GB", "no size of its own", NOTSUPPORTED, "daos.open(size=...)"),
    ("pool create next --scm-size 1GB --nvme-size 2GB", "no size of its own", NOTSUPPORTED, "daos.open(size=...)"),
    ("pool set-prop tank scrub:always", 'invalid choice "always" for scrub', INVAL, "one of: off, lazy, timed"),
    ("pool set-prop tank scrub_freq:week", "invalid value of scrub_freq 'week'", INVAL, "a whole number from 0"),
    ("pool set-prop tank scrub_thresh:4294967296", "is out of range", INVAL, "from 0 to 4294967295"),
    ("pool set-prop tank reclaim:lazy", "settable property in this release", NOTSUPPORTED, "settable are: label"),
    ("pool set-prop tank svc_list:0", "the system keeps it", NO_PERM, "settable are: label"),
]
ATTRIBUTES: list[Row] = [
    row
    for of in ("pool {} tank", "cont {} tank run7")
    for row in [
        (f"{of.format('get-attr')} nope", "no attribute 'nope' of ", NONEXIST, "list them"),
        (f"{of.format('get-attr')} a,nope", "no attribute 'nope' of ", NONEXIST, "list them"),
        (f"{of.format('get-attr')} a -a b", "attributes are given twice", INVAL, "or --attr"),
        (of.format("set-attr"), "no attributes given", INVAL, "NAME:VALUE,..., or both"),
        (f"{of.format('set-attr')} -a x", "no attributes given", INVAL, "both --attr and --value"),
        (f"{of.format('set-attr')} b:1 -a x -v y", "no attributes given", INVAL, "or both"),
        (f"{of.format('set-attr')} b:1,junk", 'invalid attribute "junk" (must be key:val)', INVAL, "a:1,b:2"),
        (f"{of.format('set-attr')} :1", 'invalid attribute ":1" (must be key:val)', INVAL, "a:1,b:2"),
        (f"{of.format('set-attr')} b:1,b:2", 'attribute "b" is given twice', INVAL, "once"),
        (f"{of.format('set-attr')} b:1,{'x' * 512}:2", "invalid attribute name 'xxx", INVAL, "511"),
        (f"{of.format('set-attr')} b:{'x' * 65537}", "value has at most 65536 bytes", REC2BIG, ""),
        (of.format("del-attr"), "no attributes given", INVAL, "--attr NAME"),
    ]
]
LAST, HUGE = (1 << 63) - 1, "9" * 20
ARRAY_DATA: list[Row] = [
    ("array read tank run7 params", "'params' is a key-value store, not an array", INVAL, "as what it is"),
    ("array read tank run7 temp -s -1", "-1 is not in the range x>=0", GENERIC, "array read -h"),
    ("array read tank run7 temp -s x", "'x' is not a valid integer range", GENERIC, "array read -h"),
    ("array read tank run7 temp -c -1", "-1 is not in the range x>=0", GENERIC, "array read -h"),
    ("array read tank run7 temp -t -o x", "text does not go to a file", INVAL, "leave --text out"),
    ("array read tank run7 temp -o nope/f", "nope/f: No such file or directory", GENERIC, "check the path"),
    ("array read tank run7 temp -o dir", "dir: Is a directory", GENERIC, "name a file"),
    ("array read tank run7 temp --snap nope", "no snapshot 'nope' of container run7", NONEXIST, SNAPS),
    ("array write tank run7 temp -i nope", "nope: No such file or directory", GENERIC, "check the path"),
    ("array write tank run7 temp -i dir", "dir: Is a directory", GENERIC, "name a file"),
    ("array write tank run7 temp -i odd", "1 bytes behind the last whole cell, of 4 bytes", IO_INVAL, "of int32"),
    ("array write tank run7 fresh -i odd -c -d i4", "1 bytes behind the last whole", IO_INVAL, "of int32"),
    ("array write tank run7 fresh -i odd -c -s 5", "5 bytes behind the last whole", IO_INVAL, "of float64"),
    ("array write tank run7 temp -i cells -d f8", "cells of 'temp' are int32, not float64", INVAL, "fixed"),
    ("array write tank run7 fresh -i cells -d O -c", "object holds Python objects", INVAL, "fixed size"),
    ("array write tank run7 fresh -i cells -d zz9 -c", "no dtype: 'zz9'", INVAL, 'such as "f8"'),
    ("array write tank run7 fresh -i cells -d '' -c", "no dtype: ''", INVAL, 'such as "f8"'),
    ("array write tank run7 fresh -i cells -d S0 -c", "cells of 0 bytes", INVAL, "1 to 1048576"),
    ("array write tank run7 fresh -i cells", "no 'fresh' in container run7", NONEXIST, ARRAYS),
    ("array write tank run7 temp -i cells -s 1 -a", "give either --start or --append", INVAL, "behind the end"),
    ("array write tank run7 temp -i cells -s -1", "-1 is not in the range x>=0", GENERIC, "array write -h"),
    (f"array write tank run7 temp -i cells -s {LAST}", "there is no cell", OVERFLOW, "at most"),
    (f"array write tank run7 fresh -i cells -c -d i4 -s {LAST}", "there is no cell", OVERFLOW, "at most"),
    (f"array write tank run7 temp -i cells -s {HUGE}", f"start cannot be {HUGE}", OVERFLOW, "at most"),
    ("array write tank run7 params -i cells -c", "'params' is a key-value store", INVAL, "as what it is"),
    ("array write tank run7 '' -i cells -c", "a name is not empty", INVAL, "any text but"),
]
KV_DATA: list[Row] = [
    ("kv get tank run7 temp k", "'temp' is an array, not a key-value store", INVAL, "as what it is"),
    ("kv get tank run7 params nope", "no key 'nope' in 'params'", NONEXIST, KEYS),
    ("kv get tank run7 params \udcff", r"'\udcff' is no UTF-8", INVAL, "are text"),
    ("kv get tank run7 raws \udcfe", r"no key b'\xfe' in 'raws'", NONEXIST, KEYS),
    ("kv get tank run7 ints x", '"x" is no integer', INVAL, "integers from 0 on"),
    ("kv get tank run7 ints -1", "unknown flag `1'", GENERIC, "goes behind --"),
    ("kv get tank run7 ints -- -1", '"-1" is no integer', INVAL, "integers from 0 on"),
    (f"kv get tank run7 ints {HUGE}", f"key {HUGE} is out of range", INVAL, "from 0 to"),
    ("kv get tank run7 ints ''", '"" is no integer', INVAL, "integers from 0 on"),
    ("kv get tank run7 params lr -o nope/f", "nope/f: No such file or directory", GENERIC, "check the path"),
    ("kv get tank run7 params lr -o dir", "dir: Is a directory", GENERIC, "name a file"),
    ("kv get tank run7 params lr --snap nope", "no snapshot 'nope' of container run7", NONEXIST, SNAPS),
    ("kv get tank run7 late a --snap before", "no 'late' in container run7", NONEXIST, "when the snapshot was taken"),
    ("kv list tank run7 temp", "'temp' is an array, not a key-value store", INVAL, "as what it is"),
    ("kv list tank run7 --snap 7", "no snapshot at epoch 0x7 of container run7", NONEXIST, SNAPS),
    ("kv put tank run7 params k", "give either a value or a file", INVAL, "--input FILE"),
    ("kv put tank run7 params k v -i cells", "give either a value or a file", INVAL, "--input FILE"),
    ("kv put tank run7 params k -i nope", "nope: No such file or directory", GENERIC, "check the path"),
    ("kv put tank run7 params k -i dir", "dir: Is a directory", GENERIC, "name a file"),
    ("kv put tank run7 params '' v", "a key is not empty", INVAL, "any other key"),
    (f"kv put tank run7 params {'x' * 65537} v", "a key of 65537 bytes is too long", KEY2BIG, "at most 65536"),
    ("kv put tank run7 fresh '' v -c", "a key is not empty", INVAL, "any other key"),
    ("kv put tank run7 fresh \udcff v -c", r"'\udcff' is no UTF-8", INVAL, "are text"),
    ("kv put tank run7 fresh k v", "no 'fresh' in container run7", NONEXIST, STORES),
    ("kv put tank run7 temp k v -c", "'temp' is an array", INVAL, "as what it is"),
    ("kv put tank run7 '' k v -c", "a name is not empty", INVAL, "any text but"),
    (f"kv put tank run7 {'x' * 1025} k v -c", "too long", KEY2BIG, "1024 bytes"),
    ("kv remove tank run7 params nope", "no key 'nope' in 'params'", NONEXIST, "--force"),
    ("kv remove tank run7 nope k -f", "no 'nope' in container run7", NONEXIST, STORES),
]
BY_ID = "or an id such as container list-objects prints"
OBJECTS: list[Row] = [
    ("object query tank run7 nope", "no 'nope' in container run7", NONEXIST, BY_ID),
    ("object query tank run7 1.2.3", "no '1.2.3' in container run7", NONEXIST, BY_ID),
    (f"object query tank run7 {HUGE}.1", f"no '{HUGE}.1' in container run7", NONEXIST, BY_ID),
    ("object query tank run7 18374686479671623680.1", "18374686479671623680.1 is no id", NOTYPE, "top byte"),
    ("object query tank run7 ''", "a name is not empty", INVAL, "any text but"),
    ("object dump tank run7 nope", "no 'nope' in container run7", NONEXIST, BY_ID),
    ("object dump tank run7 sensors -c 0", "0 is not in the range", GENERIC, "object dump -h"),
    ("object dump tank run7 sensors --skip -1", "-1 is not in the range", GENERIC, "object dump -h"),
    (f"object dump tank run7 sensors --skip {HUGE}", "is not in the range", GENERIC, "object dump -h"),
    (f"object dump tank run7 sensors -c {HUGE}", "is not in the range", GENERIC, "object dump -h"),
    ("object dump tank run7 sensors --snap nope", "no snapshot 'nope'", NONEXIST, SNAPS),
]
SNAPSHOTS: list[Row] = [
    ("cont create-snap tank run7 -s before", 'has a snapshot "before" already', EXIST, "another name"),
    ("cont create-snap tank run7 -s ''", "invalid snapshot name ''", INVAL, SNAP_RULE),
    ("cont create-snap tank run7 -s 0x17", "invalid snapshot name '0x17'", INVAL, SNAP_RULE),
    ("cont destroy-snap tank run7", "must specify one of snapshot name or epoch or", INVAL, "list-snaps lists"),
    ("cont destroy-snap tank run7 -s a -e 1", "cannot specify more than one of", INVAL, "give one"),
    ("cont destroy-snap tank run7 -s nope", "no snapshot 'nope' of container run7", NONEXIST, SNAPS),
    ("cont destroy-snap tank run7 -e 7", "no snapshot at epoch 0x7", NONEXIST, SNAPS),
    ("cont destroy-snap tank run7 -e seven", '"seven" is no epoch', INVAL, EPOCH_HINT),
    ("cont destroy-snap tank run7 -e -1", '"-1" is no epoch', INVAL, EPOCH_HINT),
    (f"cont destroy-snap tank run7 -e {HUGE}", f"invalid epoch {HUGE}", INVAL, ""),
    ("cont destroy-snap tank run7 -r 7", 'invalid range "7" (must be A-B)', INVAL, "two epochs"),
    ("cont destroy-snap tank run7 -r 8-7", "range begin must be < end", INVAL, "--epc"),
    ("cont destroy-snap tank run7 -r 1-2", "has no snapshot from epoch 0x1 to 0x2", NONEXIST, SNAPS),
    ("cont rollback tank run7", "give a snapshot: its name or its epoch", INVAL, "list-snaps lists"),
    ("cont rollback tank run7 -s before -e 1", "give a snapshot: its name or its epoch", INVAL, "list-snaps"),
    ("cont rollback tank run7 -s nope", "no snapshot 'nope' of container run7", NONEXIST, SNAPS),
    ("cont rollback tank run7 -e x", '"x" is no epoch', INVAL, EPOCH_HINT),
    ("cont diff tank run7", "the required flag `--from' was not specified", GENERIC, "cont diff -h"),
    ("cont diff tank run7 --from nope", "no snapshot 'nope' of container run7", NONEXIST, SNAPS),
    ("cont diff tank run7 --from after --to before", "was taken later", INVAL, ""),
    ("cont list-objects tank run7 -e nope", "no snapshot 'nope' of container run7", NONEXIST, SNAPS),
    ("cont list-objects tank run7 -e ''", "invalid snapshot name ''", INVAL, SNAP_RULE),
]
WORDS: list[Row] = [
    ("nope", "Unknown command `nope'. Please specify one command of: array, bench,", GENERIC, "daos -h"),
    ("pool quary tank", "Unknown command `quary', did you mean `query'?", GENERIC, "daos pool -h"),
    ("--nope pool list", "unknown flag `nope'", GENERIC, "daos -h"),
    ("pool list -S", "Option '-S' requires an argument", GENERIC, "-h"),
    ("pool list --json=1", "Option '--json' does not take a value", GENERIC, "-h"),
    ("bench -t 0", "0.0 is not in the range 0.01<=x<=60.0", GENERIC, "bench -h"),
    ("bench -t 61", "61.0 is not in the range", GENERIC, "bench -h"),
    ("bench -t x", "'x' is not a valid float range", GENERIC, "bench -h"),
    ("bench -t nan", "'nan' is no number", GENERIC, "bench -h"),
    ("bench --path nope", "nope is not a directory", NOTDIR, "on the disk to measure"),
    ("bench --path cells", "cells is not a directory", NOTDIR, "on the disk to measure"),
    ("demo --path cells", "cells is there already, and was not made by the demo", EXIST, "--path"),
    ("demo --path sys", "sys is there already, and was not made by the demo", EXIST, "--path"),
]
SYSTEMS: list[Row] = [
    ("-S '' pool list", "no system given", INVAL, "DAOS_SYSTEM"),
    ("-S nope pool list", "there is no system at nope", NONEXIST, "daos pool create makes"),
    ("-S dir pool list", "there is no system at dir", NONEXIST, "daos pool create makes"),
    ("-S cells pool list", "cells is not a directory", NOTDIR, "a directory of its own"),
    ("-S cells pool create x", "cells is not a directory", NOTDIR, "a directory of its own"),
    ("-S cells/x pool create x", "cells/x: Not a directory", NOTDIR, "check the path"),
    ("-S full pool list", "full is not a DAOS system, and not empty", INVAL, "empty or new"),
    ("-S full pool create x", "full is not a DAOS system, and not empty", INVAL, "empty or new"),
    ("-S damaged pool list", "damaged/system is damaged", DF_INVAL, "from a copy"),
    ("-S damaged pool create x", "damaged/system is damaged", DF_INVAL, "from a copy"),
    ("-S short pool list", "short/system is damaged", DF_INVAL, "from a copy"),
    ("-S newer pool list", "newer/system has format 2; this program knows format 1", DF_INCOMPT, "newer version"),
    ("-S superblock pool list", "both copies of the superblock are damaged", CSUM, "restore it from a copy"),
    ("-S superblock pool create x", "both copies of the superblock are damaged", CSUM, "restore it from a copy"),
    ("-S index pool list", "shard-00000000.idx is missing", CSUM, "restore it from a copy"),
    ("-S lost pool list", "the file `system` beside it is missing", DF_INVAL, "from a copy"),
]
TABLES = {
    "labels": LABELS, "properties": PROPERTIES, "attributes": ATTRIBUTES, "arrays": ARRAY_DATA, "kv": KV_DATA,
    "objects": OBJECTS, "snapshots": SNAPSHOTS, "words": WORDS, "systems": SYSTEMS,
}  # fmt: skip


def _commands(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield each command under a group, with its words."""
    for name, entry in group.lazy.items():
        if isinstance(entry, LazyGroup):
            yield from _commands(entry, (*path, name))
        else:
            found = group.get_command(click.Context(group), name)
            assert isinstance(entry, Lazy)
            assert found is not None
            yield " ".join((*path, name)), found


# What a command of a pool or of a container needs beside them, so that only these are wrong.
BEHIND = {
    "container create": "x", "container diff": "--from before", "container destroy-snap": "-s before",
    "container rollback": "-s before", "container set-attr": "a:1", "container del-attr": "a",
    "container set-prop": "label:x", "pool set-attr": "a:1", "pool del-attr": "a", "pool set-prop": "label:x",
    "kv get": "params lr", "kv put": "params lr x", "kv remove": "params lr", "array read": "temp",
    "array write": "temp -i cells", "object query": "sensors", "object dump": "sensors",
    "container delete-acl": "-P u:x@", "container overwrite-acl": "-f acl", "container update-acl": "-e A::x@:r",
    "container set-owner": "-u x --no-check", "pool query-targets": "--rank 0",
    "filesystem chmod": "-m 0755", "filesystem set-attr": "-o S1", "filesystem fix-entry": "-t",
    "container link": "--path new",
}  # fmt: skip
# Options without which there is no line at all.
REQUIRED = {
    "container diff": "--from x", "container delete-acl": "-P x", "pool query-targets": "--rank 0",
    "filesystem chmod": "-m 0755", "filesystem copy": "-s x -d x", "container link": "--path x",
}  # fmt: skip
# Arguments that are no text.
GIVEN = {"cert issue": "server", "dev kill": "0"}


def _of_every_command() -> Iterator[Row]:
    """Yield for each command: an unknown flag, a word too few or too many, no value of an option, what is absent."""
    for words, command in _commands(_main.tool()):
        arguments = [param for param in command.params if isinstance(param, click.Argument)]
        needed = [str(argument.human_readable_name).lower() for argument in arguments if argument.required]
        given = GIVEN.get(words, " ".join("x" for _ in arguments))
        yield f"{words} --nope", "unknown flag `nope'", GENERIC, f"daos {words} -h"
        if command.context_settings.get("allow_interspersed_args") is False:
            continue  # what follows is another program's
        extra = f"{words} {given} more {REQUIRED.get(words, '')}"
        what = "Unknown command `more'" if isinstance(command, click.Group) else "Got unexpected extra argument (more)"
        yield extra, what, GENERIC, f"daos {words} -h"
        for count, name in enumerate(needed):
            line = f"{words} {' '.join('x' for _ in range(count))}"
            yield line, f"the required argument `<{name}>` was not provided", GENERIC, f"daos {words} -h"
        for option in command.params:
            if isinstance(option, click.Option) and not option.is_flag:
                yield f"{words} {given} {option.opts[-1]}", f"'{option.opts[-1]}' requires an argument", GENERIC, "-h"
        behind = BEHIND.get(words, "")
        names = [argument.name for argument in arguments[:2]]
        if names[:1] == ["pool"]:
            container = " run7" if names[1:] == ["container"] else ""
            label = "there is no pool" if words == "pool destroy" else 'no pool "nope" in sys'
            yield f"{words} nope{container} {behind}", label, NONEXIST, "list"
            # Handles are evicted in running systems only.
            if container and words != "container evict":
                label = 'no container "nope" in pool'
                yield f"{words} tank nope {behind}", label, NONEXIST, "list"


ROWS = [pytest.param(*row, id=f"{table}: {row[0][:60]}") for table, rows in TABLES.items() for row in rows]
ROWS += [pytest.param(*row, id=f"all: {row[0]}") for row in _of_every_command()]


def _state(folder: Path) -> object:
    """Return all that can be read of the systems in a folder, and the names, sizes and times of all other files."""
    with daos.open_system(folder / "sys", create=False) as system:
        pools = [system.pool(listed.uuid) for listed in system.pools()]
        conts = [pool.container(listed.uuid) for pool in pools for listed in pool.containers()]
        held = [
            (cont.label, cont.uuid, cont.properties, dict(cont.attributes), [snap.epoch for snap in cont.snapshots()],
             list(cont.names()), list(cont.objects()), [_content(cont, name) for name in cont.names()])
            for cont in conts
        ]  # fmt: skip
        labels = [(pool.label, pool.uuid, dict(pool.attributes)) for pool in pools]
    others = {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None
        for path in folder.rglob("*")
        if (folder / "sys") not in path.parents and path.name != "lock"
    }
    return labels, held, others


def _content(cont: daos.Container, named: daos.NamedObject) -> object:
    if named.kind == "kv":
        keys: tuple[str, ...] = {"ints": ("int",), "raws": ("bytes",)}.get(named.name, ("str",))
        return dict(cont.kv(named.name, keys=keys[0]).items())  # type: ignore[call-overload]
    return cont.array(named.name)[:].tobytes() if named.kind == "array" else list(cont.object(named.oid).dkeys())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a system `sys`, with something of everything in it, and with what is none, or no longer."""
    folder = tmp_path_factory.mktemp("cli")
    with daos.open_system(folder / "sys", durability="buffered") as system:
        pool = system.create_pool("tank")
        system.create_pool("more")
        cont = pool.container("run7", create=True)
        pool.container("next", create=True)
        cont.kv("params", create=True)["lr"] = b"0.1"
        cont.kv("ints", create=True, keys="int")[7] = b"seven"
        cont.kv("raws", create=True, keys="bytes")[b"\xff"] = b"raw"
        cont.array("temp", "i4", create=True).write(0, np.arange(6, dtype="i4"))
        cont.object("sensors", create=True).update("mon", station=b"ABC")
        cont.snapshot("before")
        cont.kv("late", create=True)["a"] = b"1"
        cont.snapshot("after")
        cont.attributes["a"] = pool.attributes["a"] = b"1"
    for name in ("damaged", "short", "newer", "lost", "superblock", "index"):
        with daos.open(folder / name) as pool:
            pool.container("c", create=True)
        path = folder / name / "system"
        content = bytearray(path.read_bytes())
        if name == "newer":
            content[8] = 2
            content[36:] = _core.crc32c(bytes(content[:36])).to_bytes(4, "little")
        content[20] ^= name == "damaged"
        path.write_bytes(content[:10] if name == "short" else content)
    (folder / "lost" / "system").unlink()
    (folder / "index" / "store" / "shard-00000000.idx").unlink()
    superblock = folder / "superblock" / "store" / "wal.super"
    superblock.write_bytes(bytes(superblock.stat().st_size))
    (folder / "dir").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "mine").write_bytes(b"mine")
    (folder / "odd").write_bytes(bytes(5))
    (folder / "cells").write_bytes(bytes(8))
    (folder / "acl").write_text("A::x@:r\n")
    return folder


@pytest.fixture(scope="module")
def before(folder: Path) -> object:
    return _state(folder)


@pytest.fixture
def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tool:
    """Run command lines in the folder, on the system `sys`."""
    monkeypatch.chdir(folder)

    def run(*words: str, system: str | None = "sys") -> Result:
        status = _main.run(list(words), system)
        captured = capfd.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.mark.parametrize(("line", "text", "code", "hint"), ROWS)
def test_a_bad_line_is_told_and_changes_nothing(
    tool: Tool, folder: Path, before: object, line: str, text: str, code: int, hint: str
) -> None:
    words = shlex.split(line)
    result = tool(*words)
    assert (result.status, result.text) == (1, "")
    error, *hints = result.errors.splitlines()
    assert error.startswith("ERROR: daos: ")
    assert text in error
    assert ("DER_" in error) == (code != GENERIC)
    [told] = hints
    assert told.startswith("hint: ")
    assert hint in told
    # In front: behind, it would be the value of an option that lacks one.
    result = tool("-j", *words)
    assert (result.status, result.json["response"], result.json["status"]) == (1, None, code)
    assert error == "ERROR: daos: " + str(result.json["error"]).encode(errors="replace").decode()
    assert result.errors.splitlines()[0] == error
    assert _state(folder) == before


def test_what_a_load_that_failed_half_way_left_of_a_new_array(tool: Tool, folder: Path, before: object) -> None:
    (folder / "long").write_bytes(bytes((4 << 20) + 3))
    try:
        result = tool("array", "write", "tank", "run7", "fresh", "-i", "long", "-c", "-d", "i4")
        assert "3 bytes behind the last whole cell" in result.errors
    finally:
        (folder / "long").unlink()
    assert _state(folder) == before


def test_a_system_held_by_another_process(tool: Tool, folder: Path, before: object) -> None:
    hold = (
        "import sys, daos; system = daos.open_system('sys', share=False); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for words in (["pool", "list"], ["pool", "create", "x"], ["kv", "put", "tank", "run7", "params", "lr", "2"]):
            result = tool(*words, "-j")
            assert (result.status, result.json["status"]) == (1, BUSY)
            assert f"process {other.pid}" in result.errors.splitlines()[0]
            assert "close it there first" in result.errors.splitlines()[1]
        other.communicate("")
    assert _state(folder) == before


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["pool", "list"], "sys"),
        (["kv", "put", "tank", "run7", "params", "lr", "2"], "sys"),
        (["-S", "fresh", "pool", "create", "x"], "fresh"),
        (["demo", "--path", "fresh"], "fresh"),
        (["bench"], "daos-bench"),
        (["kv", "put", "tank", "run7", "params", "lr", "-i", "secret"], "secret: Permission denied"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_place_without_permission(folder: Path, tmp_path: Path, words: list[str], what: str) -> None:
    # Not under pytest's own folders, which nobody else may enter.
    closed = Path("/tmp") / f"daos-closed-{os.getpid()}"
    closed.mkdir()
    try:
        shutil.copytree(folder / "sys", closed / "sys")
        (closed / "secret").write_bytes(b"x")
        (closed / "secret").chmod(0o000)
        for path in (*(closed / "sys").rglob("*"), closed / "sys", closed):
            path.chmod(0o555 if path.is_dir() else 0o444)
        said = tmp_path / "said"
        said.touch()
        said.chmod(0o666)

        def refused() -> None:
            os.chdir(closed)
            file = said.open("w")
            if os.geteuid() == 0:
                # Root may do everything: somebody else may not.
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with redirect_stderr(file):
                assert _main.run(words, "sys") == 1
            file.close()

        assert in_child(refused) == 0, said.read_text()
        error, hint = said.read_text().splitlines()
        assert error.startswith("ERROR: daos: ")
        assert what in error
        assert re.search("[Pp]ermission denied", error)
        assert hint == "hint: check its permissions, or be another user"
        for path in (*(closed / "sys").rglob("*"), closed / "sys", closed):
            path.chmod(0o755 if path.is_dir() else 0o644)
        for path in (folder / "sys").rglob("*"):
            if path.is_file():
                assert (closed / path.relative_to(folder)).read_bytes() == path.read_bytes()
        assert sorted(path.name for path in closed.iterdir()) == ["secret", "sys"]
    finally:
        shutil.rmtree(closed)


def _shell(folder: Path, line: str) -> tuple[int, str, str]:
    """Run a line of a shell, in which `daos` is the tool on the system `sys`."""
    script = f'daos() {{ {sys.executable} -m daos.cli -S sys "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, check=False, capture_output=True, text=True, errors="surrogateescape"
    )
    return done.returncode, done.stdout, done.stderr


CLOSED_OUTPUT = "ERROR: daos: standard output: it is closed\nhint: redirect it to a file, or to /dev/null\n"
FULL_OUTPUT = "ERROR: daos: standard output: No space left on device\nhint: make room there, or choose another place\n"
CLOSED_INPUT = "ERROR: daos: standard input is closed: DER_INVAL(-1003): Invalid parameters\nhint: name a file"
STREAMS: list[tuple[str, int, str, str]] = [
    ("daos kv put tank run7 fresh k -i - -c <&-", 1, "", CLOSED_INPUT),
    ("daos array write tank run7 fresh -c <&-", 1, "", CLOSED_INPUT),
    ("daos kv get tank run7 params lr <&-", 0, "0.1", ""),
    ("daos kv get tank run7 params lr >&-", 1, "", CLOSED_OUTPUT),
    ("daos pool list -j >&-", 1, "", CLOSED_OUTPUT),
    ("daos kv put tank run7 params lr 0.1 >&-", 0, "", ""),
    ("daos kv get tank run7 params lr 2>&-", 0, "0.1", ""),
    ("daos kv get tank run7 params nope 2>&-", 1, "", ""),
    ("daos kv get tank run7 params lr >/dev/full", 1, "", FULL_OUTPUT),
    ("daos pool list -j >/dev/full", 1, "", FULL_OUTPUT),
    ("daos nope -j >/dev/full", 1, "", FULL_OUTPUT),
    ("daos kv >/dev/full", 1, "", FULL_OUTPUT),
    # The reader is gone before anything is printed.
    ("daos kv list tank run7 > >(exec true); wait $!; true", 0, "", ""),
    ("exec 3> >(exec true); wait $!; daos kv list tank run7 >&3", 1, "", ""),
    ("exec 3> >(exec true); wait $!; daos pool query nope -j >&3", 1, "", ""),
    ("exec 3> >(exec true); wait $!; daos -h >&3", 1, "", ""),
    ("daos kv list tank run7 raws", 0, "\udcff\n", ""),
    ("daos kv get tank run7 raws $'\\xff'", 0, "raw", ""),
    ("daos kv list tank run7 raws -j | tr -d ' \\n'", 0, '{"response":["\\udcff"],"error":null,"status":0}', ""),
]


@pytest.mark.parametrize(("line", "status", "out", "err"), STREAMS, ids=[row[0] for row in STREAMS])
def test_streams_that_are_closed_or_full(
    folder: Path, before: object, line: str, status: int, out: str, err: str
) -> None:
    done = _shell(folder, line)
    assert done[:2] == (status, out)
    assert done[2].startswith(err)
    assert bool(done[2]) == bool(err)
    assert _state(folder) == before
