"""Can somebody else judge an incident again, from its capsule alone, and is every change of it seen?"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fleets.build import HOUR, START, event, feed, new_fleet, series_named
from fleets.capsules import VERIFIER, VERIFY, capsule_of, in_line, kept, of_step, refused, rewritten
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import auditing, capsules, dockets
from monitor.errors import StoreError, UsageError
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.stats.bounds import clopper_pearson_lower
from monitor.stats.evidence import project_difference, project_ratio
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

NORMAL = np.random.default_rng(101).normal(0, 1, 20_000)
POLICY = {"tick": "1h", "keep_firing": "2h"}
GROUPS = {**POLICY, "favourable": ("yes",)}
Story = Callable[[int, bool], dict[str, Any]]
"""The features of the i-th event, before and after something went wrong."""


def harmed(stories: dict[str, Story], until: int = 50, clauses: Sequence[Any] = ()) -> tuple[Fleet, list[Incident]]:
    """What fires of models, one a story, each of which had 30 hours of 50 events that were as they should be."""
    fleet = new_fleet(POLICY, clauses=clauses, per_week=50.0, per_model=10.0)
    fired: list[Incident] = []
    for hours, late in ((range(30), False), (range(30, until), True)):
        events = [
            event(START + (i + 0.5) * HOUR / 50, story(i, late), model)
            for i in range(50 * hours.start, 50 * hours.stop)
            for model, story in stories.items()
        ]
        fired += feed(fleet, events, until=START + hours.stop * HOUR).incidents
    return fleet, fired


def treated(case: Callable[[int], dict[str, Any]], n: int = 8000, **policy: Any) -> tuple[Fleet, list[Incident]]:
    fleet = new_fleet({**GROUPS, **policy})
    lines = [msgspec.json.encode({"model": "m", "id": str(i), "time": START + 20 * i, **case(i)}) for i in range(n)]
    return fleet, feed(fleet, lines).incidents


def decision(i: int) -> dict[str, Any]:
    favoured = NORMAL[i] > (0 if i % 3 else 0.5)
    region = {"features": {"r": "xyz"[i % 5 % 3]}}
    return {"prediction": "yes" if favoured else "no", "sensitive": {"sex": f"group-{'abc'[i % 3]}"}, **region}


MOVED: Story = lambda i, late: {"x": float(NORMAL[i]) + 0.7 * late}
STORIES: dict[str, Story] = {
    "drift": lambda i, late: MOVED(i, late) | {"c": f"secret-{'ab'[i % 2]}"},
    "drift of a category": lambda i, late: {"c": "ab"[i % 2] if not late else "aaab"[i % 4]},
    "drift with hold": MOVED,
    "missing": lambda i, late: {"x": float(NORMAL[i]) if not late or i % 5 else None},
    "invalid": lambda i, late: {"x": float(NORMAL[i]) if not late or i % 5 else [1]},
    "out_of_range": lambda i, late: {"x": i % 50 + 1000.0 * (late and i % 10 == 0)},
    "unseen": lambda i, late: {"c": "ab"[i % 2] if not late or i % 5 else "z"},
    "schema": lambda i, late: {"x": float(NORMAL[i])} | ({"new": 1.0} if late else {}),
}
Lived = tuple[Fleet, list[Incident]]


@pytest.fixture(scope="module")
def lived() -> Lived:
    """A fleet to which all stories happened."""
    return harmed(STORIES, clauses=[("*hold", {"hold": "3h"})])


def of_model(lived: Lived, name: str) -> Incident:
    """The incident of the model of a story, as it was when it opened."""
    return next(each for each in lived[1] if each.model == name and each.detector == name.partition(" ")[0])


@pytest.fixture(scope="module")
def drift(lived: Lived) -> dict[str, Any]:
    """Of a number that moved by seven tenths of a standard deviation."""
    return capsule_of(lived[0], of_model(lived, "drift"))


@pytest.fixture(scope="module")
def unequal() -> Lived:
    """A group that is favoured less, within three strata."""
    return treated(decision, explain_by=("r",))


@pytest.fixture(scope="module")
def impact(unequal: Lived) -> dict[str, Any]:
    return capsule_of(unequal[0], unequal[1][0])


@pytest.mark.parametrize("what", STORIES)
def test_a_capsule_is_judged_again(what: str, lived: Lived) -> None:
    """Incidents of series are found to follow from their sums by who knows nothing of the program, to the tick."""
    first = of_model(lived, what)
    said = VERIFY.verify(capsule_of(lived[0], first))
    assert said[0] == f"{first.id}: {first.detector} of {what} had to fire at {first.fired_time:.0f}."


def test_a_capsule_of_groups_is_judged_again(impact: dict[str, Any]) -> None:
    """A group against the rest is judged again, stratum by stratum; so is an output that goes with a group."""
    assert "impact of m had to fire" in VERIFY.verify(impact)[0]
    assert len({s["stratum"] for line in impact["docket"] for s in json.loads(line).get("strata", ())}) == 3

    def answer(i: int) -> dict[str, Any]:
        return {"prediction": "abcd"[i % 4 if i % 3 else int(NORMAL[i] > 0)], "sensitive": {"sex": "mf"[i % 3 > 0]}}

    fleet, fired = treated(answer, 4000, favourable=())
    assert {each.detector for each in fired} == {"association"}
    assert "association of m had to fire" in VERIFY.verify(capsule_of(fleet, fired[0]))[0]


def test_a_season_is_judged_again() -> None:
    """Where a season is taken out, the null of the hour follows from the reference and what is usual."""
    fleet = new_fleet({**POLICY, "tick": "2h"})

    def value(i: int) -> float:
        return float(NORMAL[i]) + 1.5 * np.sin(2 * np.pi * (i // 50) / 24) + 2.0 * (i >= 50 * 24 * 15)

    lines = [event(START + i * HOUR / 50, {"x": value(i)}) for i in range(50 * 24 * 16)]
    found = capsule_of(fleet, feed(fleet, lines).incidents[-1])
    assert any((json.loads(line).get("season") or {}).get("add") for line in found["docket"])
    assert "drift of m had to fire" in VERIFY.verify(found)[0]


def test_the_same_hour_of_last_week_is_judged_again() -> None:
    """Where the week before is the reference, the null of each hour follows from the sums that it names."""
    fleet = new_fleet({**POLICY, "tick": "6h", "reference": "same-slot-last-week"}, per_week=50.0, per_model=50.0)
    a_tick = 100
    lines = [
        event(START + i * HOUR / a_tick * 6, {"x": float(NORMAL[i % 20_000]) + 1.5 * (i >= 40 * a_tick)})
        for i in range(46 * a_tick)
    ]
    incident = next(each for each in feed(fleet, lines).incidents if each.detector == "drift")
    found = capsule_of(fleet, incident)
    assert any(json.loads(line).get("last_week") for line in found["docket"])
    assert "drift of m had to fire" in VERIFY.verify(found)[0]


def test_a_changed_line_is_named(drift: dict[str, Any], impact: dict[str, Any]) -> None:
    """Whichever line is changed, taken away or moved, the chain breaks there, and the line is named."""
    for found in (drift, impact):
        for number, line in enumerate(found["docket"], 1):
            forged = copy.deepcopy(found)
            forged["docket"][number - 1] = line.replace('"is"', '"is" ', 1)
            assert refused(forged).startswith(f"line {number} of the docket")
    forged = copy.deepcopy(drift)
    del forged["docket"][3]
    assert "hashes" in refused(forged)


def test_a_forger_who_knows_the_chain_is_seen(drift: dict[str, Any], impact: dict[str, Any]) -> None:
    """Sums, budget, null, reference, power or effect that were changed with every hash do not add up, and where."""
    more = [each + 1 for each in range(9)]
    for change, place in (
        (of_step("s", lambda s: [s[0] + 1, *s[1:]]), "line 5 of the docket, the tick"),
        (of_step("n", lambda n: n + 1), "line 5 of the docket"),
        (of_step("now_s", lambda s: [each + 1 for each in s]), "line 5 of the docket"),
        (of_step("eta", lambda eta: eta * 1.1), "line 5 of the docket"),
        (of_step("log_budget", lambda b: b + 20), "spends more"),
        (in_line("null", "tolerance", lambda t: t / 2), "line 3 of the docket: the null's lower edge"),
        (in_line("null", "high", lambda high: [each - 0.01 for each in high]), "the null's upper edge"),
        (in_line("fired", "reference", lambda counts: [*more, *counts[9:]]), "line 3 of the docket: its reference has"),
        (in_line("fired", "told", lambda told: told + 0.1), "what is told"),
        (in_line("fired", "end", lambda end: end - 3600.0), "the incident: what fired there"),
        (in_line("judged", "program", lambda _: "9.9"), "the incident: its code_version"),
        (in_line("judged", "model", lambda _: "n"), "the incident: its model"),
    ):
        assert place in refused(rewritten(drift, change))

    def one_more(strata: list[dict[str, Any]]) -> list[dict[str, Any]]:
        strata[0]["batch"][3] += 1.0
        return strata

    for change, place in (
        (of_step("strata", one_more), "the docket, the tick"),
        (of_step("since_within", lambda w: [w[0] / 2, *w[1:]]), "since suspicion began"),
        (of_step("recent", lambda r: [each + 1 for each in r]), "the present"),
        (in_line("cell", "tolerance", lambda _: 0.9), "log R"),
        (in_line("fired", "direction", lambda _: 1), "the line that says it fired"),
    ):
        assert place in refused(rewritten(impact, change))


def test_policy_incident_and_reference_are_held(drift: dict[str, Any], impact: dict[str, Any], tmp_path: Path) -> None:
    """A policy that was altered is refused, as is an incident that says other than its cell, or another reference."""
    for path, value, place in (
        (("policy",), drift["policy"] + "\n", "the policy: its SHA-256"),
        (("incident", "id"), "inc-0000000000000000", "the incident"),
        (("incident", "effect", "value"), 0.9, "the incident: its effect"),
        (("incident", "effect", "tolerance"), 0.01, "the incident: its tolerance"),
        (("incident", "docket_digest"), "0" * 64, "the docket"),
        (("format",), "other", "the capsule"),
    ):
        forged = copy.deepcopy(drift)
        at = forged
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = value
        assert refused(forged).startswith(place)
    (tmp_path / "m.mwref").write_bytes(b"MWREF1 " + b"0" * 64 + b"\n")
    with pytest.raises(VERIFY.RefusedError, match="not the reference that judged"):
        VERIFY.verify(drift, str(tmp_path / "m.mwref"))
    assert VERIFY.verify(impact)


@settings(max_examples=60, deadline=None)
@given(k=st.integers(0, 3000), more=st.integers(0, 3000), a=st.floats(0.01, 0.97), b=st.floats(0.01, 0.97))
def test_the_second_opinion_has_the_same_mathematics(k: int, more: int, a: float, b: float) -> None:
    """Bounds and nearest points of nulls, found in another way, are those of the program."""
    assert VERIFY.lower_bound(k, k + more) == pytest.approx(float(clopper_pearson_lower(k, k + more, 1e-4)), abs=1e-10)
    for theirs, ours, edge in (
        (VERIFY.nearest_ratio, project_ratio, 0.8),
        (VERIFY.nearest_ratio, project_ratio, 1.25),
        (VERIFY.nearest_gap, project_difference, 0.05),
    ):
        low = max(b, 0.015)
        assert theirs(a, low, 7.0, 3.0, edge) == pytest.approx(
            [float(x) for x in ours(a, low, 7.0, 3.0, edge)], abs=1e-9
        )


@pytest.fixture(scope="module")
def store(lived: Lived, unequal: Lived, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where stores are that hold what happened: ``series`` and ``groups``."""
    path = tmp_path_factory.mktemp("stores")
    for name, (fleet, fired) in (("series", lived), ("groups", unequal)):
        fresh = dict(fleet.exhibits.fresh)
        kept(path / name, fleet, fired)
        fleet.exhibits.fresh = fresh
    return path


