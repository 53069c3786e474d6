"""A model's traffic through the whole fleet: silent, far from what is expected, back, retired."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, MINUTE, START, columns, event, feed, new_fleet

from monitor.budget import Budget
from monitor.catalog.models import SHARES, Models
from monitor.catalog.policies import Policy
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.portrait import model_document, model_states
from monitor.status import MODEL_STATES
from monitor.traffic import volume
from monitor.traffic.watch import Traffic


def at_random(per_hour: float, days: float, seed: int, begin: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = rng.poisson(per_hour * 24 * days)
    return np.sort(START + (begin + rng.uniform(0, days, n)) * DAY)


def batches(days: int, size: int, seed: int, jitter: float = 600.0) -> np.ndarray:
    """A batch a day at about three o'clock."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [START + d * DAY + 3 * HOUR + rng.normal(0, jitter) + np.sort(rng.uniform(0, 300, size)) for d in range(days)]
    )


def without(times: np.ndarray, first: float, last: float) -> np.ndarray:
    """``times`` but for those between days ``first`` and ``last``."""
    day = (times - START) / DAY
    return times[(day < first) | (day >= last)]


def run(traffic: dict[str, np.ndarray], days: float, keys: dict[str, Any] | None = None, **limits: Any):
    """A fleet that saw ``traffic``, and its incidents about it by (model, alertname), each in its last state."""
    fleet = new_fleet({"tick": "1h", **(keys or {})}, **limits)
    names = list(traffic)
    times = np.concatenate([traffic[name] for name in names])
    model = np.repeat(np.arange(len(names)), [len(traffic[name]) for name in names])
    order = np.argsort(times, kind="stable")
    times, model = times[order], model[order]
    last: dict[str, Incident] = {}
    for now in np.arange(START + HOUR, START + days * DAY + 1, HOUR):
        a, b = np.searchsorted(times, [now - HOUR, now])
        if b > a:
            batch = columns(times[a:b], [names[i] for i in model[a:b]], {"x": np.ones(b - a)})
            fleet.absorb(batch, np.zeros(b - a, bool))
        last |= {i.id: i for i in fleet.close(float(now)).incidents}
    return fleet, list(last.values())


def day_of(time: float | None) -> float:
    assert time is not None
    return (time - START) / DAY


def test_a_model_that_dies_is_silent_and_comes_back() -> None:
    """Silence is told in event time that other models drive, names what was expected, and ends with the first tick."""
    _, incidents = run(
        {"dies": without(at_random(100, 5, 1), 3, 3.5), "lives": at_random(30, 5, 2)}, 5, {"tick": "30m"}
    )
    (incident,) = incidents
    assert (incident.model, incident.alertname, incident.detector) == ("dies", "ModelSilent", "silence")
    assert incident.state == "resolved"
    assert incident.resolved_because == "events come again"
    assert day_of(incident.onset_time) == pytest.approx(3.0, abs=0.01)
    assert 3.0 < day_of(incident.fired_time) < 3.1
    assert day_of(incident.resolved_time) == pytest.approx(3.5 + 0.5 / 24, abs=0.001)
    assert "no events for" in incident.summary
    assert incident.effect.value >= incident.effect.tolerance > 0
    assert incident.evidence_log10 > 3


def test_state_is_silent_meanwhile() -> None:
    """While it is silent the model's state says so, before all else."""
    fleet, _ = run({"dies": at_random(100, 3, 1), "lives": at_random(30, 4, 2)}, 4)
    row = fleet.find_model("dies")
    assert row is not None
    states = model_states(fleet)
    assert MODEL_STATES[states[row]] == "silent"
    document = model_document(fleet, row, int(states[row]))
    assert document["traffic"]["state"] == "silent"
    assert len(document["traffic"]["expected_by_hour_of_week"]) == 168
    json.dumps(document, allow_nan=False)


