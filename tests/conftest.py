"""What every test may ask for, and what happens where servers are not wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from servers.fixtures import kafka, module_kafka, own_kafka, references, start_alertmanager, start_prometheus, webhook
from servers.need import skipped

from monitor.catalog import rows
from monitor.catalog.rows import Field

__all__ = ["kafka", "module_kafka", "own_kafka", "references", "start_alertmanager", "start_prometheus", "webhook"]

TESTS = Path(__file__).parent
SERVED = ("conformance", "faults", "integration")
"""The rooms of the tests that need servers."""
_RUBBISH = 0x47
"""Each byte of a row that was not added: far outside any table as an index, and neither zero nor true nor a hole."""
SKIPPED = "SKIP_SERVERS=1: tests that need real servers are skipped"


def pytest_report_header() -> list[str]:
    return [SKIPPED] if skipped() else []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run what takes minutes, too: whole data sets, more of chance")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whoever runs what needs servers alone need not import what needs none: each worker would, before its first."""
    alone = config.getoption("markexpr") == "servers" and collection_path.parent == TESTS
    return True if alone and collection_path.is_dir() and collection_path.name not in SERVED else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [] if config.getoption("--long") else [item for item in items if item.get_closest_marker("long")]
    for item in items:
        if item.get_closest_marker("servers") is not None and item.path.relative_to(TESTS).parts[0] not in SERVED:
            raise pytest.UsageError(f"{item.nodeid} needs servers: it belongs into one of {', '.join(SERVED)}")
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    if not skipped():
        return
    for item in items:
        if item.get_closest_marker("servers") is not None:
            item.add_marker(pytest.mark.skip(reason=SKIPPED))


@pytest.fixture(scope="session", autouse=True)
def spare_rows_hold_rubbish() -> Iterator[None]:
    """Rows of a table that nobody added hold what no row may: to read them is an error each time, not by chance."""
    patch = pytest.MonkeyPatch()

    def spoilt(make: Callable[..., NDArray[Any]]) -> Callable[..., NDArray[Any]]:
        def made(field: Field, *where: Any) -> NDArray[Any]:
            array = make(field, *where)
            if not field.rare:
                array.reshape(-1).view(np.uint8)[:] = _RUBBISH
            return array

        return made

    for name in ("_made", "_laid"):
        patch.setattr(rows, name, spoilt(getattr(rows, name)))
    yield
    patch.undo()
