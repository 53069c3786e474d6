"""A tick of many models closes in pieces: what is judged does not show it, and the loop looks up between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, MINUTE, START, decoded, event, feed, new_fleet, write_lines
from unit.pipeline.stage import Stage

from monitor.config import load
from monitor.fleet import Fleet
from monitor.groups import comparing
from monitor.tally import pieces

MODELS, HOURS, EVENTS = 6, 42, 60
POLICY = {"tick": "1h", "favourable": ("yes",), "sensitive": ("sex",), "hold": "0s"}


def lived(breathe: Any = None) -> tuple[Fleet, list[Any]]:
    """Models of two groups of people; of every third one a number moves, of every third one group is refused."""
    fleet, rng, incidents = new_fleet(POLICY, per_week=50, per_model=50), np.random.default_rng(5), []
    if breathe is not None:
        fleet.breathe = breathe
    for hour in range(HOURS):
        late, events = hour >= HOURS - 14, []
        for i, (x, u, woman) in enumerate(rng.random((EVENTS * MODELS, 3)).tolist()):
            k, sex = i % MODELS, "f" if woman < 0.5 else "m"
            hurt = late and k % 3 == 1 and sex == "f"
            label = "yes" if u < (0.05 if hurt else 0.7) else "no"
            features = {"x": x + (late and k % 3 == 0), "c": "ab"[woman < 0.3]}
            time = START + hour * HOUR + (i + 0.5) * HOUR / (EVENTS * MODELS)
            events.append(event(time, features, f"m{k}", prediction={"label": label}, sensitive={"sex": sex}))
        incidents += feed(fleet, decoded(events), START + (hour + 1) * HOUR).incidents
    return fleet, incidents


def tables(fleet: Fleet) -> dict[str, Any]:
    rooms = {**fleet.judge.tables, **fleet.conduct.tables(), **fleet.groups.tables(), "traffic": fleet.traffic.rows}
    return {
        f"{room}.{name}": rows[name][: len(rows)]
        for room, rows in {**rooms, "series": fleet.series.rows, "models": fleet.models.rows}.items()
        for name in [field.split(":")[0] for field in rows.signature().split(";")]
    }


def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether all models are judged at once or each for itself: the same cells, references, spending and incidents."""
    whole, told = lived()
    monkeypatch.setattr(pieces, "BLOCK", 1)
    monkeypatch.setattr(comparing, "_PIECE_TALLIES", 1)
    breaths: list[float] = []
    cut, told_of_cut = lived(lambda: breaths.append(0.0))
    assert len(breaths) > HOURS * MODELS
    assert {i.alertname for i in told} >= {"ModelFeatureDrift", "ModelDisparateImpact"}
    assert sorted(map(repr, told)) == sorted(map(repr, told_of_cut))
    assert whole.judge.budget.spent == cut.judge.budget.spent
    assert whole.judge.n_cells == cut.judge.n_cells
    ours, theirs = tables(whole), tables(cut)
    assert len(ours) > 100
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name], equal_nan=array.dtype.kind == "f"), name


def test_pieces_are_whole_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece ends behind a model as soon as it has enough; a model that is larger alone is one piece."""
    monkeypatch.setattr(pieces, "BLOCK", 4)
    model = np.repeat([3, 1, 7, 8], [3, 2, 9, 1])
    assert pieces.pieces(model) == [slice(0, 5), slice(5, 14), slice(14, 15)]
    assert pieces.pieces(model[:0]) == []


def test_pauses_are_measured_and_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever breathes while a tick closes sees positions stand still; each pause is counted."""
    monkeypatch.setattr(pieces, "BLOCK", 1)
    (tmp_path / "config.toml").write_text("")
    lines = [event(START + i * MINUTE / 4, {"a": 1.0}, f"m{i % 4}") for i in range(40)]
    stage = Stage(load(tmp_path / "config.toml", {}), [write_lines(tmp_path / "events.jsonl", lines)], tmp_path / "s")
    seen: list[tuple[int, int]] = []
    positions = stage.source.positions
    monkeypatch.setattr(
        stage.pipeline, "_breathe_out", lambda: seen.append((sum(positions().values()), len(stage.saved)))
    )
    stage.run()
    stage.pipeline.finish(60.0)
    count = stage.metrics.registry.get_sample_value("modelwatch_closing_pause_seconds_count")
    assert count is not None
    assert count > len(seen) > 4
    assert {saved for _, saved in seen} == {0}
    stage.close()
