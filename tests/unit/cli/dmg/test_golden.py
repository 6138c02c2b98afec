"""Each verb of `dmg`, as text and as JSON, against files.

DAOS_GOLDEN=write in the environment writes them anew; what changed is then seen in the difference.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from daos.cli._base import Lazy, LazyGroup
from daos.cli.dmg._main import COMMANDS
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from tests.unit.cli.dmg.conftest import Dmg

GOLDEN = Path(__file__).parent / "golden"

# The name of a file, and the command lines in it. Each is run twice on a fresh system, with and without --json.
CASES: dict[str, tuple[str, ...]] = {
    "version": ("server-version",),
    "system-query": (
        "system query",
        "system query -v",
        "system query --ranks 0-1",
        "system query --rank-hosts node[2-3]",
        "system query --not-ok",
        "system query --with-states joined,stopped",
    ),
    "system-leader-query": ("system leader-query", "system leader-query -N"),
    "system-stop": (
        "system stop",
        "system stop -r 1",
        "system stop --rank-hosts node3 --force",
        "system stop --full",
        "system stop --full --force",
    ),
    "system-start": ("system start -r 0-1", "system start --ranks 1-2"),
    "system-erase": ("system erase",),
    "system-exclude": ("system exclude -r 0,2", "system clear-exclude --rank-hosts node1"),
    "system-attr": ("system set-attr a:1,b:two", "system get-attr", "system get-attr nothing", "system del-attr a"),
    "system-prop": (
        "system set-prop self_heal:none",
        "system get-prop",
        "system get-prop self_heal,daos_version",
        "system set-prop foo:1",
    ),
    "system-cleanup": ("system cleanup node9", "system cleanup -v node9"),
    "pool-create": (
        "pool create fresh -z 300GB -u alice -g users",
        "pool create fresh --size 300GB --nranks 2 -u alice -g users",
        "pool create fresh --size 20% --ranks 0-1 -u alice -g users",
        "pool create fresh --scm-size 10GB --nvme-size 100GB -u alice -g users",
        "pool create fresh --scm-size 10GB -u alice -g users",
        "pool create fresh -z 300GB --tier-ratio 50,50 --properties rd_fac:1,reclaim:time -u alice -g users",
        "pool create tank -z 300GB -u alice -g users",
        "pool create fresh -z 300GB --ranks 7 -u alice -g users",
    ),
    "pool-list": ("pool list", "pool list -v", "pool list -n", "pool list -n -v", "pool list -r", "system list-pools"),
    "pool-query": (
        "pool query tank",
        "pool query tank -e",
        "pool query tank -t",
        "pool query small --no-self-heal-check",
        "pool query nothing",
    ),
    "pool-query-targets": (
        "pool query-targets tank --rank 1 --target-idx 0,2",
        "pool query-targets small --rank 0",
    ),
    "pool-destroy": ("pool destroy tank", "pool destroy -r -f small", "pool destroy nothing"),
    "pool-evict": ("pool evict tank", "pool evict nothing"),
    "pool-prop": (
        "pool get-prop tank",
        "pool get-prop tank label,ec_cell_sz,space_rb,svc_list",
        "pool set-prop tank label:other,reclaim:time",
        "pool set-prop tank reclaim:bad",
        "pool set-prop tank foo:1",
        "pool set-prop tank ec_pda:2",
        "pool get-prop tank foo",
    ),
    "pool-acl": (
        "pool get-acl tank",
        "pool get-acl -v tank",
        "pool update-acl tank --entry A::alice@:rw",
        "pool delete-acl tank --principal OWNER@",
        "pool delete-acl tank -p u:nobody@",
        "pool update-acl tank -e junk",
        "pool get-acl nothing",
    ),
    "container-set-owner": (
        "cont set-owner tank box --user bob",
        "container set-owner tank absent -u bob -g users",
        "cont set-owner tank box",
    ),
    "storage-scan": ("storage scan", "storage scan -v", "storage scan --nvme-health"),
    "storage-format": ("storage format", "storage format --force -v"),
    "storage-query": (
        "storage query usage",
        "storage query usage --show-usable",
        "storage query list-devices",
        "storage query list-devices --health --rank 0",
        "storage query list-devices --rank 1",
        "storage query list-pools",
        "storage query list-pools -v",
    ),
    "network-scan": ("network scan",),
    "config-generate": (
        "config generate",
        "config generate -r node[1-3] --scm-only --num-engines 1 -m /var/daos -f 20000",
        "config generate --net-class infiniband",
        "config generate --num-engines 3",
    ),
    "server-set-logmasks": ("server set-logmasks -m ERR,mgmt=DEBUG", "server set-logmasks"),
}
OTHERS = {
    "manpage": "tests/unit/cli/test_manpage.py",
    "version": "its version is the build's",
    "telemetry metrics list": "test_telemetry.py",
    "telemetry metrics query": "test_telemetry.py",
    "support collect-log": "test_collect_log.py",
    "pool overwrite-acl": "needs a file: test_dmg.py",
}


def _prepare(dmg: Dmg) -> None:
    dmg.with_pools()
    management = dmg.management
    pool = management.pool("tank")
    pool.handles, pool.dead, pool.disabled = 2, [2], [1]
    pool.containers["box"] = ("root@", "root@")
    management.pool("small").handles = 1
    management.attributes["a"] = "old"
    management.members[2].state = pb.MEMBER_STATE_ERRORED
    management.members[2].reason = "DAOS engine 0 exited unexpectedly"


def _told(dmg: Dmg, line: str, *, as_json: bool) -> str:
    words = shlex.split(line)
    result = dmg(*words, *(["--json"] if as_json else []))
    text = f"$ dmg {line}{' --json' if as_json else ''}\n{result.text}"
    text += "".join(f"! {error}\n" for error in result.errors.splitlines())
    return text + (f"= {result.status}\n" if result.status else "")


@pytest.mark.parametrize("name", CASES)
def test_a_verb(name: str, dmg: Dmg) -> None:
    told = []
    for line in CASES[name]:
        for as_json in (False, True):
            dmg.__init__(dmg.host, dmg.capfd)  # type: ignore[misc]  # a fresh system
            _prepare(dmg)
            told.append(_told(dmg, line, as_json=as_json))
    text = "\n".join(re.sub(r" +$", lambda spaces: "~" * len(spaces[0]), one, flags=re.MULTILINE) for one in told)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("DAOS_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def _verbs(commands: dict[str, Lazy | LazyGroup], before: str = "") -> list[str]:
    found = []
    for name, entry in commands.items():
        if isinstance(entry, LazyGroup):
            found += _verbs(dict(entry.lazy), f"{before}{name} ")
        else:
            found.append(f"{before}{name}")
    return found


def test_every_verb_has_a_file() -> None:
    lines = [line.replace("cont set-owner", "container set-owner") for lines in CASES.values() for line in lines]
    for verb in _verbs(COMMANDS):
        assert verb in OTHERS or any(line == verb or line.startswith(f"{verb} ") for line in lines), verb
