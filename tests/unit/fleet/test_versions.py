"""Is a new version judged by what the one before it answered, and by nothing that a firing cell saw?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, LEARNED, START, event, feed, hourly, new_fleet, series_named

from monitor.catalog.models import Phase
from monitor.fleet import Fleet
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.portrait import model_document
from monitor.versions import HELD_MIN

RNG = np.random.default_rng(201)
NORMAL = RNG.normal(0, 1, 60_000)


def following(**policy: Any) -> Fleet:
    return new_fleet({"tick": "1h", "reference": "previous-version", **policy})


def serve(fleet: Fleet, version: str, hours: range, shift: float = 0.0, **rest: Any) -> list[Incident]:
    """Let ``version`` serve: its score is normal, moved by ``shift``."""
    answers = {"prediction": lambda i: {"score": float(NORMAL[i]) + shift}, "version": version}
    return hourly(fleet, lambda i: {"x": float(NORMAL[-i - 1])}, hours, **answers, **rest)


def test_a_version_that_answers_otherwise() -> None:
    """It is told within a few hundred events, with both versions and no onset before its first event."""
    fleet = following()
    assert serve(fleet, "1", range(60)) == []
    [first, *_] = serve(fleet, "2", range(60, 72), 0.8)
    assert first.alertname == "ModelPredictionDrift"
    assert (first.version, first.reference_version) == ("2", "1")
    assert first.summary.startswith("m version 2 against version 1: predicted score: ")
    assert incident_document(first)["reference_version"] == "1"
    assert first.fired_time <= START + 66 * HOUR
    assert START + 60 * HOUR <= first.onset_time <= first.fired_time
    assert model_document(fleet, 0, 0)["reference"] == {"digest": None, "source": "previous-version", "version": "1"}


def test_a_version_that_answers_alike() -> None:
    """Nothing is told of ten versions that answer as those before them did."""
    fleet = following()
    assert serve(fleet, "first", range(60)) == []
    told = [serve(fleet, str(v), range(60 + 24 * v, 84 + 24 * v)) for v in range(10)]
    assert told == [[]] * 10


def test_judged_from_the_first_event_after_half_a_day() -> None:
    """A version that had a thousand events is enough to judge the next one by, though it was not judged itself."""
    fleet = following()
    assert serve(fleet, "1", range(22)) == []
    assert fleet.models.rows["phase"][0] == Phase.LEARNING
    assert serve(fleet, "2", range(22, 24)) == []
    assert fleet.models.rows["phase"][0] == Phase.FROZEN
    assert serve(fleet, "2", range(24, 60), 3.0)[0].reference_version == "1"


def test_too_little_was_seen() -> None:
    """A version with few events is no reference: the model goes on learning, and its life says so."""
    fleet = following()
    serve(fleet, "1", range(10))
    assert serve(fleet, "2", range(10, 15), 3.0) == []
    assert fleet.models.rows["phase"][0] == Phase.LEARNING
    assert "too little seen to judge a version by" in [fact.what for fact in fleet.models.items[0].facts]


def test_each_version_is_judged_by_the_one_before() -> None:
    """Versions that creep, each within the tolerance of the one before, are silent; the first would not be again."""
    fleet = following(tolerance={"drift": 0.12})
    for version in range(6):
        assert serve(fleet, str(version), range(60 * version, 60 * version + 60), 0.2 * version) == []
    assert fleet.models.items[0].reference_version == "4"
    assert serve(fleet, "0 again", range(360, 420))[0].reference_version == "5"


def test_what_fires_never_enters() -> None:
    """A version that differs is no reference for the next one: that is judged by what was last unsuspicious."""
    fleet = following()
    serve(fleet, "1", range(60))
    assert serve(fleet, "2", range(60, 100), 1.0) != []
    score, x = series_named(fleet, "score"), series_named(fleet, "x")
    before = fleet.series.rows["reference"][score, :32].copy()
    serve(fleet, "3", range(100, 101), 1.0)
    after = fleet.series.rows["reference"][score, :32]
    assert after.sum() - before.sum() < 0.2 * 40 * 50  # the ticks before suspicion, and no others
    assert fleet.series.rows["reference"][x, :32].sum() == 40 * 50  # which never fired: what version 2 showed
    assert fleet.book.open


def test_what_is_held_is_recent() -> None:
    """Behind twice of what is learned, in events and in time, what a version showed is forgotten by half."""
    fleet = following(learn={"events": 1000, "for": "1d"})
    serve(fleet, "1", range(24 * 20))
    held = fleet.lives.versions.held["counts"][: len(fleet.lives.versions.held), 39]
    assert held.min() >= HELD_MIN
    assert held.max() <= 2 * 1000 + 2 * 24 * 50


def test_retrained_under_its_version() -> None:
    """A model that is trained anew is judged by what it was before, where that is its policy."""
    fleet = following()
    serve(fleet, "1", range(60))
    feed(fleet, [event(START + 60 * HOUR + 1, {"x": 0.0}, version="1", lifecycle="retrained")], START + 60 * HOUR)
    assert fleet.models.rows["phase"][0] != Phase.LEARNING
    assert serve(fleet, "1", range(60, 72), 1.0)[0].reference_version == "1"


@pytest.mark.parametrize("reference", ["learn", "previous-version"])
def test_memory_is_for_those_that_use_it(reference: str) -> None:
    """Only series of models that follow their versions hold anything."""
    fleet = new_fleet({"tick": "1h", "reference": reference, "learn": {"events": 1000, "for": "1d"}})
    serve(fleet, "1", range(LEARNED + 10))
    assert len(fleet.lives.versions.held) == (2 if reference == "previous-version" else 0)
    assert fleet.models.rows["last_time"][0] > START + DAY
