from pathlib import Path

from daos.mgmt.proto import daos_mgmt_pb2 as pb
from tools.gen_proto import FOLDER, ROOT, generate, stale


def test_the_committed_modules_are_what_the_source_makes(tmp_path: Path) -> None:
    fresh = generate(tmp_path)
    assert sorted(fresh) == [f"daos_mgmt_pb2{end}" for end in (".py", ".pyi", "_grpc.py", "_grpc.pyi")]
    assert stale(fresh, ROOT / "src" / FOLDER) == []


def test_a_module_that_is_old_missing_or_left_over_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a_pb2.py").write_bytes(b"old")
    (tmp_path / "left_pb2.py").write_bytes(b"")
    assert stale({"a_pb2.py": b"new", "b_pb2.py": b""}, tmp_path) == ["a_pb2.py", "b_pb2.py", "left_pb2.py"]


def test_requests_that_change_something_carry_an_id_as_their_first_field() -> None:
    queries = {
        *("LeaderQuery", "SystemQuery", "SystemGetAttr", "SystemGetProp"),
        *("PoolList", "PoolQuery", "PoolQueryTargets", "PoolGetProp", "PoolGetAcl", "PoolFind", "GetAttachInfo"),
    }
    for name, method in pb.DESCRIPTOR.services_by_name["Management"].methods_by_name.items():
        fields = method.input_type.fields_by_number
        has_id = 1 in fields and fields[1].message_type is pb.RequestId.DESCRIPTOR
        assert has_id == (name not in queries), name


def test_states_of_members_are_those_of_the_model() -> None:
    from daos.model.members import MemberState

    prefix = "MEMBER_STATE_"
    numbers = {name.removeprefix(prefix): number for name, number in pb.MemberState.items() if number}
    assert numbers == {state.name: state.value for state in MemberState}
