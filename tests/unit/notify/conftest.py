"""The fixtures of notifying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit.notify.stage import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A real HTTP server on the loopback."""
    local = LocalServer()
    yield local
    local.stop()
