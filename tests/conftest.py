"""What every test may ask for, and what happens where servers are not wanted."""

from __future__ import annotations

import pytest
from servers.fixtures import kafka, module_kafka, own_kafka, references, start_alertmanager, start_prometheus, webhook
from servers.need import skipped

__all__ = ["kafka", "module_kafka", "own_kafka", "references", "start_alertmanager", "start_prometheus", "webhook"]

SKIPPED = "SKIP_SERVERS=1: tests that need real servers are skipped"


def pytest_report_header() -> list[str]:
    return [SKIPPED] if skipped() else []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run what takes minutes, too: whole data sets, more of chance")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [] if config.getoption("--long") else [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    if not skipped():
        return
    for item in items:
        if item.get_closest_marker("servers") is not None:
            item.add_marker(pytest.mark.skip(reason=SKIPPED))
