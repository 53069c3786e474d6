"""Are groups compared by merit, by what mature cases say and by nothing else; and is what cannot be known said so?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event
from fleets.decisions import Town, came, decision, detectors

from monitor.groups import intersections
from monitor.groups.questions import Kind
from monitor.portrait import model_document

Person = dict[str, Any]


def lender(rates: dict[str, tuple[float, float]], merit: float = 0.5, **more: Any) -> Any:
    """Decides by group: favourably on those who merit it, and those who do not, at ``rates``."""

    def person(rng: np.random.Generator, group: str) -> Person:
        merits = rng.random() < merit
        favourable = bool(rng.random() < rates[group][0 if merits else 1])
        return {"event": decision(favourable), "outcome": came(merits), **more}

    return person


def entries(town: Town, detector: str) -> dict[str | None, dict[str, Any]]:
    document = model_document(town.fleet, 0, 1)
    return {entry["group"]: entry for entry in document["associations"] if entry["detector"] == detector}


def test_unequal_opportunity_is_told_once_cohorts_mature() -> None:
    """A group that gets what it merits less often is named, not before its first cohort has matured."""
    town = Town()
    town.live(44, lender({"A": (0.4, 0.2), "B": (0.9, 0.2)}))
    (found,) = town.named("ModelUnequalErrors")
    assert (found.detector, found.attribute, found.group) == ("opportunity", "race", "A")
    assert found.fired_time >= START + HOUR + DAY
    assert found.onset_time is not None
    assert found.onset_time <= found.fired_time - DAY
    assert found.effect.name == "opportunity_gap"
    assert found.effect.value == pytest.approx(0.5, abs=0.2)
    assert found.effect.tolerance == 0.05
    assert found.people_affected
    assert "favourable decision among those who merit it" in found.summary


def test_false_favours_and_losses() -> None:
    """Who is not given the benefit of the doubt, and about whom the model errs more, is told by cells of their own."""
    town = Town()
    town.live(48, lender({"A": (0.9, 0.1), "B": (0.9, 0.8)}))
    # Group B errs more: it is given what it does not merit; group A gets less of that.
    assert {("false_favourable", "A"), ("loss", "B")} <= detectors(town.named("ModelUnequalErrors"))
    assert ("opportunity", "A") not in detectors(town.named("ModelUnequalErrors"))
    loss = entries(town, "loss")["B"]
    assert loss["effect"]["value"] == pytest.approx(0.35, abs=0.1)
    assert loss["interval"][0] < 0.35 < loss["interval"][1]


def test_equal_errors_are_silent() -> None:
    """Groups of different merit that are treated alike given what they merit are no incident."""

    def person(rng: np.random.Generator, group: str) -> Person:
        merits = rng.random() < {"A": 0.45, "B": 0.55}[group]
        return {"event": decision(rng.random() < (0.8 if merits else 0.3)), "outcome": came(merits)}

    town = Town()
    town.live(48, person)
    assert town.named("ModelUnequalErrors") == []
    assert entries(town, "opportunity")["A"]["state"] == "watching"


def test_the_attribute_may_come_in_a_record_of_its_own() -> None:
    """What is sensitive may come later than the prediction, from a topic with its own permissions."""
    town = Town()
    town.live(44, lender({"A": (0.4, 0.2), "B": (0.9, 0.2)}, sensitive_after=3))
    (found,) = town.named("ModelUnequalErrors")
    assert (found.detector, found.group) == ("opportunity", "A")


@pytest.mark.parametrize("apart", [False, True])
def test_an_intersection_counts_once_however_its_attributes_come(apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """People of two groups are counted when both are known: with the prediction, or when its case matures."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 0)
    town, rng = Town(), np.random.default_rng(6)
    expected: dict[str, list[float]] = {}
    for i in range(80):
        sex, age, favourable, merits = "FM"[rng.integers(2)], ("old", "young")[rng.integers(2)], *(rng.random(2) < 0.6)
        who, later = {"sex": sex, "age": age}, {}
        if apart:
            who, later = {"sex": sex}, {"age": age}
        known: dict[str, Any] = {"id": f"p{i}"}
        said = [event(START + i, sensitive=who, **decision(bool(favourable)), **known)]
        said += [event(START + i + 100, sensitive=later, **known)] if later else []
        town.tell([*said, event(START + i + 200, outcome=came(bool(merits)), **known)])
        of = expected.setdefault(f"{age} x {sex}", [0.0, 0.0, 0.0])
        of[0] += 1
        of[1] += favourable
        of[2] += merits
    town.until(START + 3 * DAY)
    register = town.fleet.groups.register
    decided, opportunity = (register.find_output(0, kind, "") for kind in (Kind.DECISION, Kind.OPPORTUNITY))
    for group, name in enumerate(register.group_names):
        if name in expected:
            n, favoured, merit = expected.pop(name)
            assert register.totals(group, decided) == (n, favoured)
            assert register.totals(group, opportunity)[0] == merit
    assert not expected


