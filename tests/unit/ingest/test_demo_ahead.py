"""Does a process of their own draw the demo's events as they would be drawn here?"""

from __future__ import annotations

import multiprocessing

import pytest

from monitor.errors import IngestError
from monitor.ingest.demo import DemoFleet
from monitor.ingest.demo_ahead import drawn_ahead


def test_the_same_events_come_from_elsewhere() -> None:
    """Event for event what the fleet says itself; when all were had the process is gone."""
    fleet = DemoFleet(models=20, days=0.2)
    with drawn_ahead(fleet.recipe) as slices:
        assert [event for drawn in slices for event in drawn] == [event for drawn in fleet.slices() for event in drawn]
    assert not multiprocessing.active_children()


def test_events_that_end_too_early_are_no_end() -> None:
    """Where the process dies the demo says so, rather than judge half a week."""
    with drawn_ahead(DemoFleet(models=300).recipe) as slices:
        next(slices)
        (process,) = multiprocessing.active_children()
        process.kill()
        with pytest.raises(IngestError, match="ended before"):
            list(slices)
