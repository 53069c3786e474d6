"""Does an incident say how sure its onset is?"""

from __future__ import annotations

import numpy as np
from fleets.build import HOUR, LEARNED, START, hourly, new_fleet

from monitor.incidents.document import incident_document
from monitor.incidents.onset import FURTHEST, NEAREST, onset_interval


def test_the_interval_grows_with_the_time_to_the_alarm() -> None:
    """It holds the onset, ends before the alarm, and is a tick wide at least."""
    for span in (0.0, 60.0, 6000.0):
        low, high = onset_interval(10_000.0 - span, 10_000.0, 60.0)
        assert low <= 10_000.0 - span <= high <= 10_000.0
        assert low == 10_000.0 - FURTHEST * span - 60.0
        assert high == min(10_000.0, 10_000.0 - NEAREST * span + 60.0)


def test_an_incident_tells_it() -> None:
    """What began to move began within the interval that its incident and its cell tell, and the API shows."""
    fleet, rng = new_fleet({"tick": "1h", "learn": {"events": 1000, "for": "1d"}}), np.random.default_rng(4)
    began = 2 * LEARNED
    incidents = hourly(
        fleet, lambda i: {"x": float(rng.normal()) + 0.8 * (i >= began * 50)}, range(3 * LEARNED), per_hour=50
    )
    fired = incidents[0]
    assert fired.onset_interval is not None
    low, high = fired.onset_interval
    assert low - HOUR <= START + began * HOUR <= high + HOUR
    assert fired.cells[0].onset_interval == fired.onset_interval
    document = incident_document(fired)
    assert document["onset_interval"][0] <= document["onset_time"] <= document["onset_interval"][1]
