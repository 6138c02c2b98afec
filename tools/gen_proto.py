"""Generate the modules of the management API from its `.proto`, or with `--check` tell whether they are fresh."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("daos/mgmt/proto")
SOURCE = FOLDER / "daos_mgmt.proto"


def generate(target: Path) -> dict[str, bytes]:
    """Generate into a folder; return the contents of the modules by file name.

    Raises:
        RuntimeError: The compiler refuses the source.
    """
    # The compiler looks for its plugins on PATH; those that fit are beside this interpreter.
    scripts = Path(sys.executable).parent
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        f"--proto_path={ROOT / 'src'}",
        f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
        *(f"--{plugin}_out={target}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")),
        str(ROOT / "src" / SOURCE),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"protoc ended with {done.returncode}: {done.stderr}")
    return {path.name: path.read_bytes() for path in sorted((target / FOLDER).iterdir())}


def stale(fresh: dict[str, bytes], folder: Path) -> list[str]:
    """Return the names of modules that are not what the source makes, or that no source makes."""
    there = {path.name: path.read_bytes() for path in folder.glob("*_pb2*")}
    return sorted(name for name in fresh.keys() | there.keys() if fresh.get(name) != there.get(name))


def main(arguments: list[str]) -> int:
    """Write the modules, or compare them."""
    folder = ROOT / "src" / FOLDER
    with tempfile.TemporaryDirectory() as place:
        fresh = generate(Path(place))
    names = stale(fresh, folder)
    for name in names:
        if "--check" in arguments:
            print(f"{FOLDER / name}: is not what {SOURCE} makes: run python -m tools.gen_proto")
        elif name in fresh:
            (folder / name).write_bytes(fresh[name])
        else:
            (folder / name).unlink()
    return 1 if names and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
