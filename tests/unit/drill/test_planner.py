"""Is what a model could not see said beforehand, with how much more it would need?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fleets.build import HOUR, START, event, write_lines

from monitor.cli import main


@pytest.mark.parametrize(("per_hour", "blind"), [(1, True), (60, False)])
def test_thin_traffic_is_blind_and_says_so(tmp_path: Path, per_hour: int, blind: bool) -> None:
    """Cells of drift and errors are named with days and events needed; with sixty times the traffic none is."""
    rng, hours = np.random.default_rng(2), 24 * 50 if per_hour == 1 else 24 * 4
    lines = []
    for i in range(hours * per_hour):
        t, label = START + i * HOUR / per_hour, "ab"[int(rng.integers(2))]
        lines.append(event(t, {"x": float(rng.normal())}, id=str(i), prediction={"label": label}))
        lines.append(event(t + 1.0, id=str(i), outcome=label if rng.uniform() < 0.7 else "c"))
    config = tmp_path / "config.toml"
    config.write_text('[[models]]\nmatch = "*"\ntick = "6h"\noutcome_horizon = "1h"\ntolerance = {drift = 0.02}\n')
    out = tmp_path / "out"
    events = str(write_lines(tmp_path / "events.jsonl", lines))
    assert main(["replay", events, "--config", str(config), "--out", str(out)]) == 0
    document = json.loads((out / "models" / "m.json").read_text())
    spots = [spot for spot in document["blind_spots"] if "events_needed" in spot]
    if not blind:
        assert not [spot for spot in spots if spot["detector"] == "drift"]
        return
    assert {spot["detector"] for spot in spots} >= {"drift", "performance"}
    rate = 24.0 * per_hour
    for spot in spots:
        assert spot["days"] > 30.0
        assert spot["events_needed"] == pytest.approx(spot["days"] * rate, rel=0.15)
        assert "within 30 days" in spot["why"]
