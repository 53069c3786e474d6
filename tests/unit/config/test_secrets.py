"""How secrets are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.catalog.secrets import SECRET_BYTES_MAX, read_secret
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_secret_loses_its_line_end_alone(tmp_path: Path) -> None:
    """Spaces belong to a password, the editor's line end does not."""
    (tmp_path / "s").write_bytes(b" pass word \r\n")
    assert read_secret(tmp_path / "s") == " pass word "


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfehunter2", b"hunter2" * SECRET_BYTES_MAX])
def test_an_unusable_secret_names_its_file_alone(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, empty, binary or huge is named, and its content is not."""
    path = tmp_path / "s"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        read_secret(path)
    assert str(path) in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_impossible_path_is_a_configuration_error() -> None:
    """A NUL in a path ends in an error of ours."""
    with pytest.raises(ConfigError, match="is not a path"):
        read_secret("a\0b")
