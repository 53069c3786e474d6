"""Can an incident of performance or calibration be judged again from its capsule alone, and is every change seen?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, START
from fleets.capsules import VERIFY, Change, capsule_of, in_line, kept, of_step, refused, rewritten
from fleets.cohorts import fleet_of, judged, matured
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import auditing, capsules, dockets
from monitor.errors import UsageError
from monitor.fleet import Fleet
from monitor.groups.sorting import Memberships
from monitor.incidents.incident import Incident
from monitor.kernels.hashing import hash64
from monitor.outcomes.calibration import _EDGE as EDGE
from monitor.outcomes.calibration import BETS, BINS
from monitor.outcomes.lists import Graded
from monitor.outcomes.recording import COARSE, FEW
from monitor.outcomes.recording import _bin as recorded
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

Rng = np.random.Generator
Cohorts = Callable[[Rng, int, bool], dict[str, Any]]
"""The columns of ``n`` matured cases, before and after something went wrong."""
N, GOOD = 40, 50


def lists(name: str) -> Cohorts:
    """Lists of answers that fall short of those of the outcome, all that is known of them."""

    def cohort(rng: Rng, n: int, late: bool) -> dict[str, Any]:
        columns = {each: np.full(n, np.nan) for each in ("wrong", "ndcg", "overlap", "precision", "recall")}
        columns[name] = rng.beta(2.5 if late else 6.0, 2.0, n)
        return {"lists": Graded(**columns)}

    return cohort


def scored(rng: Rng, n: int, late: bool) -> dict[str, Any]:
    """Scores that mean what they say, and then more than is meant; one in fifty is sure."""
    score = np.where(rng.random(n) < 0.02, rng.choice([0.0, 1.0], n), rng.uniform(0.05, 0.95, n))
    truth = score / (score + (1.0 - score) * (3.5 if late else 1.0))
    return {"score": score, "y": (rng.random(n) < truth).astype(float)}


def losing(rng: Rng, n: int, late: bool) -> dict[str, Any]:
    """Scores that are good, and then less so."""
    y = (rng.random(n) < 0.5).astype(float)
    sure = np.clip(rng.normal(0.8 - 1.0 * late, 0.3, n), -0.98, 0.98)
    return {"score": 0.5 + (y - 0.5) * sure, "y": y}


def wrong(rng: Rng, n: int, late: bool) -> dict[str, Any]:
    return {"wrong": (rng.random(n) < 0.1 + 0.12 * late).astype(float)}


def far(rng: Rng, n: int, late: bool) -> dict[str, Any]:
    return {"error": np.abs(rng.normal(0, 30 + 15 * late, n))}


def dear(rng: Rng, n: int, late: bool) -> dict[str, Any]:
    return {"cost": rng.choice([4.0, 10.0], n) * (rng.random(n) < 0.1 + 0.2 * late)}


COSTS = {"costs": {"false_positive": 4.0, "false_negative": 10.0, "currency": "EUR"}}
LARGE = {"tolerance": {"performance": 0.3}}
"""So that errors of scores are told by their log loss, and what scores mean by calibration alone."""
STORIES: dict[str, tuple[Cohorts, dict[str, Any]]] = {
    "error_rate": (wrong, {}),
    "error_rate, a contract": (wrong, {"limits": {"error_rate": 0.14}}),
    "error_rate, a hold": (wrong, {"hold": "3h"}),
    "absolute_error": (far, {}),
    "absolute_error, a contract": (far, {"limits": {"loss": 28.0}}),
    "brier": (losing, {}),
    "log_loss": (losing, LARGE),
    "log_loss, a contract": (losing, {"limits": {"loss": 0.4}, "tolerance": {"performance": 0.9}}),
    "cost": (dear, COSTS),
    "cost, a contract": (dear, {**COSTS, "limits": {"cost": 1.2}}),
    "ranking_loss": (lists("ndcg"), {}),
    "tag_loss": (lists("overlap"), {"limits": {"loss": 0.3}}),
    "calibration": (scored, LARGE),
    "calibration, a hold": (scored, {"tolerance": {"performance": 0.3, "calibration": 0.1}, "hold": "2h"}),
}


def lived(fleet: Fleet, story: Cohorts, ticks: range) -> list[Incident]:
    """What opens of the fleet's model, whose cases go wrong from the 40th cohort on."""
    found: list[Incident] = []
    for tick in ticks:
        columns = story(np.random.default_rng([7, tick]), N, tick >= GOOD)
        moment = judged(fleet, matured(np.zeros(N), tick, **columns))
        found += fleet.book.fire(fleet._told_of_model(alarm) for alarm in moment.alarms)
    return found


