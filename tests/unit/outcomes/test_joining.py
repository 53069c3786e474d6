"""Do the parts of a case find one another, in whatever order and in however many records they come?"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, MINUTE, START, decoded, event, new_fleet

from monitor.events.columns import ValueType
from monitor.fleet import Fleet
from monitor.kernels.hashing import hash64
from monitor.outcomes.joining import FATES
from monitor.outcomes.matured import Matured
from monitor.store.database import Database, Writes

POLICY: dict[str, Any] = {"tick": "1h", "outcome_horizon": "1d", "favourable": ("yes",)}


class Story:
    """A fleet that is told events one at a time, and what of its cases matured."""

    def __init__(self, **policy: Any) -> None:
        self.fleet: Fleet = new_fleet(POLICY | policy)
        self.seen: list[Matured] = []
        self.fleet.outcomes.takers.append(self.seen.append)
        self.reached = -np.inf

    def tell(self, *events: bytes, apart: bool = True) -> Story:
        for part in [[one] for one in events] if apart else [list(events)]:
            batch = decoded(part)
            ends = self.fleet.tick_ends(batch)
            passed = np.full(len(batch), self.reached)
            self.fleet.absorb(batch, ends <= passed)
            self.fleet.join(batch, self.fleet.case_dues(batch, ends), passed)
        return self

    def until(self, time: float) -> Story:
        self.reached = time
        self.fleet.close(time)
        return self

    def fate(self, name: str) -> int:
        return int(self.fleet.outcomes.totals.rows["fates"][0, FATES.index(name)])

    def fates(self) -> dict[str, int]:
        return {name: self.fate(name) for name in FATES if self.fate(name)}

    @property
    def cases(self) -> Matured:
        (only,) = self.seen
        return only


def predicted(label: str = "yes", at: float = START, **rest: Any) -> bytes:
    return event(at, id="a", prediction={"label": label, "score": 0.75}, **rest)


def outcome(label: Any = "yes", at: float = START + HOUR, **rest: Any) -> bytes:
    return event(at, id="a", outcome=label, **rest)


def sensitive(at: float = START, **rest: Any) -> bytes:
    return event(at, id="a", sensitive={"sex": "F", "age": "30"}, **rest)


def attributes(cases: Matured, i: int = 0) -> dict[int, int]:
    names, texts = cases.names[i], cases.texts[i]
    return {int(name): int(text) for name, text in zip(names, texts, strict=True) if name}


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("apart", [True, False])
def test_any_order_gives_the_same_case(order: Iterable[int], apart: bool) -> None:
    """Prediction, outcome and sensitive attributes join in any order, in one batch or in several."""
    parts = [predicted(entity="p1"), outcome(value=12.5), sensitive()]
    story = Story().tell(*(parts[i] for i in order), apart=apart).until(START + 10 * DAY)
    cases = story.cases
    assert len(cases) == 1
    assert cases.labelled.tolist() == [True]
    assert (cases.predicted[0], cases.outcome[0]) == (hash64(b"yes"), hash64(b"yes"))
    assert (cases.score[0], cases.money[0], cases.y[0], cases.wrong[0]) == (0.75, 12.5, 1.0, 0.0)
    assert (cases.favourable[0], cases.merits[0]) == (1, 1)
    assert cases.entity[0] == hash64(b"p1")
    assert (cases.end[0], cases.due) == (START + HOUR, START + HOUR + DAY)
    assert cases.delay[0] == HOUR
    assert attributes(cases) == {hash64(b"sex"): hash64(b"F"), hash64(b"age"): hash64(b"30")}
    assert story.fate("joined") == 1


def test_a_case_matures_once_and_not_before_its_horizon() -> None:
    """Nothing is handed on until event time has passed the end of the tick and the horizon, and nothing twice."""
    story = Story().tell(predicted(), outcome())
    assert story.until(START + HOUR + DAY - 0.01).seen == []
    assert len(story.until(START + HOUR + DAY).cases) == 1
    assert len(story.until(START + 30 * DAY).seen) == 1


def test_the_newest_of_several_outcomes_counts() -> None:
    """The same outcome again is nothing; another one counts if it is newer, whichever came first."""
    story = Story().tell(predicted(), outcome("yes"), outcome("yes"), outcome("no", START + 3 * HOUR))
    story.tell(outcome("maybe", START + 2 * HOUR)).until(START + 10 * DAY)
    assert story.cases.outcome[0] == hash64(b"no")
    assert story.fates() == {"joined": 1, "repeated": 1, "changed": 2}


def test_an_outcome_behind_the_horizon_does_not_count() -> None:
    """By its own time when the case still waits, and by when it comes when the case has matured."""
    story = Story().tell(predicted(), outcome(at=START + HOUR + DAY + 1))
    story.until(START + 1.5 * DAY).tell(outcome(at=START + 5 * MINUTE))
    assert story.cases.labelled.tolist() == [False]
    assert story.fates() == {"after_horizon": 2}
    story.until(START + 3 * DAY).tell(outcome(at=START + 5 * MINUTE))
    assert story.fates() == {"after_horizon": 2, "without_prediction": 1}


def test_an_outcome_that_was_before_its_prediction_and_beyond_its_horizon() -> None:
    """It came first, so that only the prediction tells that it is too late."""
    story = Story().tell(outcome(at=START + 2 * DAY), predicted()).until(START + 10 * DAY)
    assert story.cases.labelled.tolist() == [False]
    assert story.fates() == {"before_prediction": 1, "after_horizon": 1}


def test_outcomes_of_nothing() -> None:
    """An outcome for an id that never comes is let go after its own horizon; so are attributes."""
    story = Story().tell(outcome(), event(START, id="b", sensitive={"sex": "F"})).until(START + 10 * DAY)
    assert story.seen == []
    assert story.fates() == {"before_prediction": 1, "without_prediction": 1, "parts_without_prediction": 1}
    assert (story.fleet.outcomes.pending.find(np.array([1], np.uint64)) < 0).all()


def test_a_prediction_comes_twice_or_too_late() -> None:
    """The first prediction counts; one whose cohort has matured is no case."""
    story = Story().tell(predicted("yes"), predicted("no", START + MINUTE)).until(START + 1.5 * DAY)
    story.tell(predicted("no"), event(START, id="late", prediction="yes")).until(START + 10 * DAY)
    assert story.cases.predicted[0] == hash64(b"yes")
    assert story.fates() == {"repeated_predictions": 2, "late_predictions": 1}


def test_what_event_time_leaps_over_is_forgotten(tmp_path: Path) -> None:
    """One leap lets a case mature and be forgotten again, before others that mature later; its id begins a new one.

    Nothing of it stays in the store, wherever the cases lie.
    """
    story = Story()
    pending = story.fleet.outcomes.pending
    with Database(tmp_path) as database:
        pending.attach(database)
        pending.buffered_max = 0

        def saved() -> int:
            writes = Writes()
            pending.save(writes)
            database.commit(writes)
            return len([*database.scan_prefix(b"w"), *database.scan_prefix(b"W")])

        story.tell(predicted(), event(START + 4 * DAY, id="b", prediction="yes"))
        assert saved() == 4
        story.until(START + 10 * DAY)
        assert saved() == 0
        story.tell(predicted(at=START + 10 * DAY))
        assert story.fates() == {}
        story.until(START + 20 * DAY)
        assert saved() == 0
        assert [seen.due for seen in story.seen] == [START + HOUR + DAY * day for day in (1, 5, 11)]


def test_fewer_cases_may_wait_than_do() -> None:
    """A limit that was lowered lets no case in until fewer wait than it says."""
    story = Story().tell(*(event(START + i * HOUR, id=f"{i}", prediction="yes") for i in range(3)))
    story.fleet.outcomes.allow(2)
    waits = []
    for hour in range(3, 6):
        story.until(START + DAY + (hour - 2) * HOUR).tell(event(START + DAY + hour * HOUR, id=f"{hour}", outcome="yes"))
        waits.append((story.fleet.outcomes.n_waiting(), story.fate("no_room")))
    assert waits == [(2, 1), (2, 1), (2, 1)]


def test_a_model_without_outcomes_keeps_no_cases() -> None:
    """Where a policy's horizon is nothing, no prediction waits, and an outcome that comes is nobody's."""
    story = Story(outcome_horizon="0s").tell(predicted(), outcome()).until(START + 3 * DAY)
    assert story.fates() == {}
    assert story.seen == []
    assert story.fleet.outcomes.n_waiting() == 0


def test_no_outcome_may_mean_a_class() -> None:
    """With ``missing_outcome`` a case without an outcome has that one; else it is not labelled."""
    silent = Story().tell(predicted()).until(START + 10 * DAY).cases
    assert (silent.labelled[0], silent.outcome[0]) == (False, 0)
    assert np.isnan(silent.wrong[0])
    meant = Story(missing_outcome="no").tell(predicted()).until(START + 10 * DAY).cases
    assert (meant.labelled[0], meant.outcome[0], meant.wrong[0], meant.y[0]) == (True, hash64(b"no"), 1.0, 0.0)


def test_features_and_segments_that_a_policy_names() -> None:
    """They are carried as attributes, numbers as their bits; no other feature is."""
    story = Story(sensitive=("sex", "age"), explain_by=("region",))
    features = {"age": 41.5, "income": 9.0, "sex": "M"}
    case = story.tell(predicted(features=features, segment={"region": "N", "arm": "a"})).until(START + 9 * DAY).cases
    held = attributes(case)
    assert held.keys() == {hash64(name) for name in (b"age", b"sex", b"region")}
    age = np.flatnonzero(case.names[0] == hash64(b"age"))[0]
    assert case.kinds[0, age] == ValueType.NUMBER
    assert np.array([held[hash64(b"age")]], np.uint64).view(np.float64)[0] == 41.5


def test_more_attributes_than_a_case_can_carry() -> None:
    """The first six stay, others are counted."""
    story = Story().tell(predicted(sensitive={f"s{i}": "x" for i in range(8)})).until(START + 9 * DAY)
    assert attributes(story.cases).keys() == {hash64(f"s{i}".encode()) for i in range(6)}
    assert story.fate("attributes_turned_away") == 2


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (True, 1.0), ("0", False)])
def test_classes_are_compared_as_classes(one: Any, other: Any) -> None:
    """1, 1.0, true and "1" are one class."""
    story = Story(favourable=()).tell(event(START, id="a", prediction={"label": one}), outcome(other))
    assert story.until(START + 9 * DAY).cases.wrong.tolist() == [0.0]


def test_thresholds_make_decisions() -> None:
    """A bare number with a threshold is a score; the decision is wrong where the outcome does not merit it."""
    story = Story(favourable=(), decision_threshold=0.5, favourable_when="below")
    for i, (score, truth) in enumerate([(0.2, 0), (0.2, 1), (0.9, 1), (0.9, 0)]):
        story.tell(event(START, id=f"{i}", prediction=score), event(START + 1, id=f"{i}", outcome=truth))
    cases = story.until(START + 9 * DAY).cases
    shown = sorted(zip(cases.score, cases.y, cases.favourable, cases.merits, cases.wrong, strict=True))
    assert shown == [(0.2, 0, 1, 1, 0), (0.2, 1, 1, 0, 1), (0.9, 0, 0, 1, 1), (0.9, 1, 0, 0, 0)]


def test_regressions_have_errors() -> None:
    """A bare number without a threshold and a number as its outcome make an absolute error."""
    story = Story(favourable=()).tell(event(START, id="a", prediction=10.0), outcome(7.5)).until(START + 9 * DAY)
    assert story.cases.error.tolist() == [2.5]
    assert np.isnan(story.cases.wrong[0])


@pytest.mark.parametrize(
    ("policy", "truth", "score", "error"),
    [
        ({}, "bad", 0.25, np.nan),  # a class
        ({}, 1, np.nan, 0.75),
        ({"task": "binary"}, 1, 0.25, np.nan),
        ({"task": "regression", "decision_threshold": 0.5}, 1, np.nan, 0.75),
    ],
)
def test_what_a_bare_number_is(policy: dict[str, Any], truth: Any, score: float, error: float) -> None:
    """A score where its outcome is a class by name or the task says so, else the value of a regression."""
    story = Story(favourable=(), positive=("bad", "1"), **policy)
    story.tell(event(START, id="a", prediction=0.25), event(START + 1, id="a", outcome=truth))
    cases = story.until(START + 9 * DAY).cases
    assert cases.score.tolist() == pytest.approx([score], nan_ok=True)
    assert cases.error.tolist() == pytest.approx([error], nan_ok=True)


def test_what_wrong_decisions_cost() -> None:
    """False positives and false negatives of the positive class have their own price."""
    costs = {"false_positive": 5.0, "false_negative": 2.0}
    story = Story(favourable=(), positive=("bad",), costs=costs)
    for i, (label, truth) in enumerate([("bad", "good"), ("good", "bad"), ("bad", "bad"), ("good", "good")]):
        story.tell(event(START, id=f"{i}", prediction={"label": label}), event(START, id=f"{i}", outcome=truth))
    assert sorted(story.until(START + 9 * DAY).cases.cost.tolist()) == [0.0, 0.0, 2.0, 5.0]
