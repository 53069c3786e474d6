"""Is it counted what people said of incidents, and is it kept as long as it holds?"""

from __future__ import annotations

import pytest
from fakes.desk import made_incident
from unit.incidents.test_book import firing

from monitor.incidents.attention import Attention
from monitor.incidents.book import Book
from monitor.incidents.incident import Acknowledged, Incident
from monitor.incidents.precision import VERDICTS, precision


def judged(verdicts: list[str], team: str = "risk", **changes: str | None) -> list[Incident]:
    labels = {"team": team} if team else {}
    return [made_incident(i, "m", labels=labels, verdict=verdict, **changes) for i, verdict in enumerate(verdicts)]


def test_by_team_and_detector() -> None:
    """Each team has a row for all and one a detector; what nobody judged is neither right nor wrong."""
    incidents = [
        *judged(["fixed"] * 6 + ["expected", "not_useful", "false", "false", "", ""]),
        *judged(["false"], detector="missing"),
        *judged(["", ""], team=""),
    ]
    rows = {(row.team, row.detector): row for row in precision(incidents)}
    assert list(rows) == [("", None), ("", "drift"), ("risk", None), ("risk", "drift"), ("risk", "missing")]
    drift, whole, nobody = rows["risk", "drift"], rows["risk", None], rows["", None]
    assert (drift.told, drift.confirmed, drift.false, drift.not_judged) == (12, 8, 2, 2)
    assert (whole.told, whole.confirmed, whole.false, whole.not_judged) == (13, 8, 3, 2)
    assert drift.said == {"expected": 1, "fixed": 6, "false": 2, "not_useful": 1}
    assert drift.precision == 0.8
    # Wilson's score interval of 8 in 10, as in Agresti and Coull (1998).
    assert drift.interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert (nobody.told, nobody.not_judged, nobody.precision, nobody.interval) == (2, 2, None, (0.0, 1.0))


def test_what_a_shared_cause_took_in_is_told_once() -> None:
    """Incidents that were merged into one of many models do not count beside it."""
    shared = made_incident(9, "", alertname="FleetSharedCause", labels={"team": "risk"}, verdict="fixed")
    [row, _] = precision([shared, *judged(["", "", "false"], merged_into="i-0009")])
    assert (row.told, row.confirmed, row.false) == (1, 1, 0)


def known(reason: str, silence: str = "") -> Acknowledged:
    return Acknowledged("ada", reason, "", 0.0, 1000.0, silence)


def test_a_verdict_outlives_its_acknowledgement() -> None:
    """It stays when the time is over and when the incident is resolved; taken back it is gone; a silence gives none."""
    book = Book(10, Attention())
    [told] = book.fire([firing("x", at=60.0)])
    for reason in VERDICTS:
        changed, _ = book.acknowledge(told.id, known(reason))
        assert changed.verdict == reason
    changed, _ = book.acknowledge(told.id, known("silenced", silence="s-1"))
    assert changed.verdict == VERDICTS[-1]
    changed, _ = book.acknowledge(told.id, None)
    assert (changed.acknowledged, changed.verdict) == (None, VERDICTS[-1])
    book.acknowledge(told.id, known("fixed"))
    [changed] = book.settle(2000.0)
    assert (changed.acknowledged, changed.verdict) == (None, "fixed")
    book.acknowledge(told.id, known("false"))
    changed, cells = book.acknowledge(told.id, None)
    assert changed.verdict == ""
    book.acknowledge(told.id, known("false"))
    [done] = book.clear(cells, 3000.0)
    assert (done.state, done.verdict) == ("resolved", "false")