def test_every_rate_is_what_the_formula_gives() -> None:
    """The rates of the document are the true positive, false positive and error rates of the same rows by group."""
    town, rows = Town(per_hour=60), []
    rates = {"A": (0.7, 0.3), "B": (0.75, 0.35)}

    def person(rng: np.random.Generator, group: str) -> Person:
        merits = rng.random() < 0.6
        favourable = bool(rng.random() < rates[group][0 if merits else 1])
        rows.append((group, merits, favourable))
        return {"event": decision(favourable), "outcome": came(merits)}

    town.live(10, person)
    town.end()
    group, y, yhat = (np.array(column) for column in zip(*rows, strict=True))
    for g in "AB":
        own = group == g
        expected = {
            "impact": yhat[own].mean(),
            "opportunity": (yhat & y)[own].sum() / y[own].sum(),
            "false_favourable": (yhat & ~y)[own].sum() / (~y)[own].sum(),
            "loss": (yhat != y)[own].mean(),
        }
        for detector, value in expected.items():
            (rate,) = (r for r in entries(town, detector)["A"]["rates"] if r["group"] == g)
            assert rate["rate"] == pytest.approx(value, abs=1e-12), detector
        for detector in ("opportunity", "false_favourable"):
            rates_of = [r["rate"] for r in entries(town, detector)["A"]["rates"]]
            assert entries(town, detector)["A"]["effect"]["value"] == pytest.approx(rates_of[1] - rates_of[0])


def test_losses_of_numbers_and_scores() -> None:
    """Of a regression large errors count, of a score without a decision the squared distance from the outcome."""

    def number(rng: np.random.Generator, group: str) -> Person:
        error = rng.exponential(1.0 if group == "A" else 4.0)
        return {"event": {"prediction": 10.0}, "outcome": 10.0 + error}

    town = Town(favourable=(), favourable_outcomes=(), learn={"events_min": 200})
    town.live(70, number)
    assert ("loss", "B") in detectors(town.named("ModelUnequalErrors"))

    def scored(rng: np.random.Generator, group: str) -> Person:
        y = rng.random() < 0.5
        told = 0.9 if y == (rng.random() < (0.9 if group == "A" else 0.4)) else 0.1
        return {"event": {"prediction": {"score": told}}, "outcome": str(int(y))}

    town = Town(favourable=(), favourable_outcomes=())
    town.live(50, scored)
    assert ("loss", "B") in detectors(town.named("ModelUnequalErrors"))


@pytest.mark.parametrize("says", [True, False])
def test_selective_outcomes_are_not_identified(says: bool) -> None:
    """Where only the favoured have outcomes nothing by merit reads healthy; calibration by group takes its place."""

    def person(rng: np.random.Generator, group: str) -> Person:
        score = round(rng.uniform(0.2, 0.9), 3)
        favourable = bool(score > 0.5)
        # Group A is underrated: more comes of it than its scores say.
        merits = rng.random() < min(score + (0.25 if group == "A" else 0.0), 1.0)
        return {"event": decision(favourable, score=score), "outcome": came(merits) if favourable else None}

    town = Town(per_hour=60, **({"outcomes_observed": "favourable"} if says else {}))
    town.live(110, person)
    document = model_document(town.fleet, 0, 1)
    for detector in ("opportunity", "false_favourable", "loss"):
        (entry,) = (e for e in document["associations"] if e["detector"] == detector)
        assert (entry["state"], entry["group"], entry["effect"]) == ("not identified", None, None)
        (spot,) = (s for s in document["blind_spots"] if s["detector"] == detector)
        assert spot["why"].startswith("not identified")
    assert document["performance"]["selective_labels"]["declared"] == says
    assert document["performance"]["selective_labels"]["detected"]
    assert detectors(town.named("ModelUnequalErrors")) == {("group_calibration", "A")}
    (found,) = town.named("ModelUnequalErrors")
    assert found.effect.value == pytest.approx(0.25, abs=0.15)
    (favoured,) = (e for e in document["associations"] if e["detector"] == "outcome_rate")
    assert favoured["state"] == "not judged"
    assert {rate["group"] for rate in favoured["rates"]} == {"A", "B"}
    # That refused people have no outcome is no gap between groups.
    assert town.named("ModelLabelGap") == []


