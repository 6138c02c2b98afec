from __future__ import annotations

import inspect

import pytest

from daos.errors import AccessError
from daos.mgmt import handlers, methods
from daos.mgmt.methods import Method
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.roles import ROLES, Role, check_request, check_role
from daos.mgmt.server import snake

DESCRIBED = {
    f"/{service.full_name}/{method.name}": method
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

# Independent of the table in the code: what each role may do, written down once more.
AGENT = {
    *("LeaderQuery", "GetAttachInfo", "PoolFind", "PoolList", "PoolGetAcl", "PoolEvict", "SystemCleanup"),
    "Version",
}
SERVER = {
    *("LeaderQuery", "SystemQuery", "SystemGetProp", "GetAttachInfo", "PoolFind", "Join", "ReportMember"),
    *("Version", "EngineCall", "ServerCall"),
}
NOT_ADMIN = {"GetAttachInfo", "PoolFind", "Join", "ReportMember", "EngineCall", "ServerCall"}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("path", DESCRIBED)
def test_each_method_and_role(path: str, role: Role) -> None:
    name = path.rpartition("/")[2]
    expected = {Role.ADMIN: name not in NOT_ADMIN, Role.AGENT: name in AGENT, Role.SERVER: name in SERVER}[role]
    assert path in ROLES, "a method without a line in the table"
    if expected:
        check_role(path, role)
    else:
        with pytest.raises(AccessError, match=f"{name} is not for the role {role}"):
            check_role(path, role)


def test_the_table_has_no_method_that_is_not_there() -> None:
    assert ROLES.keys() == DESCRIBED.keys()


@pytest.mark.parametrize("role", Role)
def test_an_unknown_method_is_refused(role: Role) -> None:
    with pytest.raises(AccessError):
        check_role("/daos.mgmt.v1.Management/Nothing", role)


def test_every_method_has_a_handler_and_a_place_in_the_list_for_clients() -> None:
    listed = {method.path: method for method in vars(methods).values() if isinstance(method, Method)}
    assert listed.keys() == DESCRIBED.keys()
    for path, method in DESCRIBED.items():
        assert listed[path].request.DESCRIPTOR is method.input_type
        assert listed[path].response.DESCRIPTOR is method.output_type
        protocol = getattr(handlers, f"{method.containing_service.name}Handlers")
        handler = getattr(protocol, snake(method.name))
        assert list(inspect.signature(handler).parameters) == ["self", "request", "caller"]


def test_an_agent_closes_handles_of_its_own_machine_only() -> None:
    check_request(pb.PoolEvictRequest(pool="p", handles=["h"]), Role.AGENT, ("node1",))
    check_request(pb.PoolEvictRequest(pool="p", machine="node1"), Role.AGENT, ("node1",))
    check_request(pb.SystemCleanupRequest(machine="node1"), Role.AGENT, ("node1", "10.0.0.1"))
    check_request(pb.SystemCleanupRequest(machine="node2"), Role.AGENT, ())
    check_request(pb.PoolEvictRequest(pool="p"), Role.ADMIN, ())
    with pytest.raises(AccessError, match="all handles"):
        check_request(pb.PoolEvictRequest(pool="p"), Role.AGENT, ())
    for request in (pb.SystemCleanupRequest(machine="node2"), pb.PoolEvictRequest(pool="p", machine="node2")):
        with pytest.raises(AccessError, match="may not close handles of node2"):
            check_request(request, Role.AGENT, ("node1",))
