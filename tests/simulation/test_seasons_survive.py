"""What was learned of a season is the same, whatever the batch sizes, and whatever is killed on the way."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event, write_lines
from unit.pipeline.stage import Stage

from monitor.config import load
from monitor.diaries import DIARY
from monitor.seasons import LEARNED, LINKS, PROFILE


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Seventeen days of two models with a season, one of which leaves it; and their configuration."""
    directory, rng = tmp_path_factory.mktemp("season"), np.random.default_rng(73)
    lines = []
    for t in np.arange(START + 30 * HOUR, START + 30 * HOUR + 17 * DAY, HOUR / 16).tolist():
        swing = math.sin(2 * math.pi * t / DAY)
        for model in ("stays", "leaves"):
            off = 1.5 if model == "leaves" and t > START + 17.5 * DAY else 0.0
            lines.append(event(round(t, 3), {"x": round(swing + off + rng.normal(), 6)}, model=model))
    settings = directory / "config.toml"
    settings.write_text('[[models]]\nmatch = "*"\ntick = "1h"\n')
    return write_lines(directory / "events.jsonl", lines), settings


def known(stage: Stage) -> dict[str, object]:
    """All that was learned, and what was told."""
    stage.pipeline.finish(DAY)
    seasons = stage.fleet.judge.seasons
    tables = ((seasons.links, LINKS), (seasons.diaries.rows, DIARY), (seasons.profiles, PROFILE))
    arrays = [[table[field][: len(table)].tobytes() for field in fields] for table, fields in tables]
    has = np.flatnonzero(seasons.profiles["series"][: len(seasons.profiles)] >= 0)
    arrays.append([shape.tobytes() for shape in seasons.shapes.read(has)])
    told = sorted(i.incident.id for i in stage.fleet.book.open.values())
    return {"arrays": arrays, "told": told, "stage": seasons.links["stage"][: len(seasons.links)].tolist()}


def test_killed_anywhere(story: tuple[Path, Path], tmp_path: Path) -> None:
    """Diaries, profiles and incidents after many kills are those of a daemon that never stopped."""
    file, config = story
    settings, rng = load(config, {}), random.Random(7)
    whole = Stage(settings, [file], tmp_path / "whole", batch_records=700)
    whole.run(commit_every=1)
    expected = known(whole)
    whole.close()
    assert set(expected["stage"]) == {LEARNED}
    assert any(expected["arrays"][-1][0])
    assert len(expected["told"]) == 1
    kills = 0
    while True:
        stage = Stage(settings, [file], tmp_path / "killed", batch_records=rng.choice([100, 313, 2000]))
        if stage.run(turns=None if kills > 15 else rng.randint(1, 8), commit_every=rng.randint(1, 4)):
            break
        stage.close()
        kills += 1
    assert known(stage) == expected
    stage.close()
    assert kills > 3