def test_a_delay_that_differs_by_group_fakes_nothing() -> None:
    """V18: outcomes of one group come later; by cohorts no rate differs, and the delay itself is told."""

    def person(rng: np.random.Generator, group: str) -> Person:
        merits = rng.random() < 0.5
        delay = float(rng.exponential(2.0 if group == "A" else 6.0)) + 1.0
        late = delay < 22.0
        return {
            "event": decision(rng.random() < (0.8 if merits else 0.2)),
            "outcome": came(merits) if late else None,
            "delay": delay,
        }

    town = Town()
    town.live(60, person)
    assert town.named("ModelUnequalErrors") == []
    assert detectors(town.named("ModelLabelGap")) == {("label_delay", "B")}
    (found,) = town.named("ModelLabelGap")
    assert (found.kind, found.attribute) == ("label_gap", "race")


def test_outcomes_that_come_less_often_for_a_group() -> None:
    """Whose outcomes are missing is told; a model of which all are known, or none, is not asked."""

    def person(rng: np.random.Generator, group: str) -> Person:
        merits = rng.random() < 0.5
        known = rng.random() < (0.95 if group == "A" else 0.6)
        return {"event": decision(merits), "outcome": came(merits) if known else None}

    town = Town()
    town.live(48, person)
    assert detectors(town.named("ModelLabelGap")) == {("label_coverage", "B")}
    assert entries(town, "label_coverage")["B"]["effect"]["value"] == pytest.approx(0.35, abs=0.1)
    for known in (True, False):
        town = Town()
        town.live(
            30, lambda rng, _, k=known: {"event": decision(rng.random() < 0.5), "outcome": came(k) if k else None}
        )
        assert entries(town, "label_coverage") == {}
    assert {s["why"] for s in model_document(town.fleet, 0, 1)["blind_spots"] if s["detector"] == "opportunity"} == {
        "no case with an outcome has matured"
    }


def test_strata_explain_a_gap_or_do_not() -> None:
    """A gap that a legitimate reason explains is silent within its strata."""

    def person(rng: np.random.Generator, group: str) -> Person:
        product = "XY"[int(rng.random() < (0.8 if group == "A" else 0.2))]
        merits = rng.random() < 0.7
        favourable = rng.random() < {"X": 0.9, "Y": 0.4}[product]
        return {"event": decision(favourable, features={"product": product}), "outcome": came(merits)}

    plain, explained = Town(), Town(explain_by=("product",))
    for town in (plain, explained):
        town.live(60, person)
    assert ("opportunity", "A") in detectors(plain.named("ModelUnequalErrors"))
    assert explained.named("ModelUnequalErrors") == []
    entry = entries(explained, "opportunity")["A"]
    assert entry["interval"][0] < 0.0 < entry["interval"][1]
    assert abs(entry["effect"]["value"]) < 0.1


def test_bands_of_a_feature_are_groups_of_cases() -> None:
    """An attribute that is a number among the features has its quarters compared by merit too."""

    def person(rng: np.random.Generator, group: str) -> Person:
        age, merits = float(rng.integers(20, 60)), rng.random() < 0.5
        favourable = merits and (age >= 30 or rng.random() < 0.2)
        return {"event": decision(bool(favourable), features={"age": age}), "outcome": came(bool(merits))}

    town = Town(sensitive=("age",), per_hour=60)
    town.live(72, person)
    assert ("opportunity", "lowest quarter") in detectors(town.named("ModelUnequalErrors"))


def test_small_parts_of_groups_are_not_shown() -> None:
    """Of a group with too few who do not merit the decision neither part is shown: one would give the other."""
    town = Town(per_hour=20)
    town.live(10, lender({"A": (0.8, 0.5), "B": (0.8, 0.5)}, merit=0.93))
    town.end()
    shown = model_document(town.fleet, 0, 1)["associations"]
    assert {entry["detector"] for entry in shown} == {"impact", "loss"}
    hidden = {s["detector"] for s in model_document(town.fleet, 0, 1)["blind_spots"] if "too small" in s["why"]}
    assert hidden == {"opportunity", "false_favourable"}


def test_too_few_cases_are_a_blind_spot() -> None:
    """Of groups with too few matured cases the document says which gap could not be seen, and what that would take."""
    town = Town(per_hour=2, tolerance={"error_gap": 0.09})
    town.live(60, lender({"A": (0.8, 0.5), "B": (0.8, 0.5)}))
    town.end()
    spots = [s for s in model_document(town.fleet, 0, 1)["blind_spots"] if s["detector"] == "opportunity"]
    assert {spot["group"] for spot in spots} == {"A", "B"}
    assert all(spot["days"] > 30 and spot["cases_needed"] > 100 for spot in spots)
    assert all("a gap of 0.14" in spot["why"] for spot in spots)


