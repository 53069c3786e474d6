"""Which inputs came before: what is remembered of them."""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import MINUTE, START, decoded, event, new_fleet

from monitor.fleet import Fleet
from monitor.kernels import tally
from monitor.kernels.tally import REPEATED_INPUTS, WITH_INPUTS


def seen(fleet: Fleet) -> tuple[list[int], list[int]]:
    """The marks of the inputs of model ``m``, and how many of its events had inputs and inputs that came before."""
    row = fleet.find_model("m")
    assert row is not None
    base = int(fleet.blocks.bases(np.array([row], np.int32), np.array([START // 3600], np.int64), *sizes(fleet))[0])
    counts = fleet.blocks.counts[base, [WITH_INPUTS, REPEATED_INPUTS]]
    return fleet.conduct.inputs["recent"][row].tolist(), counts.tolist()


def sizes(fleet: Fleet) -> tuple[np.ndarray, np.ndarray]:
    return fleet.models.rows["tick"], fleet.models.rows["n_series"]


@pytest.mark.parametrize("compiled", [True, False])
def test_the_rest_of_the_fleet_changes_nothing(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which inputs are known again depends on what a model was asked alone: not on what else its batches bring.

    A print made of rows would: rows are in the order in which a batch meets the series of all its models.
    """
    if not compiled:
        monkeypatch.setattr(tally, "compiled", lambda: None)
    rng = np.random.default_rng(3)
    asked = [{"x": float(x), "c": "ab"[i % 2], "n": i % 3} for i, x in enumerate(rng.integers(0, 9, 200))]
    events = [event(START + i, one) for i, one in enumerate(asked)]
    others = [event(START + MINUTE, dict.fromkeys("pqrs", 1.0), model="o")]
    alone, together = (new_fleet({"tick": "1h"}) for _ in range(2))
    for one in decoded(events), decoded(others):
        alone.absorb(one, np.zeros(len(one), bool))
    for part in [*others, *events]:
        batch = decoded([part])
        together.absorb(batch, np.zeros(1, bool))
    marks, (with_inputs, repeated) = seen(alone)
    assert (marks, [with_inputs, repeated]) == seen(together)
    assert with_inputs == 200
    assert 40 < repeated < 200
