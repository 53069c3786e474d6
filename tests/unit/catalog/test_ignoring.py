"""Traffic that a policy ignores: by segment, by prefix of the id, by model; and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, decoded, event, new_fleet, replayed, write_lines

RULES = {"ignore": ({"segment": {"arm": "shadow", "zone": "x"}}, {"id_prefix": "heartbeat-"})}


@pytest.mark.parametrize(
    ("rest", "ignored"),
    [
        ({"segment": {"arm": "shadow", "zone": "x"}}, True),
        ({"segment": {"arm": "shadow"}}, False),
        ({"segment": {"arm": "x", "zone": "shadow"}}, False),
        ({"id": "heartbeat-7"}, True),
        ({"id": "heartbeat-"}, True),
        ({"id": "heartbeat"}, False),
        ({"id": "a-heartbeat-"}, False),
        ({}, False),
    ],
)
def test_what_holds_is_ignored(rest: dict[str, Any], ignored: bool) -> None:
    """All that an entry says must hold, of the event itself; events beside it in the batch are left alone."""
    fleet = new_fleet(RULES)
    batch = decoded([event(START, {"x": 1}), event(START, {"x": 1}, **rest), event(START, {"x": 1}, id="h")])
    assert fleet.ignoring.ignored(batch).tolist() == [False, ignored, False]


def test_by_model_known_or_not() -> None:
    """Only models whose policy says so ignore anything, before they were met and after."""
    fleet = new_fleet(clauses=[("a*", RULES)])
    batch = decoded([event(START, {"x": 1}, model=m, id="heartbeat-1") for m in ("a1", "b", "a2")])
    for _ in range(2):
        assert fleet.ignoring.ignored(batch).tolist() == [True, False, True]
        fleet.absorb(batch, np.zeros(3, bool))


def test_they_count_nowhere(tmp_path: Path) -> None:
    """A replay with heartbeats among its events says what it says without them."""
    rng = np.random.default_rng(4)
    times = np.sort(START + rng.uniform(0, 3 * DAY, 3000))
    own = [event(float(t), {"x": float(rng.normal())}, id=f"{i}") for i, t in enumerate(times)]
    beats = [event(float(t), {"y": "up"}, id=f"heartbeat-{i}") for i, t in enumerate(times)]
    beats += [event(float(t), {"y": "up"}, model="only", id=f"heartbeat-{i}") for i, t in enumerate(times)]
    config = '[[models]]\nmatch = "*"\ntick = "1h"\nignore = [{ id_prefix = "heartbeat-" }]\n'
    without = replayed(tmp_path, config, write_lines(tmp_path / "own.jsonl", own))
    among = replayed(tmp_path, config, tmp_path / "own.jsonl", write_lines(tmp_path / "beats.jsonl", beats))
    assert (among.events, among.models, among.ticks) == (without.events, 1, without.ticks)
    assert among.fleet.models.items[0].series == without.fleet.models.items[0].series
    assert among.fleet.models.rows["last_time"][0] == pytest.approx(times[-1], abs=HOUR)