@cache
def capsule(what: str) -> dict[str, Any]:
    """That of the first incident of a story."""
    story, policy = STORIES[what]
    fleet = fleet_of(1, **policy)
    return capsule_of(fleet, lived(fleet, story, range(GOOD + 60))[0])


@pytest.mark.parametrize("what", STORIES)
def test_a_capsule_of_cases_is_judged_again(what: str) -> None:
    """Of each measure, against a contract or its past, and of scores: it follows from the sums, to the tick."""
    found = capsule(what)
    header = json.loads(found["docket"][0])
    assert header.get("measure", header["detector"]) == what.partition(",")[0]
    incident, due = found["incident"], found["incident"]["fired_time"]
    told = datetime.fromisoformat(due).timestamp()
    assert VERIFY.verify(found)[0] == f"{incident['id']}: {header['detector']} of m0 had to fire at {told:.0f}."


def numbers(x: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers stand in a line."""
    if isinstance(x, dict | list):
        for name, inner in x.items() if isinstance(x, dict) else enumerate(x):
            yield from numbers(inner, (*at, name))
    elif isinstance(x, int | float) and not isinstance(x, bool):
        yield at


def larger(number: int, at: tuple[Any, ...]) -> Change:
    """Adds a twentieth to a number of a line, and five hundredths."""
    met = iter(range(10_000))

    def changed(line: dict[str, Any]) -> bool:
        if next(met) != number:
            return False
        inner: Any = line
        for name in at[:-1]:
            inner = inner[name]
        inner[at[-1]] = inner[at[-1]] * 1.05 + 0.05
        return True

    return changed


NEITHER_HERE_NOR_THERE = {
    *(("null", "wander"), ("null", "worth"), ("fired", "per_week"), ("fired", "cells_of_fleet")),
    *(("step", "seconds"), ("step", "values"), ("step", "log_budget")),
    *(("begun", "scatter"), ("begun", "log_r"), ("fired", "reference"), ("cell", "bin_min"), ("cell", "bets")),
}
"""What may be larger without anything else being otherwise: nothing follows from it (with a contract what events of the
reference are worth), or what follows is a bound, it is of a bet that has nothing, or the same number (a bet of -1)."""


@pytest.mark.parametrize(
    ("what", "every"),
    [("error_rate, a contract", 1), ("error_rate, a hold", 1), ("cost", 1), ("calibration, a hold", 7)],
)
def test_no_number_can_be_changed(what: str, every: int) -> None:
    """Whichever number of a docket is made a little larger, hashes and all, the capsule is refused."""
    found = capsule(what)
    let_through = set()
    for i, line in enumerate(found["docket"]):
        said = json.loads(line)
        for at in list(numbers(said))[i % every :: every]:
            forged = rewritten(found, larger(i, at))
            try:
                VERIFY.verify(forged)
                let_through.add((said["is"], at[-1] if at[0] == "budget" else at[0]))
            except (VERIFY.RefusedError, ValueError, LookupError, TypeError, ArithmeticError):
                continue
    # A contract is the edge itself: of how many events the reference has then nothing follows either.
    of_contract = {("null", "events")} if "contract" in what else set()
    assert let_through <= NEITHER_HERE_NOR_THERE | of_contract


def test_the_place_is_named() -> None:
    """What does not hold is said with the line and the tick, whatever else was changed to go with it."""
    rate, scores = capsule("error_rate, a hold"), capsule("calibration, a hold")
    for found, change, place in (
        (rate, of_step("s", lambda s: [s[0] + 1]), "line 5 of the docket, the tick that ended at"),
        (rate, of_step("since", lambda since: [since[0] + 1, since[1]]), "line 5 of the docket, the tick"),
        (rate, of_step("now_n", lambda n: n + 1), "the size of the present"),
        (rate, of_step("eta", lambda eta: eta * 1.1), "the power of its bets"),
        (rate, of_step("log_budget", lambda b: b + 20), "spends more"),
        (rate, in_line("null", "worth", lambda worth: worth / 2), "line 3 of the docket: the null's lower edge"),
        (rate, in_line("null", "limit", lambda _: 0.3), "line 3 of the docket: the null's lower edge"),
        (rate, in_line("fired", "reference", lambda r: [r[0] / 2, r[1]]), "line 3 of the docket: the reference"),
        (rate, in_line("fired", "told", lambda told: told + 0.1), "what is told"),
        (rate, in_line("fired", "due", lambda due: due - 3600.0), "the incident: what fired there"),
        (rate, in_line("cell", "unit", lambda _: 2.0), "the incident: its effect"),
        (rate, in_line("cell", "of", lambda _: "other"), "line 1 of the docket"),
        (scores, of_step("s", lambda s: s + 1), "line 5 of the docket, the tick that ended at"),
        (scores, of_step("log_e", lambda e: [each + 0.5 for each in e]), "what a bet of 0.25 cost"),
        (scores, of_step("scores", lambda bins: bins[1:]), "the number of cases"),
        (scores, of_step("adds", lambda x: [x[0] + 1, *x[1:]]), "what was expected"),
        (scores, of_step("adds", lambda x: [x[0], x[1] + 1, x[2]]), "the variance of what was expected"),
        (scores, of_step("now", lambda x: [x[0] + 1, *x[1:]]), "the present"),
        (scores, in_line("null", "curve", lambda c: [c[0] and [c[0][0], c[0][1] + 1, c[0][2]], *c[1:]]), "line 3 of"),
        (scores, in_line("null", "tolerance", lambda t: t + 0.5), "line 4 of the docket, the tick"),
        (scores, in_line("fired", "told", lambda told: told + 0.1), "what is told"),
    ):
        assert place in refused(rewritten(found, change))


def with_policy(found: dict[str, Any], before: str, after: str) -> dict[str, Any]:
    """A capsule with another policy, by whose digest it goes."""
    assert before in found["policy"]
    policy = found["policy"].replace(before, after)
    digest = hashlib.sha256(policy.encode()).hexdigest()
    forged = rewritten(found, in_line("judged", "policy", lambda _: digest))
    forged["policy"], forged["incident"]["policy_digest"] = policy, digest
    return forged


def test_tolerance_contract_and_unit_are_those_of_the_policy() -> None:
    """A policy that tolerates another rise or shift, or has another contract or other prices, is not what judged."""
    for what, before, after, place in (
        ("error_rate", "performance = 0.02", "performance = 0.03", "the rise that it tolerates"),
        ("error_rate", "limits = {", "limits = { error_rate = 0.1", "it has a contract"),
        ("error_rate, a contract", "error_rate = 0.14", "error_rate = 0.16", "the contract"),
        ("absolute_error, a contract", "loss = 28.0", "loss = 29.0", "the unit of the measure"),
        ("log_loss, a contract", "loss = 0.4", "loss = 0.5", "the contract"),
        ("cost", "false_negative = 10.0", "false_negative = 11.0", "the unit of the measure"),
        ("calibration, a hold", "calibration = 0.1", "calibration = 0.2", "the shift that it tolerates"),
    ):
        assert f"the policy: {place}" in refused(with_policy(capsule(what), before, after))


def test_nobody_is_in_it() -> None:
    """The API gives it; no score of a case stands there: of one or two in a bin the mean is told to a fiftieth."""
    for what in ("error_rate", "calibration"):
        story, policy = STORIES[what]
        fleet = fleet_of(1, **policy)
        incident = lived(fleet, story, range(GOOD + 60))[0]
        assert capsules.capsule(incident, fleet.exhibits.fresh.get, (), of_groups=False)["docket"]
    lines = [json.loads(line) for line in capsule("calibration")["docket"]]
    bins = [each for line in lines if line["is"] == "step" for each in line["scores"]]
    few = [each for each in bins if each[1] < FEW]
    assert few
    assert all(len(each) == 3 and abs(each[2] / COARSE - round(each[2] / COARSE)) < 1e-9 for each in few)
    assert {len(each) for each in bins} <= {3, 4}


@pytest.mark.parametrize(("what", "few", "enough"), [("cost", 2, 3), ("calibration", 9, 10)])
def test_cohorts_that_tell_of_single_cases_are_not_written_down(what: str, few: int, enough: int) -> None:
    """What two cases cost, or nine scores bet, would say what somebody's was; three, and ten, are written."""
    for n in (few, enough):
        story, policy = STORIES[what]
        fleet = fleet_of(1, **policy, learn={"events_min": 200})
        lived(fleet, story, range(GOOD))
        before = len(fleet.book.open)
        for tick in range(GOOD, GOOD + 150):
            columns = story(np.random.default_rng([7, tick]), n, late=True)
            alarms = judged(fleet, matured(np.zeros(n), tick, **columns)).alarms
            assert n == enough or len(fleet.outcomes.recorder.dockets) == 0
            if alarms:
                break
        assert before == 0
        assert bool(alarms[0].docket) is (n == enough)


@pytest.mark.parametrize("what", ["error_rate", "cost", "calibration, a hold"])
def test_a_restart_goes_on_with_a_docket_of_cases(what: str, tmp_path: Path) -> None:
    """A store that is read back in the middle of a suspicion gives the docket that an unbroken run gives."""
    story, policy = STORIES[what]
    fired = lived(fleet_of(1, **policy), story, range(GOOD + 60))[0]
    steps = [json.loads(line)["end"] for line in capsule(what)["docket"] if '"step"' in line]
    broken = round((steps[-1] - START) / HOUR) - 1
    first, again = fleet_of(1, **policy), fleet_of(0, **policy)
    lived(first, story, range(broken))
    assert len(first.outcomes.recorder.dockets) == 1
    kept(tmp_path / "store", first, [])
    with Database(tmp_path / "store") as database:
        Checkpoint(database, TickLog(database, np.inf)).load(again, EventTime(0.0))
        after = lived(again, story, range(broken, GOOD + 60))[0]
    assert (after.id, after.docket_digest) == (fired.id, fired.docket_digest)


@pytest.mark.parametrize("what", ["error_rate", "calibration, a hold"])
def test_a_cell_of_cases_that_is_cleared_has_no_docket(what: str) -> None:
    """A suspicion that passes leaves nothing behind; nor does an incident, whose docket is an exhibit from then on."""
    story, policy = STORIES[what]
    fleet = fleet_of(1, **policy)
    lived(fleet, story, range(GOOD + 1))
    for tick in range(GOOD + 1, GOOD + 60):
        if len(fleet.outcomes.recorder.dockets):
            break
        assert not lived(fleet, story, range(tick, tick + 1))
    assert len(fleet.outcomes.recorder.dockets) == 1
    lived(fleet, lambda rng, n, _: story(rng, n, late=False), range(tick, tick + 60))
    assert len(fleet.outcomes.recorder.dockets) == 0
    whole = fleet_of(1, **policy)
    assert lived(whole, story, range(GOOD + 60))[0].docket_digest
    assert len(whole.outcomes.recorder.dockets) == 0


def test_dockets_of_cases_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long suspicion the newest pages are kept and still verify; beyond the room none is begun, and counted."""
    whole = sum('"step"' in line for line in capsule("absolute_error, a contract")["docket"])
    monkeypatch.setattr(dockets, "PAGE_STEPS", 3)
    story, policy = STORIES["absolute_error, a contract"]
    fleet = fleet_of(1, **policy)
    found = capsule_of(fleet, lived(fleet, story, range(GOOD + 60))[0])
    kinds = [json.loads(line)["is"] for line in found["docket"]]
    assert kinds.count("begun") == 2
    assert kinds.count("step") < 7 < whole
    assert VERIFY.verify(found)
    monkeypatch.setattr(dockets, "_BYTES_MAX", -1)
    fleet = fleet_of(1, **policy)
    assert lived(fleet, story, range(GOOD + 60))[0].docket_digest == ""
    assert fleet.take_dockets_turned_away() >= 1


@settings(max_examples=100, deadline=None)
@given(
    place=st.integers(0, BINS - 1),
    parts=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
    offset=st.floats(-3.0, 3.0),
    bet=st.sampled_from(BETS.tolist()),
)
def test_sums_of_scores_bound_what_was_bet_on_them(place: int, parts: list[float], offset: float, bet: float) -> None:
    """What the program adds up score by score lies where the second opinion finds it by number and means."""
    scores = np.clip((place + 0.999 * np.array(parts)) / BINS, EDGE, 1.0 - EDGE)
    sums = np.array([len(scores), 0.0, scores.sum()])
    said = recorded(place, sums, np.square(scores).sum())
    logits = np.log(scores / (1.0 - scores)) + offset
    chance = 1.0 / (1.0 + np.exp(-logits))
    sigmoid, logit = VERIFY.sigmoid, VERIFY.logit
    for f, added in (
        (lambda p: np.log1p(sigmoid(logit(p) + offset) * np.expm1(bet)), np.log1p(chance * np.expm1(bet))),
        (lambda p: sigmoid(logit(p) + offset), chance),
        (lambda p: sigmoid(logit(p) + offset) * sigmoid(-logit(p) - offset), chance * (1.0 - chance)),
    ):
        low, high = VERIFY.span(f, said, "here")
        assert low - 1e-9 <= added.sum() <= high + 1e-9


def of_women(n: int = 100) -> tuple[Fleet, list[Incident]]:
    """A model whose scores mean less than they did of women, and as ever of men; 100 of each an hour."""
    fleet = fleet_of(1)
    register, calibration = fleet.groups.register, fleet.by_group.calibration
    attribute, stratum = register.attribute(0, "sex"), register.stratum(0, 0)
    groups = [register.group(attribute, value, hash64(value.encode())) for value in ("women", "men")]
    member = np.repeat([register.member(group, stratum) for group in groups], n)
    found: list[Incident] = []
    for tick in range(64):
        rng = np.random.default_rng([8, tick])
        logit = rng.normal(0.0, 1.0, 2 * n)
        shifted = logit + 1.5 * (tick >= 40) * (np.arange(2 * n) < n)
        columns = {"score": 1 / (1 + np.exp(-logit)), "y": (rng.random(2 * n) < 1 / (1 + np.exp(-shifted))) * 1.0}
        cases = matured(np.zeros(2 * n), tick, **columns)
        calibration.take(cases, Memberships.of(np.arange(2 * n), member, 2 * n))
        moment = judged(fleet, cases)
        calibration.judge_moment(moment)
        found += fleet.book.fire(fleet._told_of_model(alarm) for alarm in moment.alarms)
    return fleet, found


def test_a_groups_calibration_is_judged_again() -> None:
    """A shift of one group follows from its cohorts and its part of the budget; who asks for groups gets it alone."""
    fleet, fired = of_women()
    incident = next(each for each in fired if each.attribute == "sex")
    with pytest.raises(UsageError, match="speaks of groups of people"):
        capsules.capsule(incident, fleet.exhibits.fresh.get, (), of_groups=False)
    found = capsule_of(fleet, incident)
    assert "calibration of m0 had to fire" in VERIFY.verify(found)[0]
    assert "women" not in json.dumps(found)
    assert json.loads(found["docket"][-2])["budget"]["weight"] == 0.5
    for change, place in (
        (in_line("cell", "smallest_group", lambda _: 10**6), "it does not fire here"),
        (in_line("judged", "group", lambda _: "g-00000000"), "the incident: its group"),
    ):
        assert place in refused(rewritten(found, change))


def test_the_command_writes_a_capsule_of_cases(tmp_path: Path) -> None:
    """From a store, for whoever asks, with the entry of the trail that names its docket."""
    story, policy = STORIES["error_rate"]
    fleet = fleet_of(1, **policy)
    fired = lived(fleet, story, range(GOOD + 60))[0]
    kept(tmp_path / "store", fleet, [fired])
    found = auditing.capsule(tmp_path / "store", fired.id, of_groups=False)
    entry = next(each for each in auditing.entries(tmp_path / "store") if each.subject == fired.id)
    assert (found["entry"], entry.said["docket"]) == (entry.number, found["incident"]["docket_digest"])
    assert VERIFY.verify(found)
