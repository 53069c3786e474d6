"""Do many models with one cause become one incident, and models that only happen to drift stay apart?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from unit.incidents.test_book import T, firing, only

from monitor.incidents.attention import Attention
from monitor.incidents.book import Book
from monitor.incidents.firing import Firing
from monitor.incidents.incident import Incident
from monitor.incidents.shared import CHANCE_WEEKS, Chance, groupable, own_movement

WEEK = 7 * 86400.0
N_MODELS, N_FEATURES = 1000, 20


def book(share: float = 1.0 / N_FEATURES, n_models: int = N_MODELS, budget: float = 5.0) -> Book:
    return Book(10_000, Attention(10), budget, lambda cause: 1.0 if cause[0] == "moment" else share, lambda: n_models)


def drift(n: int, feature: str = "bureau", at: float = T, **rest: Any) -> Firing:
    return firing(n, feature, model=f"m{n}", at=at, onset=rest.pop("onset", at - 600), **rest)


def shared(book: Book) -> list[Incident]:
    return [held.incident for held in book.open.values() if held.incident.alertname == "FleetSharedCause"]


def test_one_page_instead_of_sixty() -> None:
    """A feature that breaks in sixty models is one incident, one page, and sixty that are resolved into it."""
    it = book()
    told: dict[str, Incident] = {}
    for n in range(60):
        at = T + 60.0 * (n // 4)
        it.fire([drift(n, at=at, alertname="ModelDataQuality", traffic=100.0)])
        told.update((i.id, i) for i in it.settle(at))
    cause = only(shared(it))
    assert (cause.cause, cause.feature, len(cause.models), cause.model) == ("feature bureau", "bureau", 60, "")
    assert cause.severity == "warning"
    assert cause.traffic == pytest.approx(6000.0)
    merged = [i for i in told.values() if i.model]
    assert len(merged) == 60
    assert {(i.state, i.merged_into, i.resolved_because) for i in merged} == {("resolved", cause.id, "merged")}
    assert len(it.open) == 1
    assert sum(i.paged_time is not None for i in told.values()) <= 4, "a few before the cause was known, and its own"
    assert cause.labels == {
        "alertname": "FleetSharedCause",
        "severity": "warning",
        "service": "modelwatch",
        "detector": "drift",
        "feature": "bureau",
    }


def test_resolved_with_its_cause() -> None:
    """The shared cause is open as long as any cell of any model fires, and is resolved with the last."""
    it = book()
    it.fire([drift(n) for n in range(10)])
    it.settle(T)
    assert it.clear([(n, "drift") for n in range(9)], T + 60) == []
    done = only(it.clear([(9, "drift")], T + 120))
    assert (done.alertname, done.state, done.resolved_time) == ("FleetSharedCause", "resolved", T + 120)
    it.fire([drift(3, at=T + 9000)])
    assert [i.model for i in it.settle(T + 9000)] == []
    assert [held.incident.model for held in it.open.values()] == ["m3"], "what comes after it is an incident again"


def test_late_ones_join() -> None:
    """A model that sees the break days later is resolved into it, and what follows in its predictions too."""
    it = book()
    it.fire([drift(n) for n in range(8)])
    it.settle(T)
    late = T + 3 * 86400.0
    it.fire([drift(50, at=late, onset=T - 500), drift(51, "income", at=late, onset=T - 500)])
    it.fire([firing(200, None, model="m3", alertname="ModelPredictionDrift", at=late, onset=T - 300)])
    changed = {(i.model, i.alertname): i for i in it.settle(late)}
    cause = only(shared(it))
    assert changed["m50", "ModelFeatureDrift"].merged_into == cause.id
    assert changed["m3", "ModelPredictionDrift"].merged_into == cause.id
    assert "m50" in cause.models
    assert {held.incident.model for held in it.open.values()} == {"", "m51"}, "another feature is the model's own"


def test_a_cell_that_flaps_goes_back_into_it() -> None:
    """A cell that fires again while its cause is open makes no further incident."""
    it = book()
    it.fire([drift(n) for n in range(8)])
    it.settle(T)
    it.clear([(3, "drift")], T + 60)
    it.fire([drift(3, at=T + 600)])
    it.settle(T + 600)
    assert len(it.open) == 1


def test_upstreams_name_the_source() -> None:
    """Models that depend on one source are taken together though no feature of theirs has the same name."""
    it = book(share=0.02)
    it.fire([drift(n, f"own-{n}", upstreams=("bureau-x",)) for n in range(6)])
    it.settle(T)
    cause = only(shared(it))
    assert (cause.cause, cause.feature, cause.labels["upstream"]) == ("upstream bureau-x", None, "bureau-x")


@pytest.mark.parametrize(("elsewhere", "cause"), [(20, "upstream bureau-x"), (5, "feature bureau")])
def test_a_source_that_struck_far_more_is_named(elsewhere: int, cause: str) -> None:
    """A source that moves two features at one moment is one incident, by its name; a few others change nothing."""
    it = book(share=0.02)
    it.fire([drift(n, upstreams=("bureau-x",)) for n in range(20)])
    it.fire([drift(n, "score", upstreams=("bureau-x",)) for n in range(20, 20 + elsewhere)])
    it.settle(T)
    found = sorted(shared(it), key=lambda incident: -len(incident.models))
    assert found[0].cause == cause
    assert len(found[0].models) == (40 if elsewhere == 20 else 20)


def test_a_moment_needs_a_part_of_the_fleet() -> None:
    """A fleet that moves at once is one incident; nine of a thousand models at one moment are nine."""
    it = book()
    it.fire([drift(n, f"own-{n}") for n in range(9)])
    it.settle(T)
    assert shared(it) == []
    it = book(n_models=60)
    it.fire([drift(n, f"own-{n}") for n in range(9)])
    it.settle(T)
    assert only(shared(it)).cause == "moment"


def test_a_moment_takes_in_what_is_found_soon_or_began_with_it() -> None:
    """Later ones join a moment within a day by a wide estimate of their onset, and then by one that is near alone."""
    it = book(n_models=60)
    it.fire([drift(n, f"own-{n}") for n in range(9)])
    it.settle(T)
    hour = 3600.0
    slow = drift(20, "slow", at=T + 14 * hour, onset=T + 5 * hour)
    near = drift(21, "near", at=T + 40 * hour, onset=T + 0.5 * hour)
    unrelated = drift(22, "own", at=T + 52 * hour, onset=T + 16.5 * hour, alertname="ModelDataQuality")
    of_a_member = drift(3, "another", at=T + 52 * hour, onset=T + 16.5 * hour)
    for each in (slow, near, unrelated, of_a_member):
        it.fire([each])
        it.settle(each.report.fired_time)
    assert set(only(shared(it)).models) == {*(f"m{n}" for n in range(9)), "m20", "m21"}
    assert {held.incident.model for held in it.open.values()} == {"", "m22", "m3"}


def test_a_movement_of_its_own_stays_apart() -> None:
    """Beside the common movement of the fleet a model that moves far more has an incident of its own."""
    it = book()
    rng = np.random.default_rng(5)
    it.fire([drift(n, value=0.1 + 0.01 * float(rng.normal())) for n in range(30)] + [drift(99, value=0.8)])
    it.settle(T)
    assert len(only(shared(it)).models) == 30
    assert [held.incident.model for held in it.open.values() if held.incident.model] == ["m99"]
    assert own_movement([0.1, 0.1, 0.1], 0.21)
    assert not own_movement([0.1, 0.3, 0.5], 0.7)


def test_mostly_another_thing_stays_apart() -> None:
    """A model of which a dozen other features moved too is no victim of the one that is shared."""
    it = book()
    own = [firing(1000 + j, f"own-{j}", model="m5") for j in range(12)]
    it.fire([*(drift(n) for n in range(10)), *own])
    it.settle(T)
    assert "m5" not in only(shared(it)).models
    assert ("m5", "ModelFeatureDrift", "") in it.open


def test_fairness_and_watch_lists_stay_with_their_model() -> None:
    """Who is disadvantaged is told of each model by itself; so is a group whose features moved, and a watch list."""
    it = book()
    it.fire([drift(n, alertname="ModelDisparateImpact") for n in range(20)])
    it.fire([drift(n, alertname="ModelDataQuality", watched=True) for n in range(20)])
    plain = [drift(n) for n in range(20)]
    it.fire(replace(each, report=msgspec.structs.replace(each.report, attribute="sex", group="g-0")) for each in plain)
    it.settle(T)
    assert shared(it) == []
    assert groupable(next(iter(it.open.values())).incident) == ""


def test_restored_it_goes_on() -> None:
    """Put together again from what is stored, a shared cause still takes in, clears and keeps its cells."""
    it = book()
    it.fire([drift(n) for n in range(8)])
    it.settle(T)
    again = book()
    for held in it.open.values():
        again.restore(held)
    again.fire([drift(3, at=T + 600), drift(70, at=T + 600)])
    again.settle(T + 600)
    assert len(again.open) == 1
    assert len(only(shared(again)).models) == 9
    assert only(again.clear([*((n, "drift") for n in range(8)), (70, "drift")], T + 900)).state == "resolved"


@pytest.mark.parametrize("rate", [5.0, 60.0, 300.0])
def test_chance_is_seldom_taken_for_a_cause(rate: float) -> None:
    """Incidents that fall evenly on a fleet are taken for one at most once in CHANCE_WEEKS weeks.

    Models and features drawn at random; a Poisson count exceeds the bound below with a probability under 0.001.
    """
    weeks, bound = {5.0: (60, 9), 60.0: (30, 7), 300.0: (4, 3)}[rate]
    rng = np.random.default_rng(int(rate))
    it, founded = book(), 0
    times = np.sort(rng.uniform(0, weeks * WEEK, int(rate * weeks)))
    for i, t in enumerate(times.tolist()):
        at = T + np.ceil(t / 60.0) * 60.0
        it.clear([(i - 50, "drift")], at)
        fresh = firing(i, f"f{rng.integers(N_FEATURES)}", model=f"m{rng.integers(N_MODELS)}-{i}", at=at)
        it.fire([fresh])
        founded += any(i.alertname == "FleetSharedCause" and i.fired_time == at for i in it.settle(at))
    assert founded <= bound, f"{founded} in {weeks} weeks, {weeks / CHANCE_WEEKS} expected"


def test_the_rate_of_the_fleet_counts() -> None:
    """Three in an hour are a cause in a quiet fleet and none in one that drifts all day."""
    quiet = Chance(5.0, 3, WEEK, lambda _: 0.05, N_MODELS)
    busy = Chance(5.0, 700, WEEK, lambda _: 0.05, N_MODELS)
    assert quiet.rules_out(("feature", "x"), 3, 3600.0)
    assert not busy.rules_out(("feature", "x"), 3, 3600.0)
    assert busy.rules_out(("feature", "x"), 12, 3600.0)
