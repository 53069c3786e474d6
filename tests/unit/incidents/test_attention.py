"""Is nobody called more often than agreed, does the worst go first, and is nothing lost that waits?"""

from __future__ import annotations

import math
from typing import Any

import pytest
from fakes.desk import made_incident
from unit.incidents.test_book import T, firing

from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.incidents.attention import DAY_SECONDS, Attention, Telling, pages, telling, waits
from monitor.incidents.book import Book
from monitor.incidents.incident import Acknowledged, Incident
from monitor.kernels.hashing import hash64


def incident(number: int, **changes: Any) -> Incident:
    base = {"severity": "warning", "state": "firing", "traffic": 10.0**number, "people_affected": None, "cost": None}
    return made_incident(number, f"m{number}", **{**base, "labels": {"team": "risk"}, **changes})


def test_the_most_harmful_are_called_first() -> None:
    """With room for two of four the two most harmful call; each team has its own room."""
    attention = Attention(2)
    waiting = [incident(n) for n in range(1, 5)] + [incident(0, labels={"team": "eng"})]
    assert {one.id for one in attention.call(waiting, T)} == {"i-0004", "i-0003", "i-0000"}


def test_any_day_has_at_most_so_many() -> None:
    """No 24 hours hold more pages than agreed, and a place is free again a day after it was taken."""
    attention, called = Attention(3), []
    for hour in range(100):
        now = T + hour * 3600.0
        called += [now] * len(attention.call([incident(1)], now))
    assert called[:3] == [T, T + 3600, T + 7200]
    assert all(sum(now - DAY_SECONDS < t <= now for t in called) <= 3 for now in called)
    assert len(called) == 15, "three at the begin of each of five days"


def test_watch_lists_never_wait() -> None:
    """What a watch list found calls at once, even where nobody may be called any more."""
    attention = Attention(0)
    assert attention.call([incident(1)], T) == []
    assert len(attention.call([incident(2, watched=True), incident(3, watched=True)], T)) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"paged_time": T}, Telling.FIRING),
        ({}, Telling.NOTHING),
        ({"severity": "info"}, Telling.FIRING),
        ({"labels": {"mode": "shadow"}}, Telling.FIRING),
        ({"state": "resolved"}, Telling.NOTHING),
        ({"state": "resolved", "paged_time": T}, Telling.OVER),
        ({"paged_time": T, "acknowledged": Acknowledged("a", "fixed", "", T, T + 9)}, Telling.OVER),
        ({"paged_time": T, "acknowledged": Acknowledged("a", "silenced", "", T, T + 9, "s")}, Telling.FIRING),
    ],
)
def test_what_is_told(changes: dict[str, Any], expected: Telling) -> None:
    """What waits is no alert yet, what is acknowledged none any more; a silence is Alertmanager's own affair."""
    assert telling(incident(1, **changes)) is expected


def test_information_calls_nobody() -> None:
    """Incidents for information and of the shadow are told, call nobody and do not wait."""
    for changes in ({"severity": "info"}, {"labels": {"mode": "shadow"}}):
        assert not pages(incident(1, **changes))
        assert not waits(incident(1, **changes))


def test_a_book_calls_when_there_is_room() -> None:
    """Beyond the limit an incident waits in the digest, is called a day later if it is still open, and only once."""
    book = Book(100, Attention(2))
    book.fire([firing(n, f"f{n}", model=f"m{n}", alertname="ModelDataQuality", traffic=10.0**n) for n in range(1, 5)])
    first = {i.model for i in book.settle(T) if i.paged_time is not None}
    assert first == {"m4", "m3"}
    assert {i.model for i in book.digest()} == {"m1", "m2"}
    assert book.settle(T + 3600) == []
    book.clear([(2, "drift")], T + 7200)
    assert [i.model for i in book.digest()] == ["m1"]
    assert [(i.model, i.paged_time) for i in book.settle(T + DAY_SECONDS)] == [("m1", T + DAY_SECONDS)]
    assert book.digest() == []
    assert book.settle(T + 3 * DAY_SECONDS) == []


def test_what_waits_survives(tmp_path: Any) -> None:
    """A book put together again from its open incidents knows what waits."""
    book = Book(100, Attention(0))
    book.fire([firing(1, alertname="ModelDataQuality")])
    book.settle(T)
    again = Book(100, Attention(1))
    for held in book.open.values():
        again.restore(held)
    assert [i.paged_time for i in again.settle(T + 60)] == [T + 60]


@pytest.mark.parametrize("restored", [False, True])
def test_a_first_week_calls_for_quality_alone(*, restored: bool) -> None:
    """Until its model was seen through a week what may be a season waits, over a restart too, and calls afterwards."""
    week = T + 7 * DAY_SECONDS
    book = Book(100, Attention(100), seen_from=lambda _: week)
    kinds = ("quality", "volume", "performance", "calibration", "fairness", "label_gap", "mix", "drift")
    book.fire([firing(n, f"f{n}", alertname=f"Model{kind}", kind=kind) for n, kind in enumerate(kinds)])
    book.fire([firing(9, "tag", alertname="ModelUnwarrantedAssociation", kind="fairness", watched=True)])
    called = {i.kind for i in book.settle(T + 60) if i.paged_time is not None}
    assert called == {"quality", "volume", "fairness"}, "fairness of the watch list"
    assert len(book.digest()) == 6
    if restored:
        again = Book(100, Attention(100))
        for held in book.open.values():
            again.restore(held)
        book = again
    book.clear([(2, "drift")], T + 120)
    assert book.settle(week - 60) == []
    late = {i.kind for i in book.settle(week)}
    assert late == {"calibration", "fairness", "label_gap", "mix", "drift"}
    assert book.digest() == []


def test_a_model_with_a_reference_does_not_wait() -> None:
    """One whose reference comes from a file is known from its first event; others are seen a week after it."""
    models = Models(10)
    for n, name in enumerate(("learned", "filed")):
        models.add(name, hash64(name.encode()), Policy(), T + n)
    models.rows["from_file"][1] = 1
    assert models.seen_from("learned") == T + 7 * DAY_SECONDS
    assert models.seen_from("filed") == -math.inf
