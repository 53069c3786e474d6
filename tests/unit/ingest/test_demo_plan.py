"""The planner says beforehand which faults the traffic can show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor import demo
from monitor.clock import ManualClock
from monitor.ingest.demo import DemoFleet
from monitor.ingest.demo_faults import FaultKind
from monitor.ingest.demo_plan import CHANCE_MIN, Outlook


def outlooks(tmp_path: Path, models: int = 40, days: float = 7.0) -> tuple[Outlook, ...]:
    fleet = DemoFleet(models, 5, days)
    return demo.planned(fleet, demo.prepare(fleet, tmp_path))


def test_larger_and_longer_is_seen_sooner(tmp_path: Path) -> None:
    """In a week most faults show, in four hours hardly one does, and no chance falls with time."""
    week, hours = outlooks(tmp_path), outlooks(tmp_path, days=1 / 6)
    assert all(0.0 <= outlook.chance <= 1.0 for outlook in (*week, *hours))
    assert np.mean([outlook.visible for outlook in week]) > 0.7
    assert np.mean([outlook.visible for outlook in hours]) < 0.5
    by_kind = {outlook.fault.kind: outlook for outlook in hours}
    assert all(one.chance > by_kind[one.fault.kind].chance - 0.05 for one in week)


def test_what_vanished_shows_at_once(tmp_path: Path) -> None:
    """A feature that is gone is told with certainty, however quiet the model."""
    [gone] = [one for one in outlooks(tmp_path) if one.fault.kind is FaultKind.VANISHED]
    assert gone.chance == pytest.approx(1.0)
    assert gone.events > 100


@pytest.mark.statistical
def test_the_demo_keeps_what_the_planner_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 40 models' faults those named visible are found, but for the tenth that chance may take, and nothing is false.

    28 faults of a chance of at least .9: six missed, or fewer, in 98.2 of 100 runs at the worst.
    """
    fleet = DemoFleet(40, 5)
    config = demo.prepare(fleet, tmp_path)
    report = demo.judged(demo.planned(fleet, config), fleet, config, ManualClock(fleet.start))
    assert report.planted + report.undetectable == len(fleet.faults) == 28
    assert all(one.outlook.chance >= CHANCE_MIN for one in report.findings if one.outlook.visible)
    assert report.missed <= 6
    assert len(report.false) <= 1
