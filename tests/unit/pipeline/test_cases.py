"""Do cases fare alike whatever the batches, where event time leaps, little memory is left and the daemon is killed?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event, write_lines
from unit.pipeline.stage import Stage

from monitor.config import load
from monitor.outcomes import pending as room
from monitor.outcomes.joining import FATES

POLICY = """
clock = { lateness = "5m", leap = "100d" }
dedupe = { horizon = "1s" }
limits = { pending_predictions = 1000 }
models = [{ match = "*", tick = "1h", outcome_horizon = "6h" }]
"""


def story() -> list[bytes]:
    """Predictions and outcomes of ids that come again, with gaps longer than cases wait and are remembered."""
    rng, at, lines = np.random.default_rng(81), START, list[bytes]()
    for i in range(500):
        at += rng.exponential(120.0) + (float(rng.choice([13, 60])) * HOUR if i % 100 == 99 else 0.0)
        part: dict[str, Any] = {"prediction": "ab"[i % 2]} if rng.random() < 0.6 else {"outcome": "ab"[i % 2]}
        lines.append(event(round(at - rng.exponential(300.0), 3), id=f"{rng.integers(60)}", **part))
    return lines


def known(stage: Stage) -> tuple[dict[str, int], int, list[float], int]:
    """What became of outcomes and predictions, how many cases wait, and when the next ones are due; then all end."""
    outcomes = stage.fleet.outcomes
    totals = outcomes.totals.rows
    fates = dict(zip(FATES, totals["fates"][0].tolist(), strict=True))
    waiting, dues = outcomes.n_waiting(), outcomes.pending.dues(np.inf).tolist()
    assert outcomes.pending.room == 1000 - waiting
    stage.pipeline.finish(30 * DAY)
    stage.pipeline.commit(whatever=True)
    assert not [*stage.database.scan_prefix(b"w"), *stage.database.scan_prefix(b"W")]
    return fates, waiting, dues, int(totals["cases"][0])


@pytest.mark.parametrize(("batch", "buffered"), [(17, 0), (40, 20)])
def test_any_batch_and_any_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, buffered: int) -> None:
    """Fates, waiting cases and what matured are those of one batch in memory; at the end the store holds no case."""
    file = write_lines(tmp_path / "events.jsonl", story())
    (tmp_path / "config.toml").write_text(POLICY)
    config = load(tmp_path / "config.toml", {})
    whole = Stage(config, [file], tmp_path / "whole", batch_records=1000)
    whole.run()
    expected = known(whole)
    whole.close()
    assert min(expected[0][name] for name in ("joined", "before_prediction", "after_horizon", "without_prediction")) > 0
    monkeypatch.setattr(room, "BUFFERED_MAX", buffered)
    while not (stage := Stage(config, [file], tmp_path / "cut", batch_records=batch)).run(9, commit_every=4):
        stage.close()
    assert known(stage) == expected
    stage.close()
