"""Do ticks with more events than a count of 16 bits holds lose any of them?"""

from __future__ import annotations

import numpy as np
from fleets.build import DAY, START, decoded, event, new_fleet

from monitor.kernels.tally import EVENTS, PRESENT

EACH, TIMES = 30_000, 5


def test_every_event_is_counted() -> None:
    """Batch after batch of one second: of each feature the tick has as many values as there were events."""
    fleet = new_fleet()
    batch = decoded([event(START + i / EACH, {"x": i % 101, "y": "ab"[i % 2]}, version="1") for i in range(EACH)])
    for _ in range(TIMES):
        fleet.absorb(batch, np.zeros(EACH, bool))
    (closed,) = fleet.close(START + DAY).ticks
    head, *features = closed.counts.tolist()
    assert head[0] == TIMES * EACH
    assert [(counts[EVENTS], counts[PRESENT]) for counts in features] == [(TIMES * EACH, TIMES * EACH)] * 2
    assert features[1][:2] == [TIMES * EACH // 2] * 2


def test_a_few_events_take_narrow_counts() -> None:
    """A minute with few events of each of many models is counted in 16 bits."""
    fleet = new_fleet()
    for minute in range(5):
        events = [event(START + 60.0 * minute, {"x": i % 7}, model=f"m{i % 50}") for i in range(3000)]
        fleet.absorb(decoded(events), np.zeros(3000, bool))
    assert fleet.blocks.counts.dtype == np.uint16
