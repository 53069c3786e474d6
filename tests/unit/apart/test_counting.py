"""Are the events of a group all counted, however many of them come in one tick?"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import new_fleet

from monitor.kernels.lean import NO_PLACES, NOWHERE

EVENTS = 200_000


@pytest.mark.parametrize("batch", [1_000, 64_000, EVENTS])
def test_a_tick_may_have_more_than_16_bits_count(batch: int) -> None:
    """Of a group that has 200,000 events in a tick, all in one stratum of a feature, its day has as many."""
    counting = new_fleet().apart.counting
    for first in range(0, EVENTS, batch):
        n = min(batch, EVENTS - first)
        places = np.full((n, 2), NO_PLACES)
        places[:, 0] ^= np.uint64(NOWHERE)  # the first feature lies in stratum 0
        counting.add(np.repeat([4, 7], n), np.tile(np.arange(n), 2), places)
    rows = counting.rows.of(np.array([4, 7]))
    assert [counting._day(row)[0, 0] for row in rows.tolist()] == [EVENTS, EVENTS]
    assert counting.events([4, 7]).tolist() == [EVENTS, EVENTS]