def test_slow_and_batch_models_do_not_page() -> None:
    """Two events an hour, a batch a day that straddles the hour, office hours with a weekend, whichever: nothing."""
    days = at_random(60, 21, 3)
    works = days[np.isin(((days - START) // HOUR % 24).astype(int), range(8, 18))]
    traffic = {
        "slow": at_random(2, 35, 4),
        "batch": batches(35, 1200, 5),
        "late batch": batches(35, 1200, 6, jitter=2 * HOUR),
        "office": works[~np.isin((works - START) // DAY % 7, (2, 3))],
        "another weekend": works[~np.isin((works - START) // DAY % 7, (1, 2))],
    }
    fleet, incidents = run(traffic, 21)
    assert [(i.model, i.summary) for i in incidents] == []
    assert fleet.traffic.rows["judged"][: len(fleet.models)].sum() >= 3


def test_a_batch_that_stays_away_is_missed() -> None:
    """A daily batch after four weeks is silent after three days without it, and not after one and a half."""
    _, incidents = run({"batch": batches(28, 1200, 5), "clock": at_random(3, 32, 7)}, 32)
    (incident,) = incidents
    assert incident.model == "batch"
    assert 28.6 < day_of(incident.fired_time) < 31.0


def by_the_clock(every: float, size: int, days: float) -> np.ndarray:
    """``size`` events at once ``every`` so many seconds, to the second."""
    runs = np.arange(START + 5.0, START + days * DAY, every)
    return (runs[:, None] + np.arange(size) * 0.1).ravel()


@pytest.mark.parametrize(("every", "size", "days"), [(DAY, 200, 28), (HOUR, 10, 12), (20 * MINUTE, 5, 12)])
def test_a_job_that_stops_is_missed(every: float, size: int, days: int) -> None:
    """What comes to the second is silent after two or three runs that fell out; that one did is no news.

    A daily one that left a day out would take a week: it is even for no longer than four.
    """
    runs = by_the_clock(every, size, days)
    if every < DAY:
        runs = runs[np.abs(runs - START - (days - 1) * DAY - 5.0) > every / 2]
    _, incidents = run({"job": runs, "clock": at_random(10, days + 5, 7)}, days + 5, {"tick": "10m"})
    (incident,) = incidents
    assert (incident.model, incident.detector) == ("job", "silence")
    # The run after the last that came is one gap later; ticks are added at both ends.
    assert 2.0 < (incident.fired_time - runs[-1]) / every < 3.0 + 2 * 10 * MINUTE / every
    assert incident.evidence_log10 < 100


def test_half_and_threefold_traffic() -> None:
    """Traffic that halves or triples is told as volume, with its direction, and not as silence."""
    rng = np.random.default_rng(8)
    half, more = at_random(100, 12, 9), at_random(100, 12, 10)
    half = half[(half < START + 10 * DAY) | (rng.random(len(half)) < 0.5)]
    more = np.sort(np.concatenate([more, at_random(200, 2, 11, begin=10)]))
    _, incidents = run({"half": half, "more": more, "same": at_random(100, 12, 12)}, 12)
    told = {i.model: i for i in incidents}
    assert {(i.model, i.alertname) for i in incidents} == {
        ("half", "ModelVolumeAnomaly"),
        ("more", "ModelVolumeAnomaly"),
    }
    assert "% of what is usual" in told["half"].summary
    assert "times what is usual" in told["more"].summary
    assert 10.0 < day_of(told["more"].fired_time) < 10.1
    assert 10.0 < day_of(told["half"].fired_time) < 11.1
    assert 9.9 < day_of(told["half"].onset_time) < 11.1


@pytest.mark.parametrize("tick", [600.0, HOUR])
def test_a_busy_night_is_told_before_it_is_over(tick: float) -> None:
    """That nights bring less than days is no clumping: a night with ten times its traffic is told within hours."""
    models, cells, rng = Models(1), dict.fromkeys(SHARES, 0.0), np.random.default_rng(12)
    models.add("night", 1, Policy(tick=f"{tick:g}s"), START)
    traffic, told = Traffic(models, Budget(5.0, 1.0, {"quality": 0.1}), cells), {}
    night = 40 * 24 + 20
    for k in range(round((night + 24) * HOUR / tick)):
        hour = int(k * tick // HOUR)
        mean = (96 if 8 <= hour % 24 < 20 else 40 if hour >= night else 4) * (0.7 if hour // 24 % 7 in {2, 3} else 1.0)
        end = START + (k + 1) * tick
        for due in traffic.pass_time(end, through=False, silence_too=True):
            told |= {alarm.detector: (alarm.fired_time - START) / HOUR - night for alarm in due.alarms}
        traffic.count(np.zeros(1, np.int64), rng.poisson([mean * tick / HOUR]), end, np.zeros(1, bool))
    assert told.keys() == {"volume"}
    assert 1 < told["volume"] < 10


def test_ticks_within_their_season() -> None:
    """Events one by one by day and night are no clump, fives are five, and a batch a day is as large as it is."""
    rng, weeks = np.random.default_rng(13), 40
    day = np.where(np.isin(np.arange(168) % 24, range(8, 20)), 96.0, 4.0)
    batch = np.where(np.arange(168) % 24 == 3, 200.0, 0.0)
    single, fives = rng.poisson(np.tile(day, weeks)), 5 * rng.poisson(np.tile(day, weeks) / 5)
    counts = np.stack([single, fives, np.tile(batch, weeks)])
    known = np.array([day, day, np.maximum(batch, 1e-3)])
    ticks = np.full(3, 168.0 * weeks)
    found = volume.clump(ticks, (counts**2).sum(axis=1).astype(float), counts.sum(axis=1).astype(float), known)
    # The relative error of a variance from 6,720 ticks, half of them of next to nothing, is about 2.5 %.
    assert found[:2] == pytest.approx([1.0, 5.0], rel=0.2)
    assert found[2] == pytest.approx(200.0 * 23 / 24, rel=1e-6)


def test_a_tolerance_of_its_own() -> None:
    """What ``tolerance.volume`` lets pass is no anomaly, however surely it is there."""
    traffic = np.sort(np.concatenate([at_random(200, 12, 13), at_random(100, 2, 14, begin=10)]))
    _, strict = run({"m": traffic}, 12, {"tolerance": {"volume": 0.1}})
    _, loose = run({"m": traffic}, 12, {"tolerance": {"volume": 0.8}})
    assert [i.alertname for i in strict] == ["ModelVolumeAnomaly"]
    assert loose == []


def test_the_end_of_an_outage_is_no_fall_of_volume() -> None:
    """What did not come during a silence is told once."""
    _, incidents = run({"m": without(at_random(500, 14, 15), 10, 12), "clock": at_random(10, 14, 16)}, 14)
    assert [i.alertname for i in incidents] == ["ModelSilent"]


def retired(fleet: Fleet, what: str, time: float) -> list[Incident]:
    return feed(fleet, [event(time, model="m", lifecycle=what)], until=time).incidents


def test_a_retired_model_is_not_silent() -> None:
    """After ``retired`` (and no other fact) nothing is said of a model that stops; ``deployed`` takes it back."""
    for facts, silent in ((["retired"], False), (["retired", "deployed"], True), (["retrained"], True)):
        fleet, _ = run({"m": at_random(100, 3, 17), "clock": at_random(10, 3, 18)}, 3, {"tick": "30m"})
        said = [i for what in facts for i in retired(fleet, what, START + 3 * DAY)]
        times = at_random(10, 1, 19, begin=3)
        later = columns(times, ["clock"] * len(times), {"x": np.ones(len(times))})
        said += feed(fleet, later, until=START + 4 * DAY).incidents
        assert ("ModelSilent" in {i.alertname for i in said}) == silent
        row = fleet.find_model("m")
        assert row is not None
        assert model_document(fleet, row, 1)["traffic"]["retired"] == (facts[-1] == "retired")


def test_retirement_ends_a_silence() -> None:
    """A model that is silent and then retires has no open incident about its traffic."""
    fleet, incidents = run({"m": at_random(100, 3, 17), "clock": at_random(10, 4, 18)}, 4)
    assert [i.state for i in incidents] == ["firing"]
    resolved = retired(fleet, "retired", START + 4 * DAY)
    assert {(i.state, i.resolved_because) for i in resolved} == {("resolved", "the model retired")}


def test_the_end_of_an_input_is_no_silence() -> None:
    """Closed without looking for silence nothing is told, however far event time runs on."""
    fleet, _ = run({"m": at_random(100, 3, 17)}, 3)
    assert fleet.close(START + 30 * DAY, silence=False).incidents == []
    assert {i.alertname for i in fleet.close(START + 31 * DAY).incidents} == {"ModelSilent"}


def test_the_hour_in_which_an_input_ends_is_no_fall() -> None:
    """An input that ends within an hour has not lost the rest of it; where another model goes on, the model has."""
    end = START + 12 * DAY
    times = at_random(500, 13, 19)
    times = times[times < end + MINUTE]
    for others, names in (([], set()), ([end + 2 * HOUR], {"ModelVolumeAnomaly"})):
        fleet, every = new_fleet({"tick": "1h"}), np.concatenate([times, others])
        batch = columns(every, ["m"] * len(times) + ["n"] * len(others), {"x": np.ones(len(every))})
        assert feed(fleet, batch, until=end).incidents == []
        assert {i.alertname for i in fleet.close(end + DAY, silence=False).incidents} == names


def test_silence_does_not_depend_on_how_far_time_jumps() -> None:
    """One long step of event time or many small ones: the silence is told at the same moment."""
    fired = []
    for step in (DAY, 7 * MINUTE):
        told = set()
        fleet, _ = run({"m": at_random(100, 3, 17)}, 3)
        for now in np.arange(START + 3 * DAY, START + 5 * DAY + 1, step):
            told |= {i.fired_time for i in fleet.close(float(now)).incidents}
        fired.append(told)
    assert len(fired[0]) == 1
    assert fired[0] == fired[1]


def test_planned_silence_and_traffic_are_nothing() -> None:
    """In a planned window a model may be silent, or have tenfold traffic; behind it a silence is one again."""
    window = {"from": START + 10 * DAY, "until": START + 10.5 * DAY}
    planned = ({key: datetime.fromtimestamp(t, UTC).isoformat() for key, t in window.items()},)
    still = without(at_random(100, 12, 20), 10, 10.5)
    busy = np.sort(np.concatenate([at_random(100, 12, 21), at_random(1000, 0.5, 22, begin=10)]))
    traffic = {"still": still, "busy": busy, "clock": at_random(10, 12, 23)}
    _, incidents = run(traffic, 12, {"planned": planned})
    assert [i.summary for i in incidents] == []
    _, incidents = run(traffic, 12)
    assert {(i.model, i.alertname) for i in incidents} == {("still", "ModelSilent"), ("busy", "ModelVolumeAnomaly")}
    _, incidents = run({**traffic, "still": without(still, 10, 11)}, 12, {"planned": planned})
    (incident,) = incidents
    assert 10.5 < day_of(incident.fired_time) < 10.6


def test_cells_are_paid_for() -> None:
    """Two cells of each model that is judged count among those of quality, and spend from its share."""
    fleet, _ = run({"m": at_random(100, 3, 17), "new": at_random(5, 3, 18)}, 3)
    row = fleet.find_model("m")
    assert row is not None
    judged = [int(n) for n in fleet.models.rows["n_cells"][:2, 1]]
    assert sum(judged) == fleet.judge.n_cells["quality"]
    assert fleet.traffic.known(row).judged
    assert 0.0 < fleet.judge.budget.spent["quality"] < 5.0 * 0.1 * 3 / 7
