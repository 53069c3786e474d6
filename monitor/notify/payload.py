"""How an incident reads as an alert: labels that are its identity, annotations that hold its numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from monitor.clock import rfc3339
from monitor.incidents.incident import Incident

SERVICE = "modelwatch"
SUPPRESSED = "ModelMonitorAlertsSuppressed"
DIGEST = "ModelAttentionDigest"
TEST = "ModelwatchTest"
WATCHDOG = "ModelwatchWatchdog"
MODELS_SHOWN = 20
WAITING_SHOWN = 10

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_URL = re.compile(r"https?://[!-~]+")

Key = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Alert:
    """What one alert says, apart from its times. Two alerts with equal labels are the same alert."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generator_url: str = ""

    @property
    def key(self) -> Key:
        """The identity that Alertmanager sees, external labels apart."""
        return frozenset(self.labels.items())


@dataclass(frozen=True, slots=True)
class Links:
    """Where an alert's links lead. An empty base leaves its link out."""

    external_url: str = ""
    runbooks: str = ""

    def incident(self, identity: str) -> str:
        """The page of one incident."""
        return f"{self.external_url}/incidents/{quote(identity, safe='')}" if self.external_url else ""

    def runbook(self, alertname: str) -> str:
        """What to do about alerts of this name."""
        return f"{self.runbooks}/{quote(alertname, safe='')}" if self.runbooks else ""


def links(external_url: str, runbook_base: str = "") -> Links:
    """The links below ``external_url``; ``runbook_base`` defaults to its ``/runbooks``.

    One URL that Alertmanager cannot parse makes it refuse the whole post, so anything but a plain ``http`` or
    ``https`` URL gives no links at all.
    """
    external = external_url.rstrip("/") if is_url(external_url) else ""
    own = f"{external}/runbooks" if external else ""
    return Links(external, runbook_base.rstrip("/") if is_url(runbook_base) else own)


def is_url(text: str) -> bool:
    """Whether ``text`` is an ``http`` or ``https`` URL with a host, in printable ASCII."""
    if not _URL.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def clean(labels: Mapping[str, str]) -> dict[str, str]:
    """``labels`` without those that Alertmanager would refuse (a bad name) or silently drop (an empty value).

    Before 0.27 Alertmanager takes names of ASCII letters, digits and ``_`` alone.
    """
    return {name: value for name, value in labels.items() if value and _LABEL_NAME.fullmatch(name)}


def alert_of(incident: Incident, base: Links) -> Alert:
    """The alert of one incident.

    Numbers are rounded, so that templates do not flicker, and are annotations: a number among the labels would make a
    new alert of every change.
    """
    labels = clean(incident.labels)
    annotations = {
        "summary": incident.summary,
        "description": incident.description,
        "effect": _effect(incident),
        "evidence": f"10^{incident.evidence_log10:.1f}",
        "onset": "" if incident.onset_time is None else rfc3339(incident.onset_time),
        "people_affected": "" if incident.people_affected is None else str(incident.people_affected),
        "cost": "" if incident.cost is None else f"{incident.cost:.2f} {incident.currency}".rstrip(),
        "bill": "" if incident.bill is None else incident.bill.words(),
        "advice": "" if incident.advice is None else f"{incident.advice.action}: {incident.advice.reason}",
        "models": _models(incident.models),
        "runbook_url": base.runbook(incident.alertname),
    }
    shown = {name: text for name, text in annotations.items() if text}
    return Alert(labels, shown, base.incident(incident.id))


def suppressed_alert(count: int, base: Links) -> Alert:
    """The one alert that stands for ``count`` firing alerts beyond the cap."""
    annotations = {
        "summary": "More alerts are firing than are sent.",
        "description": f"{count} firing alerts are held back until others resolve; the status page has all.",
        "suppressed": str(count),
        "runbook_url": base.runbook(SUPPRESSED),
    }
    labels = {"alertname": SUPPRESSED, "severity": "warning", "service": SERVICE}
    return Alert(labels, {name: text for name, text in annotations.items() if text}, base.external_url)


def watchdog_alert(base: Links) -> Alert:
    """The alert that always fires: where it stops arriving, others would not arrive either."""
    annotations = {
        "summary": "Alerts of modelwatch arrive.",
        "description": "This alert always fires. If it ends, the way from modelwatch to this receiver is broken.",
        "runbook_url": base.runbook(WATCHDOG),
    }
    labels = {"alertname": WATCHDOG, "severity": "info", "service": SERVICE}
    return Alert(labels, {name: text for name, text in annotations.items() if text}, base.external_url)


def digest_alert(team: str, waiting: Sequence[Incident], base: Links, replica: str = "") -> Alert:
    """The one alert of a team that stands for what waits because the team was called often enough, ranked already."""
    first = [f"{number}. {incident.summary}" for number, incident in enumerate(waiting[:WAITING_SHOWN], 1)]
    annotations = {
        "summary": f"{len(waiting)} incidents wait; nobody is called for them.",
        "description": "\n".join(first),
        "waiting": str(len(waiting)),
        "runbook_url": base.runbook(DIGEST),
    }
    labels = {"alertname": DIGEST, "severity": "info", "service": SERVICE, "team": team, "replica": replica}
    return Alert(clean(labels), {name: text for name, text in annotations.items() if text}, base.external_url)


def document(
    alert: Alert, external_labels: Mapping[str, str], starts_at: float, ends_at: float | None = None
) -> dict[str, Any]:
    """One item of ``POST /api/v2/alerts``; times in seconds since the epoch.

    An external label never overrides a label of the alert's own.
    """
    item: dict[str, Any] = {
        "labels": {**external_labels, **alert.labels},
        "annotations": dict(alert.annotations),
        "startsAt": rfc3339(starts_at),
    }
    if ends_at is not None:
        item["endsAt"] = rfc3339(ends_at)
    if alert.generator_url:
        item["generatorURL"] = alert.generator_url
    return item


def _effect(incident: Incident) -> str:
    effect = incident.effect
    return f"{effect.name} {effect.value:.3g}, tolerance {effect.tolerance:.3g}"


def _models(models: tuple[str, ...]) -> str:
    shown = ", ".join(models[:MODELS_SHOWN])
    more = len(models) - MODELS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
