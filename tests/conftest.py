"""What every test may ask for, and what happens where servers are not wanted."""

from __future__ import annotations

import pytest
from servers.fixtures import kafka, module_kafka, own_kafka, references, start_alertmanager, start_prometheus, webhook
from servers.need import skipped

__all__ = ["kafka", "module_kafka", "own_kafka", "references", "start_alertmanager", "start_prometheus", "webhook"]

SKIPPED = "SKIP_SERVERS=1: tests that need real servers are skipped"


def pytest_report_header() -> list[str]:
    return [SKIPPED] if skipped() else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not skipped():
        return
    for item in items:
        if item.get_closest_marker("servers") is not None:
            item.add_marker(pytest.mark.skip(reason=SKIPPED))
