"""By what was an incident judged? The policy and the reference that it names by digest, as they were when it fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from monitor import capsules
from monitor.catalog.profile import MAGIC, unpacked
from monitor.errors import ProfileError, StoreError, UsageError
from monitor.incidents.incident import Incident
from monitor.kernels.tally import PRESENT
from monitor.status import Desk
from monitor.web import html
from monitor.web.api import visible_incidents
from monitor.web.messages import RefusedError, Request, Response, json_response, not_found

SERIES_SHOWN = 200


class Exhibits:
    """Answers for what incidents name. Whoever may see an incident may see what judged it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def exhibit(self, request: Request) -> Response:
        """`/api/v1/exhibits/{digest}`."""
        digest = request.rest
        named = any(digest in _digests(each) for each in visible_incidents(self._desk.status(), request.reader))
        found = self._told(digest) if named else None
        if found is None:
            raise not_found(f"no incident at hand names {digest!r}, or it cannot be read")
        return json_response(found)

    def capsule(self, request: Request) -> Response:
        """`/api/v1/incidents/{id}/capsule`, of what does not speak of groups: that is written from the store."""
        seen = visible_incidents(self._desk.status(), request.reader)
        incident = next((each for each in seen if each.id == request.rest), None)
        if incident is None:
            raise not_found(f"there is no incident {request.rest!r}")
        try:
            return json_response(capsules.capsule(incident, self._desk.exhibit, (), of_groups=False))
        except (UsageError, StoreError) as error:
            raise RefusedError(409, "conflict", str(error)) from error

    def of(self, incident: Incident) -> list[dict[str, Any]]:
        """The documents of what judged an incident that somebody may see; without what is not to be had."""
        return [found for digest in _digests(incident) if (found := self._told(digest)) is not None]

    def _told(self, digest: str) -> dict[str, Any] | None:
        content = self._desk.exhibit(digest)
        try:
            return None if content is None else document(digest, content)
        except (ProfileError, UnicodeDecodeError):
            return None  # an incident must be told even where what judged it is damaged: `audit exhibit` says how


def document(digest: str, content: bytes) -> dict[str, Any]:
    """An exhibit in JSON types: a policy's text; of a reference what it is of, without the values of categories."""
    if not content.startswith(MAGIC):
        return {"digest": digest, "kind": "policy", "text": content.decode()}
    profile, _ = unpacked(content)
    series = [
        {
            "name": each.name,
            "space": each.space,
            "kind": each.kind,
            "values": each.counts[PRESENT],
            "unjudged": each.unjudged or None,
        }
        for each in profile.series
    ]
    about = {"model": profile.model, "version": profile.version, "source": profile.source, "events": profile.events}
    return {"digest": digest, "kind": "reference", **about, "series": series}


def shown(exhibits: Sequence[Mapping[str, Any]]) -> str:
    """Exhibits on a page, each behind a line that says what it is."""
    return "\n".join(_policy(each) if each["kind"] == "policy" else _reference(each) for each in exhibits)


def _policy(exhibit: Mapping[str, Any]) -> str:
    return (
        f'<details><summary>The policy that judged it</summary><pre tabindex="0" role="region" aria-label="Policy">'
        f"<code>{escape(exhibit['text'])}</code></pre></details>"
    )


def _reference(exhibit: Mapping[str, Any]) -> str:
    rows = [
        [html.text(each["name"]), html.text(each["space"]), html.text(each["kind"]), f"{each['values']:,}"]
        for each in exhibit["series"][:SERIES_SHOWN]
    ]
    headings = [("Series", ""), ("Space", ""), ("Kind", ""), ("Values", "n")]
    version = f", version {html.text(exhibit['version'])}" if exhibit["version"] else ""
    said = f"{html.text(exhibit['source'])}{version}, {exhibit['events']:,} events, {len(exhibit['series'])} series"
    return (
        f"<details><summary>The reference that judged it: {said}</summary>"
        f"{html.table('What it holds', headings, rows, stacked=True)}</details>"
    )


def _digests(incident: Incident) -> list[str]:
    return [digest for digest in (incident.policy_digest, incident.reference_digest) if digest]