def test_what_is_planned_is_not_compared() -> None:
    """Cases that were predicted in a planned window speak against nobody."""
    window = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T20:00:00Z", "note": "trial"}
    town = Town(planned=(window,))
    town.live(20, lender({"A": (0.2, 0.2), "B": (0.9, 0.2)}))
    town.end()
    assert town.named("ModelUnequalErrors") == []


def test_a_person_of_an_unknown_group_is_nobody() -> None:
    """A value that only a late record named is told apart from nobody, and nothing fails."""
    town = Town()
    town.live(2, lender({"A": (0.5, 0.5), "B": (0.5, 0.5)}))
    town.tell([event(START, id="late", sensitive={"race": "C"}, prediction={"label": "yes"})])
    town.end()
    assert "C" not in town.fleet.groups.register.group_names


def test_a_decision_is_counted_for_who_is_known_later() -> None:
    """Whose attribute comes in a record of its own is compared by impact too, once, when the case matures."""
    apart, together = Town(), Town()
    for town, after in ((apart, 3), (together, 0)):
        town.live(44, lender({"A": (0.4, 0.1), "B": (0.9, 0.5)}, sensitive_after=after))
        (found,) = town.named("ModelDisparateImpact")
        assert (found.attribute, found.group) == ("race", "A")
        assert (found.fired_time > START + DAY) == (town is apart)
        town.end()
    for town in (apart, together):
        assert [rate["n"] for rate in entries(town, "impact")["A"]["rates"]] == [44 * 20, 44 * 20]


def test_unequal_errors_have_their_people_and_cost() -> None:
    """An incident says how many of the group are hit beyond what is tolerated, and what that costs."""
    costs = {"currency": "EUR", "false_negative": 100.0, "false_positive": 10.0}
    for positive, unit in ((None, 100.0), ("repaid", 100.0), ("default", 10.0)):
        said = {} if positive is None else {"positive": (positive,)}
        town = Town(costs=costs, tolerance={"performance": 0.5}, **said)
        town.live(44, lender({"A": (0.4, 0.2), "B": (0.9, 0.2)}))
        (found,) = town.named("ModelUnequalErrors")
        assert (found.detector, found.cost) == ("opportunity", found.people_affected * unit)
        assert found.people_affected > 10
    document = model_document(town.fleet, 0, 1)["performance"]["figures"]
    # Half of A's good borrowers are refused: three in five of them and a tenth of B's, none for being bad ones.
    assert document["error_rate"]["value"] == pytest.approx(0.275, abs=0.08)
    assert document["recall"]["value"] == pytest.approx(0.8, abs=0.08)


def test_a_worse_model_has_its_people_and_cost() -> None:
    """What errors beyond those of the reference cost, and how many they are, stands in the incident."""
    town = Town(costs={"currency": "EUR", "false_negative": 100.0, "false_positive": 100.0})
    town.live(40, lender({"A": (0.9, 0.1), "B": (0.9, 0.1)}))
    town.live(20, lender({"A": (0.5, 0.5), "B": (0.5, 0.5)}))
    town.end()
    found = [i for i in town.named("ModelPerformanceDegraded") if i.detector == "performance"]
    assert found
    assert found[0].people_affected is None or found[0].people_affected > 10
    assert found[0].cost is not None
    assert found[0].cost > 1_000


def test_of_a_biased_and_a_mitigated_model_the_biased_one_is_told() -> None:
    """One model with a common threshold, one whose thresholds equalise opportunity, on the same people and outcomes."""

    def person(threshold: dict[str, float]) -> Any:
        def one(rng: np.random.Generator, group: str) -> Person:
            merits = rng.random() < 0.5
            # The same people score lower in group A, whatever they merit.
            score = rng.normal(0.8 if merits else -0.8) - (1.0 if group == "A" else 0.0)
            return {"event": decision(bool(score > threshold[group])), "outcome": came(merits)}

        return one

    biased, mitigated = Town(), Town()
    biased.live(60, person({"A": 0.0, "B": 0.0}))
    mitigated.live(60, person({"A": -1.0, "B": 0.0}))
    assert ("opportunity", "A") in detectors(biased.named("ModelUnequalErrors"))
    assert mitigated.named("ModelUnequalErrors") == mitigated.named("ModelDisparateImpact") == []
