"""What is too small to matter where nobody said it: less of what is rare, more of what its neighbours' days show."""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import HOUR, START, columns, feed, new_fleet

from monitor.detectors.cell import in_proportion
from monitor.seasons import at_least_usual


def test_a_tolerance_in_proportion_is_alike_in_standard_deviations() -> None:
    """All of it at a half, .6 of it at a tenth or nine tenths, and never less than a quarter."""
    shares = np.array([0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
    assert in_proportion(np.full(6, 0.02), shares) == pytest.approx([0.005, 0.005, 0.012, 0.02, 0.012, 0.005])


@pytest.mark.parametrize(("keys", "wanted"), [({}, 0.012), ({"performance": 0.04}, 0.024), ({"quality": 0.02}, 0.02)])
def test_a_tolerance_of_quality_that_is_said_is_kept(keys: dict[str, float], wanted: float) -> None:
    """One that is not follows the share of the reference: here a tenth of the values is no number."""
    fleet = new_fleet({"tick": "1h", "tolerance": {"drift": 0.02} | keys})
    n = 3000
    times = START + np.arange(n) * 48 * HOUR / n
    values = np.where(np.arange(n) % 10 == 0, np.nan, np.arange(n) % 7)
    feed(fleet, columns(times, ["m"] * n, {"x": values}))
    state = fleet.judge.states["invalid"]
    row = int(np.flatnonzero(state["applies"][: len(fleet.series.rows)])[0])
    assert state["tolerance"][row] == pytest.approx(wanted, rel=0.01)


def test_a_calm_series_wanders_as_its_model_does() -> None:
    """What a series shows is raised to the lower median of its model's, and what shows more stays."""
    values = np.array([1.0, 9.0, 30.0, 1.0, 2.0, 7.0, 20.0, 5.0], np.float32)
    model = np.array([3, 3, 3, 1, 1, 1, 1, 2], np.int32)
    assert at_least_usual(values, model).tolist() == [9.0, 9.0, 30.0, 2.0, 2.0, 7.0, 20.0, 5.0]
