"""A policy in the shadow, from events to what Alertmanager is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fleets.build import MINUTE, START, event, write_lines

from monitor.catalog import profile, training
from monitor.clock import ManualClock
from monitor.config import load
from monitor.incidents.incident import Incident
from monitor.replay import of_files

POLICY = '[[models]]\nmatch = "*"\nreference = "file:{path}"\ntick = "10m"\n'


def told(tmp_path: Path, more: str) -> list[Incident]:
    """What is said of a model whose feature goes missing after two hours."""

    def lines(n: int, broken: int) -> list[bytes]:
        features: list[dict[str, Any]] = [{"x": float(i * 37 % 101), "y": "a"} for i in range(n)]
        for each in features[broken:]:
            each["x"] = None
        return [event(START + i * 10.0, each) for i, each in enumerate(features)]

    good = write_lines(tmp_path / "good.jsonl", lines(1500, 1500))
    built = training.build(good, "m", "", training.Columns(), lambda _done, _total: None).profile
    profile.save(built, tmp_path / "m.mwref")
    config = tmp_path / "config.toml"
    config.write_text(POLICY.format(path=tmp_path / "m.mwref") + more)
    events = write_lines(tmp_path / "events.jsonl", lines(1440, 720))
    return of_files(load(config, {}), [str(events)], ManualClock(START + 1440 * MINUTE)).incidents


@pytest.mark.parametrize("mode", ["live", "shadow"])
def test_a_shadow_is_judged_and_calls_nobody(tmp_path: Path, mode: str) -> None:
    """The same incidents at the same moments; in the shadow they carry `mode` and are not among those that call."""
    found = told(tmp_path, f'mode = "{mode}"\n')
    quality = [incident for incident in found if incident.alertname == "ModelDataQuality"]
    assert [incident.feature for incident in quality] == ["x"]
    (incident,) = quality
    assert incident.fired_time == pytest.approx(START + 130 * MINUTE, abs=20 * MINUTE)
    assert incident.labels.get("mode") == ("shadow" if mode == "shadow" else None)
    assert (incident.paged_time is None) is (mode == "shadow")
