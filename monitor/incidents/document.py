"""What does an incident look like outside? The JSON of the API and of `replay --json`."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from monitor.clock import rfc3339
from monitor.incidents.attention import waits
from monitor.incidents.incident import Acknowledged, CellReport, Effect, Incident
from monitor.incidents.ranking import harm


def incident_document(incident: Incident) -> dict[str, Any]:
    """All fields in JSON types: times as RFC 3339 in UTC, what is unknown or not a finite number as ``None``."""
    return {
        "id": incident.id,
        "kind": incident.kind,
        "alertname": incident.alertname,
        "model": incident.model or None,
        "version": incident.version,
        "reference_version": incident.reference_version or None,
        "models": list(incident.models),
        "detector": incident.detector,
        "feature": incident.feature,
        "output": incident.output,
        "attribute": incident.attribute,
        "group": incident.group,
        "segment": incident.segment,
        "severity": incident.severity,
        "state": incident.state,
        "onset_time": _time(incident.onset_time),
        "onset_interval": _interval(incident.onset_interval),
        "fired_time": _time(incident.fired_time),
        "resolved_time": _time(incident.resolved_time),
        "effect": _effect(incident.effect),
        "evidence_log10": _number(incident.evidence_log10),
        "people_affected": incident.people_affected,
        "cost": _number(incident.cost),
        "currency": incident.currency or None,
        "bill": None if incident.bill is None else msgspec.to_builtins(incident.bill),
        "advice": None if incident.advice is None else msgspec.to_builtins(incident.advice),
        "summary": incident.summary,
        "description": incident.description,
        "related": list(incident.related),
        "merged_into": incident.merged_into,
        "resolved_because": incident.resolved_because,
        "code_version": incident.code_version or None,
        "policy_digest": incident.policy_digest or None,
        "reference_digest": incident.reference_digest or None,
        "docket_digest": incident.docket_digest or None,
        "labels": dict(incident.labels),
        "cause": incident.cause,
        "harm": round(harm(incident), 3),
        "paged": incident.paged_time is not None,
        "paged_time": _time(incident.paged_time),
        "waiting": waits(incident),
        "verdict": incident.verdict or None,
        "acknowledged": _acknowledged(incident.acknowledged),
        "notes": [{"by": note.by, "time": _time(note.time), "text": note.text} for note in incident.notes],
        "cells": [_cell(cell) for cell in incident.cells],
    }


def _cell(cell: CellReport) -> dict[str, Any]:
    return {
        "detector": cell.detector,
        "feature": cell.feature,
        "output": cell.output,
        "attribute": cell.attribute,
        "group": cell.group,
        "effect": _effect(cell.effect),
        "evidence_log10": _number(cell.evidence_log10),
        "onset_time": _time(cell.onset_time),
        "onset_interval": _interval(cell.onset_interval),
        "fired_time": _time(cell.fired_time),
        "model": cell.model or None,
        "segment": cell.segment,
    }


def _acknowledged(known: Acknowledged | None) -> dict[str, Any] | None:
    if known is None:
        return None
    return {
        "by": known.by,
        "reason": known.reason,
        "note": known.note,
        "since": _time(known.since),
        "until": _time(known.until),
        "silence": known.silence or None,
    }


def _interval(between: tuple[float, float] | None) -> list[str | None] | None:
    return None if between is None else [_time(moment) for moment in between]


def _effect(effect: Effect) -> dict[str, Any]:
    return {"name": effect.name, "value": _number(effect.value), "tolerance": _number(effect.tolerance)}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _time(seconds: float | None) -> str | None:
    return rfc3339(seconds) if seconds is not None and math.isfinite(seconds) else None
