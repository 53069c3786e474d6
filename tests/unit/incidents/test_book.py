"""Do cells that belong together become one incident, with labels and an id that never change?"""

from __future__ import annotations

from typing import Any

import pytest

from monitor.incidents.book import RESOLVED_KEPT, Book
from monitor.incidents.firing import Firing, incident_id
from monitor.incidents.incident import CellReport, Effect, Incident

T = 1_767_225_600.0


def firing(
    row: int = 1,
    feature: str | None = "x",
    *,
    model: str = "m",
    alertname: str = "ModelFeatureDrift",
    at: float = T,
    onset: float | None = T - 600,
    value: float = 0.1,
    evidence: float = 4.0,
    **rest: Any,
) -> Firing:
    report = CellReport("drift", feature, None, None, None, Effect("share_gap", value, 0.02), evidence, onset, at)
    given = {"version": "", "kind": "drift", "team": "", "mode": "", **rest}
    return Firing(
        (row, "drift"), model, alertname=alertname, report=report, words=f"{feature} moved at {at:g}", **given
    )


def only(incidents: list[Incident]) -> Incident:
    [incident] = incidents
    return incident


def test_one_incident_takes_in_cells() -> None:
    """Cells of one model and alert are one incident; its own cell, id, firing time and labels stay the first one's."""
    book = Book(10)
    first = only(book.fire([firing(1, "a", value=0.1)]))
    second = only(book.fire([firing(2, "b", value=0.5, at=T + 60, onset=T - 900, evidence=9.0)]))
    assert second.id == first.id
    assert (second.feature, second.fired_time, second.labels) == (first.feature, first.fired_time, first.labels)
    assert [cell.feature for cell in second.cells] == ["b", "a"], "ranked by effect over tolerance"
    assert second.onset_time == first.onset_time, "what fired first tells when it began"
    assert second.evidence_log10 == 9.0
    assert second.summary == f"m: a moved at {T:g}, and 1 more."
    assert len(book.open) == 1


def test_cells_at_once_are_told_once() -> None:
    """Cells that fire in one tick come out as one changed incident."""
    book = Book(10)
    incident = only(book.fire([firing(row, f"f{row}") for row in range(9)]))
    assert len(incident.cells) == 9


def test_resolved_with_its_last_cell() -> None:
    """An incident is resolved when none of its cells fires any more, and says when and why."""
    book = Book(10)
    book.fire([firing(1, "a"), firing(2, "b")])
    assert book.clear([(1, "drift")], T + 60) == []
    done = only(book.clear([(2, "drift")], T + 120))
    assert (done.state, done.resolved_time, done.resolved_because) == ("resolved", T + 120, "cleared")
    assert [cell.feature for cell in done.cells] == ["a", "b"]
    assert book.clear([(1, "drift"), (2, "drift"), (7, "schema")], T + 180) == []
    assert book.open == {}


def test_again_is_another() -> None:
    """What fires again after it was resolved is another incident with another id."""
    book = Book(10)
    first = only(book.fire([firing()]))
    book.clear([(1, "drift")], T + 60)
    again = only(book.fire([firing(at=T + 600)]))
    assert again.id != first.id
    assert [incident.id for incident in book.newest()] == [again.id, first.id]


def test_cell_that_flaps() -> None:
    """A cell that fires again in an open incident stands there once, since its first time, as it is now."""
    book = Book(10)
    book.fire([firing(1, "a"), firing(2, "b")])
    for i in range(1, 100):
        book.clear([(1, "drift")], T + i * 100)
        incident = only(book.fire([firing(1, "a", at=T + i * 100 + 50, onset=T + i * 100, value=0.9)]))
    assert len(incident.cells) == 2
    cell = incident.cells[0]
    assert (cell.feature, cell.fired_time, cell.onset_time, cell.effect.value) == ("a", T, T - 600, 0.9)
    [held] = book.open.values()
    assert len(held.words) <= 10, "what is stored of it stays small"


