"""What does the audit trail say of a decision? Plain facts, without what a case said or a group is called."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from monitor.budget import Budget
from monitor.catalog.models import Fact, Model
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.incidents.order import Order


def order(said: Order) -> dict[str, Any]:
    """What somebody asked for."""
    return {
        "verb": said.verb,
        "reason": said.reason,
        "note": said.note,
        "from": said.from_,
        "until": said.until,
        "token": said.token,
        "silence": said.silence,
    }


def reference(model: Model, fact: Fact) -> dict[str, Any]:
    """What a model is judged by from here on; of a learned reference incidents name the digest."""
    return {
        "what": fact.what,
        "subject": fact.subject,
        "event_time": fact.time,
        "version": model.version,
        "segment": model.split.shown(model.policy) if model.split is not None else "",
        "digest": model.reference_digest,
    }


def incident(told: Incident) -> dict[str, Any]:
    """What was decided of an incident; ``document`` is the SHA-256 of all that was told, as JSON with sorted keys."""
    return {
        "alertname": told.alertname,
        "model": told.model,
        "models": list(told.models),
        "version": told.version,
        "severity": told.severity,
        "state": told.state,
        "onset_time": told.onset_time,
        "fired_time": told.fired_time,
        "resolved_time": told.resolved_time,
        "resolved_because": told.resolved_because,
        "merged_into": told.merged_into,
        "cells": len(told.cells),
        "evidence_log10": told.evidence_log10,
        "effect": [told.effect.name, told.effect.value, told.effect.tolerance],
        "code_version": told.code_version,
        "policy": told.policy_digest,
        "reference": told.reference_digest,
        "docket": told.docket_digest,
        "document": document_digest(told),
    }


def document_digest(told: Incident) -> str:
    """SHA-256, hexadecimal, of the document that the API gives of an incident: JSON with sorted keys, no spaces."""
    text = json.dumps(incident_document(told), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def budget(spent: Budget) -> dict[str, Any]:
    """How many false alarms judging was allowed so far, by share and by team, and what is promised for a week."""
    by = {"by_team": dict(spent.spent_by_team), "by_severity": dict(spent.spent_by_severity)}
    return {"spent": dict(spent.spent), **by, "per_week": spent.per_week}
