"""An incident's JSON document."""

from __future__ import annotations

import json
import math

from fakes.desk import made_incident

from monitor.incidents.document import incident_document
from monitor.incidents.incident import Effect

FIELDS = {
    *("id", "kind", "alertname", "model", "version", "models", "detector", "feature", "output", "attribute", "group"),
    *("severity", "state", "onset_time", "fired_time", "resolved_time", "effect", "evidence_log10"),
    *("people_affected", "cost", "summary", "related", "merged_into", "cells"),
}
CELL_FIELDS = {
    *("detector", "feature", "output", "attribute", "group"),
    *("effect", "evidence_log10", "onset_time", "onset_interval", "fired_time", "model", "segment"),
}


def test_all_fields_of_the_contract_are_there() -> None:
    """The document has every promised field, and so has each of its cells."""
    document = incident_document(made_incident(3, "m"))
    assert set(document) >= FIELDS
    assert set(document["cells"][0]) == CELL_FIELDS
    assert list(document["effect"]) == ["name", "value", "tolerance"]


def test_it_is_strict_json() -> None:
    """No NaN or infinity survives, so any JSON writer may write it."""
    incident = made_incident(2, "m", effect=Effect("x", math.inf, math.nan), evidence_log10=-math.inf)
    text = json.dumps(incident_document(incident), allow_nan=False)
    assert json.loads(text)["effect"] == {"name": "x", "value": None, "tolerance": None}
