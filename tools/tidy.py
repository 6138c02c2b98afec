"""The repository lints itself: what no other gate sees.

Each rule is a function of a `Tree`, which a test can make by hand; each finding is a line `path:line: what`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 600
BLOB_BYTES_MAX = 256 << 10
# Files over LINES_MAX, each with the reason it is not split.
LONG_FILES: dict[str, str] = {
    "benches/targets.toml": "a list of what is wanted, of which half is names",
    "tools/system_rounds.py": "a load, its histories, what checks them, and what kills: of no use apart",
    "src/daos/_core.pyi": "the seam on one page: stubs have a file a module",
    "tests/fake_core.py": "one fake of one seam",
    "src/daos/mgmt/proto/daos_mgmt.proto": "the whole API on one page, of which a third is comment",
}
# The lines of these are not ours.
FOREIGN = ("Cargo.lock", "LICENSE")
GENERATED = re.compile(r"_pb2(?:_grpc)?\.pyi?$")

UNFINISHED = re.compile(r"\b(?:FIXME|TODO|XXX|HACK)\b")
# Put together here so that this file does not find itself.
BANNED: dict[str, str] = {
    "/" + "work/": "a path of one machine",
    "." + "library": "a path of one machine",
    "/root" + "/": "a path of one machine",
    "style" + ".md": "a page outside the repository",
    "design" + ".md": "a page outside the repository",
    "print" + 'ln!("DEBUG': "debugging output",
    "break" + "point()": "debugging",
}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CITATION = re.compile(r"`([\w./-]+\.(?:py|pyi|rs))::([\w.]+)`")
MAP_DIR = re.compile(r"^\|\s*`((?:rust|src/daos|tests|tools|docs|benches)[\w/.-]*)`", re.MULTILINE)


@dataclass(frozen=True)
class Tree:
    """The files of a repository: their texts, and the sizes of all.

    Attributes:
        texts: Path to text, of each file that is UTF-8.
        sizes: Path to size in bytes, of each file.
    """

    texts: dict[str, str]
    sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Tree:
        """Read what git tracks or would add."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
        texts, sizes = {}, {}
        for name in filter(None, names):
            path = root / name
            if not path.is_file():
                continue  # deleted, not yet committed
            data = path.read_bytes()
            sizes[name] = len(data)
            try:
                texts[name] = data.decode()
            except UnicodeDecodeError:
                continue
        return cls(texts, sizes)

    def ours(self) -> Iterator[tuple[str, str]]:
        """Yield path and text of the files that we write."""
        yield from (
            (path, text)
            for path, text in sorted(self.texts.items())
            if Path(path).name not in FOREIGN and not GENERATED.search(path)
        )

    def folders(self) -> set[str]:
        """Return every folder that holds a file, at any depth."""
        return {parent.as_posix() for path in self.sizes for parent in Path(path).parents} - {"."}


Rule: TypeAlias = Callable[[Tree], Iterator[str]]


def lines_of(tree: Tree) -> Iterator[str]:
    """Lines: nothing unfinished, nothing of another place, no trailing space, a newline at the end."""
    for path, text in tree.ours():
        about_tidy = path in ("tools/tidy.py", "tests/unit/test_tidy.py")
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"{path}:{number}: trailing whitespace"
            if about_tidy:
                continue
            if UNFINISHED.search(line):
                yield f"{path}:{number}: unfinished: finish it or open an issue"
            for word, why in BANNED.items():
                if word in line:
                    yield f"{path}:{number}: {word}: {why}"
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at the end"


def sizes_of(tree: Tree) -> Iterator[str]:
    """Sizes: no long files without a reason, no blobs."""
    for path, size in sorted(tree.sizes.items()):
        if size > BLOB_BYTES_MAX:
            yield f"{path}: {size} bytes, at most {BLOB_BYTES_MAX}"
    for path, text in tree.ours():
        count = text.count("\n")
        if count > LINES_MAX and path not in LONG_FILES:
            yield f"{path}: {count} lines, at most {LINES_MAX}: split it, or say why not in LONG_FILES"
    for path in LONG_FILES:
        if tree.texts.get(path, "").count("\n") <= LINES_MAX:
            yield f"{path}: is not long any more: take it out of LONG_FILES"


def links_of(tree: Tree) -> Iterator[str]:
    """Links: each relative link of a Markdown page leads to a file or folder."""
    known = set(tree.sizes) | tree.folders()
    for path, text in tree.ours():
        if not path.endswith(".md"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:|#", target):
                    continue
                name = target.split("#")[0]
                parts: list[str] = []
                for part in (*Path(path).parent.parts, *Path(name).parts):
                    if part == "..":
                        parts = parts[:-1]
                    elif part != ".":
                        parts.append(part)
                if "/".join(parts) not in known:
                    yield f"{path}:{number}: dead link {target}"


def defines(path: str, text: str, symbol: str) -> bool:
    """Tell whether a Python or Rust file defines a symbol; of a dotted one, every part."""
    if path.endswith((".py", ".pyi")):
        names = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
        return all(part in names for part in symbol.split("."))
    keyword = r"\b(?:fn|struct|enum|trait|type|const|static|mod|macro_rules!)\s+"
    return all(re.search(keyword + re.escape(part) + r"\b", text) for part in symbol.split("."))


def architecture_of(tree: Tree) -> Iterator[str]:
    """Architecture: citations resolve, and the code map names each folder of code, no other."""
    page = "ARCHITECTURE.md"
    text = tree.texts.get(page, "")
    for number, line in enumerate(text.split("\n"), 1):
        for path, symbol in CITATION.findall(line):
            if path not in tree.texts:
                yield f"{page}:{number}: no file {path}"
            elif not defines(path, tree.texts[path], symbol):
                yield f"{page}:{number}: {path} defines no {symbol}"
    mapped = {name.rstrip("/") for name in MAP_DIR.findall(text)}
    folders = tree.folders()
    present = {
        folder
        for folder in folders
        for top in ("rust", "src/daos")
        if folder.startswith(f"{top}/") and folder.count("/") == top.count("/") + 1
    }
    for name in sorted(mapped - folders - set(tree.sizes)):
        yield f"{page}: the code map names {name}, which is not there"
    for name in sorted(present - mapped):
        yield f"{page}: the code map lacks {name}"


RULES: tuple[Rule, ...] = (lines_of, sizes_of, links_of, architecture_of)


def main() -> int:
    """Print all findings."""
    tree = Tree.of(ROOT)
    findings = [finding for rule in RULES for finding in rule(tree)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
