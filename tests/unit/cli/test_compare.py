"""Does a replay say what its tolerances cost, and what another configuration would have said?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes.desk import made_incident
from fleets.build import DAY, START, event, write_lines

from monitor.cli import main
from monitor.comparing import compare


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """A model whose x moves by 0.4 standard deviations on the fourth day, and two configurations."""
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(START, START + 6 * DAY, 6000)).tolist()
    lines = [event(t, {"x": float(rng.normal() + 0.4 * (t > START + 3 * DAY))}) for t in times]
    paths = []
    for name, tolerance in (("fine", 0.02), ("coarse", 0.3)):
        path = tmp_path / f"{name}.toml"
        path.write_text(f'[[models]]\nmatch = "*"\ntick = "1h"\n[models.tolerance]\ndrift = {tolerance}\n')
        paths.append(str(path))
    return str(write_lines(tmp_path / "events.jsonl", lines)), paths[0], paths[1]


def test_what_a_tolerance_cost(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """With a fine tolerance the movement fires, with a coarse one it is named as swallowed, with its size."""
    events, fine, coarse = files
    told = {}
    for config in (fine, coarse):
        assert main(["replay", events, "--config", config, "--json"]) == 0
        summary = json.loads(capsys.readouterr().out.splitlines()[-1])
        [told[config]] = [price for price in summary["tolerances"] if price["tolerance"] == "drift"]
    assert (told[fine]["low"], told[fine]["fired"], told[fine]["swallowed"]) == (0.02, 1, 0)
    assert (told[coarse]["fired"], told[coarse]["swallowed"]) == (0, 1)
    assert 0.05 < told[coarse]["largest_swallowed"] < 0.3
    assert main(["replay", events, "--config", coarse]) == 0
    assert "1 moved beyond chance and stayed within it" in capsys.readouterr().out


def test_every_tolerance_has_its_price(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of groups, errors and quality as of drift: a gap between groups that is let pass is named with its size."""
    rng = np.random.default_rng(8)
    lines = []
    for i, t in enumerate(np.sort(rng.uniform(START, START + 6 * DAY, 6000)).tolist()):
        sex = "FM"[int(rng.integers(2))]
        label = "approve" if rng.uniform() < (0.5 if sex == "F" else 0.7) else "deny"
        about = {"sensitive": {"sex": sex}, "prediction": {"label": label}, "id": str(i)}
        lines += [event(t, {"x": float(rng.normal())}, **about), event(t + 60, id=str(i), outcome=label)]
    config = tmp_path / "config.toml"
    said = 'sensitive = ["sex"]\nfavourable = ["approve"]\ntick = "1h"\noutcome_horizon = "1h"\n'
    config.write_text(f'[[models]]\nmatch = "*"\n{said}[models.tolerance]\nimpact_ratio = 0.5\n')
    events = str(write_lines(tmp_path / "events.jsonl", lines))
    out = tmp_path / "out"
    assert main(["replay", events, "--config", str(config), "--json", "--out", str(out)]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    told = {price["tolerance"]: price for price in summary["tolerances"]}
    assert told.keys() >= {"drift", "quality", "performance", "impact_ratio"}
    impact = told["impact_ratio"]
    assert (impact["low"], impact["fired"], impact["swallowed"]) == (0.5, 0, 1)
    assert 0.1 < impact["largest_swallowed"] < 0.35
    assert told["performance"]["cells"] > 0
    assert (out / "models" / "m.json").exists()


def test_two_configurations(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """What only the first says has a minus, what only the second a plus."""
    events, fine, coarse = files
    assert main(["replay", events, "--compare", fine, coarse]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("- ")
    assert out[-1].startswith("1 incidents only with the first, 0 only with the second, 0 with both")
    assert main(["replay", events, "--compare", coarse, fine, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("in") for line in lines] == ["b", None]
    assert main(["replay", events, "--compare", fine, coarse, "--config", fine]) == 2


def test_pairs_share_a_moment() -> None:
    """Incidents are paired by what they are and by being open at one time, each once."""
    a = [made_incident(1, "m", fired_time=100.0, resolved_time=200.0), made_incident(2, "m", fired_time=300.0)]
    b = [
        made_incident(1, "m", fired_time=150.0, resolved_time=400.0),
        made_incident(3, "n", fired_time=150.0),
        made_incident(4, "m", fired_time=500.0),
    ]
    found = compare(a, b)
    assert [(x.fired_time, y.fired_time) for x, y in found.both] == [(100.0, 150.0), (300.0, 500.0)]
    assert found.only_a == ()
    assert [i.model for i in found.only_b] == ["n"]
