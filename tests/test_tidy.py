"""What no linter knows of: how the sources are kept, whoever writes them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "monitor"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_MAX = 500
FUNCTION_LINES_MAX = 70
SPEAKS = {PACKAGE / "cli.py", PACKAGE / "commands_on_files.py", PACKAGE / "demo.py"}
"""Who prints: the commands' own results."""
ASKS_THE_TIME = PACKAGE / "clock.py"

# Written in parts, so that this file is not what it looks for.
HOSTS = tuple(
    ".".join(parts).replace("~", "")
    for parts in (
        ("pypi", "org"),
        ("python~hosted", "org"),
        ("maven", "org"),
        ("repo", "maven", "apache"),
        ("npm~js", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
)
UNDONE = tuple(a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X")))
NOT_OURS = {"__pycache__", "build", "dist", "node_modules"}
DOTTED_OURS = {".ci", ".gitignore"}


def kept_files(directory: Path = ROOT) -> Iterator[Path]:
    """The files that belong to the project: neither caches nor environments nor what is built."""
    for path in sorted(directory.iterdir()):
        hidden = path.name.startswith(".") and path.name not in DOTTED_OURS
        if hidden or path.name in NOT_OURS or path.suffix in {".so", ".egg-info", ".pyc"}:
            continue
        if path.is_dir():
            yield from kept_files(path)
        else:
            yield path


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in MODULES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_module_says_what_it_answers() -> None:
    """The first line of each module's docstring is a whole sentence, or a question."""
    silent = []
    for path, tree in trees():
        first = (ast.get_docstring(tree) or "").split("\n")[0]
        if not first.endswith((".", "?")) or not re.match(r"[A-Z`]", first):
            silent.append(f"{place(path, 1)}: {first!r}")
    assert silent == []


def test_only_the_clock_asks_for_the_time() -> None:
    """No module but clock.py imports `time`, or asks `datetime` what time it is."""
    asking = []
    for path, tree in trees():
        if path == ASKS_THE_TIME:
            continue
        for node in ast.walk(tree):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            now = isinstance(node, ast.Attribute) and node.attr in {"utcnow", "today"}
            now |= isinstance(node, ast.Attribute) and ast.unparse(node) in {"datetime.now", "datetime.datetime.now"}
            if "time" in named or now:
                asking.append(place(path, node.lineno))
    assert asking == []


def test_no_registry_is_named() -> None:
    """No file names the host of a package registry: whoever builds this says where packages come from."""
    named = []
    for path in kept_files():
        text = path.read_bytes().decode(errors="replace").lower()
        named += [f"{path.relative_to(ROOT)}: {host}" for host in HOSTS if host in text]
    assert named == []


@pytest.mark.parametrize("word", UNDONE)
def test_nothing_is_left_for_later(word: str) -> None:
    """No source, page or script holds a note of what is still to be done."""
    pattern = re.compile(rf"\b{word}\b")
    kinds = {".py", ".c", ".h", ".md", ".toml", ".sh", ".yml"}
    files = [path for path in kept_files() if path.suffix in kinds]
    assert [str(path.relative_to(ROOT)) for path in files if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_modules_are_short() -> None:
    """No module of the package has more than 500 lines."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert [f"{path.relative_to(ROOT)}: {n}" for path, n in lengths.items() if n > LINES_MAX] == []


def test_functions_are_short() -> None:
    """No function of the package has more than 70 lines, its docstring included."""
    long = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                long.append(f"{place(path, node.lineno)}: {node.name}: {lines}")
    assert long == []


def test_only_commands_print() -> None:
    """Results are printed by the commands alone; everything else returns facts or logs them."""
    printing = []
    for path, tree in trees():
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and path not in SPEAKS)
        printing += [place(path, node.lineno) for node in calls if ast.unparse(node.func) == "print"]
    assert printing == []