def test_the_command_writes_what_the_verifier_reads(lived: Lived, store: Path, tmp_path: Path) -> None:
    """A capsule from a store names its entry of the trail; no value, category or edge is in it; without the program."""
    fired = of_model(lived, "drift")
    found = auditing.capsule(store / "series", fired.id, of_groups=False)
    entry = next(each for each in auditing.entries(store / "series") if each.subject == fired.id)
    assert (found["entry"], entry.said["docket"]) == (entry.number, found["incident"]["docket_digest"])
    (tmp_path / "capsule.json").write_text(json.dumps(found, indent=1))
    (tmp_path / "m.mwref").write_bytes(auditing.exhibit(store / "series", fired.reference_digest))
    command = [sys.executable, "-I", "-S", str(VERIFIER), "capsule.json", "--reference", "m.mwref"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{fired.id}: drift of drift had to fire")
    text = (tmp_path / "capsule.json").read_text()
    edges = lived[0].series.rows["edges"][series_named(lived[0], "x", "drift"), :31].tolist()
    assert not any(each in text for each in ("secret", *map(repr, edges)))
    (tmp_path / "capsule.json").write_text(text.replace('\\"n\\":50.0', '\\"n\\":49.0', 1))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "of the docket, the tick that ended at" in done.stderr


def test_groups_are_given_to_who_asks_for_them_alone(unequal: Lived, store: Path) -> None:
    """Counts of groups by batch are refused unless asked for; they are called by their codes, and no id is in them."""
    fired = unequal[1][0]
    with pytest.raises(UsageError, match="speaks of groups of people"):
        auditing.capsule(store / "groups", fired.id, of_groups=False)
    found = auditing.capsule(store / "groups", fired.id, of_groups=True)
    assert VERIFY.verify(found)
    assert found["incident"]["group"].startswith("g-")
    assert not any(each in json.dumps(found) for each in ("group-", "7999"))


def test_what_cannot_be_judged_again_is_said(lived: Lived, store: Path) -> None:
    """An incident without a docket is refused with the reason, and so is one that is not there or was damaged."""
    fleet, fired = lived[0], of_model(lived, "drift")
    for alertname, detector, why in (
        ("ModelSilent", "silence", "gaps between events"),
        ("FleetSharedCause", "drift", "inferred from incidents"),
        ("ModelDataQuality", "stuck", "stuck is judged by stretches without"),
        ("ModelFeatureDrift", "drift", "no docket was kept"),
        ("ModelFeatureDrift", "group_drift", "days of sampled events"),
    ):
        other = msgspec.structs.replace(fired, alertname=alertname, detector=detector, docket_digest="")
        with pytest.raises(UsageError, match=why):
            capsules.capsule(other, fleet.exhibits.fresh.get, (), of_groups=True)
    damaged = {fired.docket_digest: fleet.exhibits.fresh[fired.docket_digest] + b" "}
    with pytest.raises(StoreError, match="not as it was written"):
        capsules.capsule(fired, (fleet.exhibits.fresh | damaged).get, (), of_groups=True)
    with pytest.raises(StoreError, match="does not have what"):
        capsules.capsule(fired, lambda _: None, (), of_groups=True)
    with pytest.raises(UsageError, match="has no incident inc-1"):
        auditing.capsule(store / "series", "inc-1", of_groups=False)


def test_a_restart_goes_on_with_a_docket(tmp_path: Path) -> None:
    """A store that is read back in the middle of a suspicion gives the docket that an unbroken run gives."""

    def some(fleet: Fleet, hours: range) -> list[Incident]:
        lines = [event(START + i * HOUR / 50, MOVED(i, i >= 1500)) for i in range(50 * hours.start, 50 * hours.stop)]
        return feed(fleet, lines, until=START + hours.stop * HOUR).incidents

    whole, first, again = (new_fleet(POLICY) for _ in range(3))
    fired = some(whole, range(45))[0]
    before = int((fired.fired_time - START) // HOUR) - 2
    some(first, range(before))
    assert len(first.judge.dockets) == 1
    kept(tmp_path / "store", first, [])
    with Database(tmp_path / "store") as database:
        Checkpoint(database, TickLog(database, np.inf)).load(again, EventTime(0.0))
        after = some(again, range(before, 45))[0]
    assert (after.id, after.docket_digest) == (fired.id, fired.docket_digest)


def test_a_docket_is_cut_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long suspicion the newest pages are kept and still verify; a cell that fires has none; room is bound."""
    monkeypatch.setattr(dockets, "PAGE_STEPS", 2)
    fleet, fired = harmed({"m": MOVED}, 40)
    found = capsule_of(fleet, fired[0])
    kinds = [json.loads(line)["is"] for line in found["docket"]]
    assert (kinds.count("begun"), kinds.count("step")) == (2, 3)
    assert VERIFY.verify(found)
    assert len(fleet.judge.dockets) == 0
    monkeypatch.setattr(dockets, "_BYTES_MAX", -1)
    fleet, fired = harmed({"m": MOVED}, 40)
    assert fired[0].docket_digest == ""
    assert fleet.take_dockets_turned_away() >= 1


def test_a_cell_that_is_cleared_has_no_docket() -> None:
    """What a suspicious cell bet on is forgotten with the suspicion, and where it began anew it is told anew."""
    book, row = dockets.Dockets(), np.array([3])
    lines = lambda: ({"is": "begun"}, {"is": "null"}, {"is": "step"})
    book.add("drift", 3, (b"a", b"b"), lines)
    book.add("drift", 3, (b"b", b"c"), lines)
    assert book.take("drift", 3).count(b"step") == 2
    book.add("drift", 3, (b"a", b"b"), lines)
    book.add("drift", 3, (b"other", b"c"), lines)
    assert book.find("drift", 3).steps == 1
    book.let_go("drift", row, np.array([True]))
    assert len(book) == 1
    book.let_go("drift", row, np.array([False]))
    assert len(book) == 0
    assert ("drift", 3) in book.changed