def test_related_both_ways() -> None:
    """Open incidents of one model name each other; those of other models do not."""
    book = Book(10)
    drift = only(book.fire([firing(1)]))
    book.fire([firing(3, model="other")])
    changed = {i.alertname: i for i in book.fire([firing(2, alertname="ModelDataQuality", kind="quality")])}
    assert changed["ModelDataQuality"].related == (drift.id,)
    assert changed["ModelFeatureDrift"].related == (changed["ModelDataQuality"].id,)
    assert only([i for i in book.newest() if i.model == "other"]).related == ()


def test_related_stay_on_resolving() -> None:
    """A resolved incident still names what stood beside it."""
    book = Book(10)
    book.fire([firing(1), firing(2, alertname="ModelPredictionDrift", feature=None)])
    done = only(book.clear([(1, "drift")], T + 60))
    assert len(done.related) == 1


def test_ids_are_the_same_everywhere() -> None:
    """An id follows from model, alert, attribute and firing time alone, and each of them matters."""
    facts = [("m", "A", "", T), ("n", "A", "", T), ("m", "B", "", T), ("m", "A", "s", T), ("m", "A", "", T + 60)]
    ids = [incident_id(*fact) for fact in facts]
    assert len(set(ids)) == len(facts)
    assert ids[0] == only(Book(1).fire([firing(alertname="A")])).id
    assert ids[0] == "inc-" + ids[0][4:]
    assert len(ids[0]) == 20


def test_labels() -> None:
    """Labels are those of the contract; what does not apply is not there, and none is empty."""
    bare = only(Book(1).fire([firing()])).labels
    assert bare == {
        "alertname": "ModelFeatureDrift",
        "severity": "info",
        "service": "modelwatch",
        "model": "m",
        "detector": "drift",
        "feature": "x",
    }
    full = only(Book(1).fire([firing(version="7", team="risk", mode="shadow")])).labels
    assert full == {**bare, "version": "7", "team": "risk", "mode": "shadow"}


@pytest.mark.parametrize(
    ("alertnames", "severities"),
    [
        (["ModelFeatureDrift"], ["info"]),
        (["ModelDataQuality"], ["warning"]),
        (["ModelPredictionDrift", "ModelFeatureDrift"], ["warning", "warning"]),
        (["ModelFeatureDrift", "ModelPredictionDrift"], ["info", "warning"]),
    ],
)
def test_severity(alertnames: list[str], severities: list[str]) -> None:
    """Drift of features alone is for information; with the model's answers it is a warning, frozen at firing."""
    book = Book(10)
    for row, name in enumerate(alertnames):
        book.fire([firing(row, alertname=name)])
    by_name = {incident.alertname: incident.severity for incident in book.newest()}
    assert [by_name[name] for name in alertnames] == severities


def test_limit_of_open_incidents() -> None:
    """Incidents beyond the limit are counted; those that are open go on, and make room when they end."""
    book = Book(2)
    book.fire([firing(row, model=f"m{row}") for row in range(5)])
    assert (len(book.open), book.turned_away) == (2, 3)
    assert len(only(book.fire([firing(10, "y", model="m0")])).cells) == 2
    book.clear([(0, "drift"), (10, "drift"), (3, "drift")], T + 60)
    assert only(book.fire([firing(3, model="m3", at=T + 120)])).model == "m3"


def test_resolved_ones_are_let_go() -> None:
    """Only the newest resolved incidents stay at hand."""
    book = Book(10)
    for i in range(RESOLVED_KEPT + 20):
        book.fire([firing(i, model=f"m{i}", at=T + i)])
        book.clear([(i, "drift")], T + i + 0.5)
    assert len(book.resolved) == RESOLVED_KEPT
    assert book.newest()[0].model == f"m{RESOLVED_KEPT + 19}"


def test_told_what_changed() -> None:
    """The store hears of every incident that changed, also of one that only lost a cell."""
    book = Book(10)
    incident = only(book.fire([firing(1, "a"), firing(2, "b")]))
    assert book.changed == {incident.id}
    book.changed.clear()
    book.clear([(1, "drift")], T + 60)
    assert book.changed == {incident.id}
