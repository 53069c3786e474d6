"""Is a library taken only if it fits, and is one built wherever a compiler is?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.kernels import build, library

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_or_broken(tmp_path: Path) -> None:
    """No file, and a file that is no library, are no library."""
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    assert library.load(tmp_path / "none.so") is None
    assert library.load(broken) is None


def test_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library whose sources changed since is not taken: it would read other arguments than it is given."""
    if next(build.compilers(), None) is None:
        pytest.skip("no C compiler")
    source = tmp_path / "built_from.c"
    source.write_text((library.SOURCES / "built_from.c").read_text())
    monkeypatch.setattr(library, "SOURCES", tmp_path)
    assert build.build(tmp_path / "kernels.so") is not None
    assert library.load(tmp_path / "kernels.so") is not None
    (tmp_path / "more.h").write_text("")
    assert library.load(tmp_path / "kernels.so") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built_from.c", "kernels.so", "more.h"]


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a compiler the build says so in one line and fails."""
    monkeypatch.setattr(build, "compilers", lambda: iter(()))
    assert build.main() == 1
    assert capsys.readouterr().err == "no C compiler could build the kernels; install one, or set CC\n"


def test_next_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that fails leaves nothing behind, and the next one is tried."""
    monkeypatch.setattr(build, "compilers", lambda: iter((["false"], ["false", "again"])))
    assert build.build(tmp_path / "kernels.so") is None
    assert list(tmp_path.iterdir()) == []


def test_named_compiler_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC may hold a command with arguments; one that is not there is passed over."""
    monkeypatch.setenv("CC", "true -m64")
    assert next(build.compilers()) == ["true", "-m64"]
    monkeypatch.setenv("CC", "no-such-compiler")
    assert ["no-such-compiler"] not in list(build.compilers())
