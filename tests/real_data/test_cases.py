"""What `modelwatch replay` says of real data whose changes are known, and that it says nothing else that matters."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from real_data.cases import DATA, START, write
from servers.daemon import modelwatch

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} with the real data sets is not there"),
]


class Replayed:
    """What a case came to: its file of events, its incidents by the time they fired, and the summary."""

    def __init__(self, case: str, directory: Path) -> None:
        self.events, config = write(case, directory)
        done = modelwatch("replay", self.events, "--config", config, "--json", seconds=120)
        assert done.returncode == 0, done.stderr
        *self.incidents, self.summary = map(json.loads, done.stdout.splitlines())

    def cells(self, *alertnames: str) -> list[Any]:
        """The cells of all incidents of these names."""
        return [cell for it in self.incidents if it["alertname"] in alertnames for cell in it["cells"]]


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_elec2(tmp_path: Path) -> None:
    """Prices that stood still for a year are noticed within days of their first move, and never before."""
    replayed = Replayed("elec2", tmp_path)
    began = START + timedelta(minutes=30 * 17_424)
    moved = {"vicprice", "vicdemand", "transfer"}
    cells = [c for c in replayed.cells("ModelFeatureDrift", "ModelDataQuality") if c["feature"] in moved]
    assert {cell["feature"] for cell in cells} == moved
    for feature in moved:
        fired = min(time_of(cell["fired_time"]) for cell in cells if cell["feature"] == feature)
        assert began < fired <= began + timedelta(days=7)
    assert replayed.summary["events"] == 2 * 45_312
    assert (replayed.summary["rejected"], replayed.summary["late"]) == (0, 0)


def test_car_loan(tmp_path: Path) -> None:
    """The planted drift of the cars' values is found within a week, in the last quarter, and nothing before it."""
    replayed = Replayed("car_loan", tmp_path)
    with replayed.events.open() as lines:
        began = time_of(json.loads(next(islice(lines, 75_000, None)))["time"])
    assert all(time_of(incident["fired_time"]) > began for incident in replayed.incidents)
    fired = [time_of(c["fired_time"]) for c in replayed.cells("ModelFeatureDrift") if c["feature"] == "car_value"]
    assert began < min(fired) <= began + timedelta(days=7)


def test_ma_employment(tmp_path: Path) -> None:
    """The wave in the dormitories shows in age and schooling while it lasts; the code that vanished before it, too."""
    replayed = Replayed("ma_employment", tmp_path)
    vanished = START + timedelta(minutes=137_909)
    wave = START + timedelta(minutes=202_404), START + timedelta(minutes=212_673)
    cells = replayed.cells("ModelFeatureDrift")
    for feature in ("AGEP", "SCHL"):
        (cell,) = (cell for cell in cells if cell["feature"] == feature)
        # An onset is known to the tick, which is an hour here.
        assert wave[0] - timedelta(hours=1) <= time_of(cell["onset_time"]) <= wave[1]
        assert wave[0] <= time_of(cell["fired_time"]) <= wave[1]
    households = [time_of(cell["fired_time"]) for cell in cells if cell["feature"] == "RELP"]
    assert vanished <= min(households) <= vanished + timedelta(days=2)
    assert all(time_of(incident["fired_time"]) > vanished for incident in replayed.incidents)
    assert not {"SEX", "CIT"} & {cell["feature"] for cell in cells if time_of(cell["fired_time"]) < wave[0]}


def test_sea(tmp_path: Path) -> None:
    """What changes is the concept alone: no feature is said to drift, and nothing else is wrong with the data."""
    replayed = Replayed("sea", tmp_path)
    names = {incident["alertname"] for incident in replayed.incidents}
    assert not names & {"ModelFeatureDrift", "ModelPredictionDrift", "ModelDataQuality"}
