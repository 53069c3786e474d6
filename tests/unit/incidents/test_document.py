"""Is an incident outside what the contract says: every field, RFC 3339, and null for what is not known?"""

from __future__ import annotations

import json
import math

import msgspec

from monitor.incidents.document import incident_document
from monitor.incidents.incident import CellReport, Effect, Incident

FIELDS = {
    *("id", "kind", "alertname", "model", "version", "models", "detector", "feature", "output", "attribute", "group"),
    *("severity", "state", "onset_time", "fired_time", "resolved_time", "effect", "evidence_log10", "people_affected"),
    *("cost", "summary", "related", "merged_into", "cells"),
}
CELL_FIELDS = [
    *("detector", "feature", "output", "attribute", "group"),
    *("effect", "evidence_log10", "onset_time", "onset_interval", "fired_time", "model", "segment"),
]

CELL = CellReport("drift", "x", None, None, None, Effect("share_gap", math.inf, 0.02), math.nan, None, 1767225600.25)
INCIDENT = Incident(
    id="inc-1",
    kind="drift",
    alertname="ModelFeatureDrift",
    model="m",
    version="",
    detector="drift",
    feature="x",
    output=None,
    attribute=None,
    group=None,
    severity="info",
    state="firing",
    onset_time=math.nan,
    fired_time=1767225600.25,
    resolved_time=None,
    effect=CELL.effect,
    evidence_log10=5.5,
    summary="s",
    description="d",
    labels={"model": "m"},
    cells=(CELL,),
)


def test_every_field() -> None:
    """All fields of the contract are there, in the incident and in its cells."""
    document = incident_document(INCIDENT)
    assert set(document) >= FIELDS
    assert list(document["cells"][0]) == CELL_FIELDS
    assert document["fired_time"] == "2026-01-01T00:00:00.250Z"


def test_unknown_is_null() -> None:
    """What is unknown or not finite is null, so that the document is JSON."""
    document = incident_document(INCIDENT)
    assert document["onset_time"] is None
    assert document["effect"] == {"name": "share_gap", "value": None, "tolerance": 0.02}
    assert document["cells"][0]["evidence_log10"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_stored_as_it_is() -> None:
    """An incident comes back from its bytes as it was."""
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(INCIDENT), type=Incident)
    assert incident_document(stored) == incident_document(INCIDENT)
