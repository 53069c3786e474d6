"""Where the real servers are, and the one line that is said where one of them is missing."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL = "scripts/servers.sh"


class MissingServerError(pytest.fail.Exception):
    """A server that is not installed fails the test with one line, wherever it is asked for."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is missing: run {INSTALL}, or set SKIP_SERVERS=1 to skip the tests that need servers",
            pytrace=False,
        )


def skipped() -> bool:
    return os.environ.get("SKIP_SERVERS") == "1"


def program(*names: str) -> str:
    """The first of ``names`` that is installed; distributions name some servers differently."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise MissingServerError(" or ".join(names))


def kafka_libraries() -> Path:
    """The directory of the broker's jars, of the version that the pom names."""
    pom = (Path(__file__).parent / "kafka" / "pom.xml").read_text()
    version = re.search("<kafka.version>(.*)</kafka.version>", pom)
    assert version is not None
    libraries = ROOT / ".cache" / "kafka-libs" / version[1]
    if not (libraries / ".complete").exists():
        raise MissingServerError(f"Kafka {version[1]} (.cache/kafka-libs)")
    return libraries
