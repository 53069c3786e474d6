"""What the log says of incidents and of their delivery: one event for each change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from monitor.clock import rfc3339
from monitor.incidents.incident import Incident
from monitor.notify.facts import Fact, Sink

REMEMBERED_MAX = 20_000

_Face = tuple[str, int, str | None]


class IncidentLog:
    """Logs an incident when it fires, when it takes in a further cell, and when it resolves.

    It remembers the newest 20,000 incidents, so that offering an unchanged one says nothing. What it writes are the
    incident's own names, codes and numbers: no value of an event.
    """

    def __init__(self, logger: FilteringBoundLogger) -> None:
        self._logger = logger
        self._seen: OrderedDict[str, _Face] = OrderedDict()

    def offer(self, incidents: Sequence[Incident]) -> None:
        """Log what has changed since the last time."""
        for incident in incidents:
            before = self._seen.get(incident.id)
            if self._remember(incident) != before:
                self._write(incident, before)

    def restore(self, incidents: Sequence[Incident]) -> None:
        """Take these as said: an earlier process has logged them."""
        for incident in incidents:
            self._remember(incident)

    def _remember(self, incident: Incident) -> _Face:
        face = (incident.state, len(incident.cells), incident.merged_into)
        self._seen[incident.id] = face
        self._seen.move_to_end(incident.id)
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)
        return face

    def _write(self, incident: Incident, before: _Face | None) -> None:
        facts = {
            "incident": incident.id,
            "alertname": incident.alertname,
            "severity": incident.severity,
            "model": incident.model,
            "version": incident.version,
            "detector": incident.detector,
            "feature": incident.feature,
            "attribute": incident.attribute,
            "cells": len(incident.cells),
            "effect": f"{incident.effect.name} {incident.effect.value:.3g}",
            "evidence_log10": round(incident.evidence_log10, 1),
        }
        told = {name: value for name, value in facts.items() if value not in (None, "")}
        if incident.state == "resolved":
            ending = {"because": incident.resolved_because, "merged_into": incident.merged_into}
            told.update({name: value for name, value in ending.items() if value is not None})
            self._logger.info("incident_resolved", **told)
        elif before is None or before[0] != incident.state:
            self._logger.warning("incident_fired", fired_time=rfc3339(incident.fired_time), **told)
        else:
            self._logger.info("incident_changed", **told)


def log_facts(logger: FilteringBoundLogger) -> Sink:
    """A sink that logs each fact: a recovery as information, the rest as a warning."""

    def sink(fact: Fact) -> None:
        told = {"alertmanager": fact.alertmanager} if fact.alertmanager else {}
        write = logger.info if fact.kind == "alertmanager_recovered" else logger.warning
        write(fact.kind, detail=fact.detail, alerts=fact.alerts, **told)

    return sink
