"""Does what one cause does to many models call people once, though some models see it minutes before the others?"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.incidents.test_book import T, firing, only
from unit.incidents.test_shared import book, drift, shared

from monitor.incidents.attention import waits
from monitor.incidents.book import Book
from monitor.incidents.firing import Firing, OpenIncident

WAIT = 300.0
QUALITY = "ModelDataQuality"


def gathering(others: int = 2, **rest: Any) -> Book:
    """A book that is told that so many other models begin to show whatever fires."""
    made = book(**rest)
    made.suspected = lambda _incident, _upstreams: others
    return made


def broken(n: int, at: float = T, **rest: Any) -> Firing:
    return drift(n, at=at, alertname=QUALITY, **{"kind": "quality", **rest})


def called(book: Book) -> list[tuple[str, str]]:
    """Alertname and model of all that called somebody, in order."""
    known = [i for i in book.newest() if i.paged_time is not None]
    return [(i.alertname, i.model) for i in sorted(known, key=lambda i: (i.paged_time or 0.0, i.id))]


def lived(book: Book, minutes: dict[int, list[int]], until: int = 10) -> None:
    """Let the models of ``minutes`` fire, by minute, and every minute be settled."""
    for minute in range(until):
        at = T + 60.0 * minute
        book.fire([broken(n, at) for n in minutes.get(minute, [])])
        book.settle(at)


def test_the_first_to_see_it_wait_for_the_cause() -> None:
    """One model sees a break at once, one a minute later, the third two minutes after that: one page, the cause's."""
    it = gathering()
    lived(it, {0: [0], 1: [1], 3: [2, 3, 4]})
    assert called(it) == [("FleetSharedCause", "")]
    assert only(shared(it)).paged_time == T + 180.0
    alone = gathering(others=0)
    lived(alone, {0: [0], 1: [1], 3: [2, 3, 4]})
    assert [name for name, _ in called(alone)] == [QUALITY, QUALITY, "FleetSharedCause"]


def test_nobody_waits_longer_than_said() -> None:
    """Where no cause is found the first calls for itself after ``attention.gather``, at that moment."""
    it = gathering()
    lived(it, {0: [0]}, until=1)
    assert it.calls_due(T + WAIT) == []
    assert it.calls_due(T + WAIT + 60.0) == [T + WAIT]
    it.settle(T + WAIT)
    assert called(it) == [(QUALITY, "m0")]
    assert only(it.newest()).paged_time == T + WAIT
    assert it.calls_due(T + 9 * WAIT) == []


def test_a_suspicion_that_passes_lets_go() -> None:
    """When the others turn out to show nothing the incident calls at the next tick."""
    it = gathering()
    lived(it, {0: [0]}, until=2)
    assert called(it) == []
    it.suspected = lambda _incident, _upstreams: 1
    it.settle(T + 120.0)
    assert called(it) == [(QUALITY, "m0")]


@pytest.mark.parametrize(
    ("alertname", "rest"),
    [
        ("ModelPerformanceDegraded", {"kind": "performance"}),
        ("ModelDisparateImpact", {"kind": "fairness"}),
        ("ModelUnwarrantedAssociation", {"kind": "fairness", "watched": True}),
        (QUALITY, {"kind": "quality", "cost": 100.0}),
        (QUALITY, {"kind": "quality", "tick": 3600.0}),
    ],
)
def test_what_may_not_wait_calls_at_once(alertname: str, rest: dict[str, Any]) -> None:
    """What is critical, of groups or of a watch list does not wait; nor does a model whose next tick would be late."""
    it = gathering()
    it.fire([firing(0, "bureau", model="m0", alertname=alertname, **rest)])
    it.settle(T)
    assert called(it) == [(alertname, "m0")]


def test_no_waiting_if_nobody_wants_it() -> None:
    """With ``attention.gather = 0s`` everything calls when it fires."""
    it = gathering()
    it.attention.gather = 0.0
    lived(it, {0: [0]}, until=1)
    assert called(it) == [(QUALITY, "m0")]


def test_a_movement_of_its_own_does_not_wait_for_what_stands() -> None:
    """A model that moves far more than the common cause does calls at once: nothing could take it in any more."""
    it = gathering()
    lived(it, {0: [0, 1, 2, 3]}, until=1)
    it.fire([broken(9, T + 60.0, value=5.0)])
    it.settle(T + 60.0)
    assert called(it) == [("FleetSharedCause", ""), (QUALITY, "m9")]


def test_what_gathers_is_not_in_the_digest() -> None:
    """The digest is of what waits because a team was called too often."""
    it = gathering()
    lived(it, {0: [0]}, until=1)
    assert waits(only(it.newest()))
    assert it.digest() == []
    it.attention.per_day = 0
    it.settle(T + WAIT)
    assert [i.model for i in it.digest()] == ["m0"]


@pytest.mark.parametrize("found", [False, True])
def test_a_crash_while_it_waits(found: bool) -> None:
    """What waits when the daemon dies is called once after it: for itself in time, or by the cause that it joins."""
    it = gathering()
    lived(it, {0: [0], 1: [1]}, until=2)
    stored = msgspec.msgpack.encode(list(it.open.values()))
    again = gathering()
    for held in msgspec.msgpack.decode(stored, type=list[OpenIncident]):
        again.restore(held)
    assert again.calls_due(T + WAIT + 1.0) == [T + WAIT]
    if found:
        again.fire([broken(n, T + 180.0) for n in (2, 3, 4)])
        again.settle(T + 180.0)
    for due in again.calls_due(T + 2 * WAIT):
        again.settle(due)
    again.settle(T + 2 * WAIT)
    assert called(again) == ([("FleetSharedCause", "")] if found else [(QUALITY, "m0"), (QUALITY, "m1")])
