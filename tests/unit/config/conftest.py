"""How the tests of the configuration write a file and read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from monitor.config import Config, load
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., Config]
Faults = Callable[..., list[str]]


@pytest.fixture
def config_of(tmp_path: Path) -> Load:
    def config_of(
        text: str, environ: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
    ) -> Config:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return load(path, environ or {}, flags or {})

    return config_of


@pytest.fixture
def faults_of(config_of: Load, tmp_path: Path) -> Faults:
    def faults_of(
        text: str, environ: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
    ) -> list[str]:
        with pytest.raises(ConfigError) as raised:
            config_of(text, environ, flags)
        return str(raised.value).replace(f"{tmp_path}/", "").splitlines()

    return faults_of
