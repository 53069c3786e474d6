"""Does it matter to what is counted how many events come at once, whatever they name, leave out or send broken?"""

from __future__ import annotations

from typing import Any

import numpy as np
from fleets.build import START, decoded, event, new_fleet
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events.columns import EventBatch
from monitor.fleet import Fleet

EVENTS, MODELS, FEATURES, SERIES_MAX = 300, 3, 9, 10


def value(rng: np.random.Generator, feature: int) -> Any:
    """A value of a feature, mostly of its own kind: every other one has numbers."""
    odd: list[Any] = [None, [1], True, "a", 1e308, -0.0, 0.0]
    if rng.random() < 0.12:
        return odd[rng.integers(len(odd))]
    return float(rng.normal()) if feature % 2 else f"c{int(rng.exponential(4))}"


def messy(seed: int) -> EventBatch:
    """Events of some models, each of which names the same features in one order as a rule, until that is another."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(FEATURES) for _ in range(MODELS)]
    events = []
    for i in range(EVENTS):
        model = int(rng.integers(MODELS))
        if rng.random() < 0.05:
            rng.shuffle(orders[model])
        named = [f for f in orders[model].tolist() if rng.random() < 0.99] if rng.random() < 0.95 else []
        rest: dict[str, Any] = {"prediction": {"score": float(rng.random()), "label": "yn"[rng.integers(2)]}}
        if rng.random() < 0.5:
            rest["sensitive"] = {"sex": "fm"[rng.integers(2)]}
        features = {f"f{f}": value(rng, f) for f in named}
        events.append(event(START + 4.0 * i, features or None, model=f"m{model}", id=str(i), **rest))
    return decoded(events)


def counted(batch: EventBatch, at_once: int) -> Fleet:
    """A fleet that had the events ``at_once`` at a time, some of them late."""
    fleet = new_fleet({"tick": "5m"}, series_max=SERIES_MAX, categories_max=9)
    for first in range(0, len(batch), at_once):
        some = batch.part(first, min(first + at_once, len(batch)))
        fleet.absorb(some, np.arange(first, first + len(some)) % 23 == 0)
    return fleet


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 64, EVENTS]))
def test_counts_know_no_batches(seed: int, at_once: int) -> None:
    """Series, counts, moments and what a model leans on are those of batches of one event, bit for bit."""
    batch = messy(seed)
    alone, together = counted(batch, 1), counted(batch, at_once)
    n = len(alone.series.rows)
    assert alone.series.names == together.series.names
    for name in ("key", "kind", "n_edges", "edges", "n_categories"):
        assert alone.series.rows[name][:n].tobytes() == together.series.rows[name][:n].tobytes(), name
    assert alone.leaning.sums["answer"]["sums"][:n].tobytes() == together.leaning.sums["answer"]["sums"][:n].tobytes()
    ours, others = alone.blocks.opened(), together.blocks.opened()
    assert [ours.model.tolist(), ours.tick.tolist()] == [others.model.tolist(), others.tick.tolist()]
    for base, other, size in zip(ours.base.tolist(), others.base.tolist(), ours.size.tolist(), strict=True):
        own, rows = slice(base, base + size), slice(other, other + size)
        assert (alone.blocks.counts[own] == together.blocks.counts[rows]).all()
        assert alone.blocks.moments[own].tobytes() == together.blocks.moments[rows].tobytes()
