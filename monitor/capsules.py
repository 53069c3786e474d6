"""What is a capsule? An incident with all that it was judged by, so that somebody else can judge it again."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from monitor.apart.watch import DETECTOR as GROUP_DRIFT
from monitor.dockets import chain
from monitor.errors import StoreError, UsageError
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident

FORMAT = "modelwatch capsule 1"
_KEPT = ("id", "alertname", "model", "version", "segment", "detector", "feature", "output", "attribute", "group")
_TOLD = ("severity", "onset_time", "fired_time", "effect", "evidence_log10")
_DIGESTS = ("code_version", "policy_digest", "reference_digest", "docket_digest")
_WHY = {
    "FleetSharedCause": "a shared cause is inferred from incidents of models; ask for the capsules of these",
    "ModelSilent": "silence is judged by the gaps between events, of which no docket is kept",
    "ModelVolumeAnomaly": "traffic is judged by hours of the week, of which no docket is kept",
}
"""By alertname, why there is no capsule of its incidents."""
_STILL = ("stuck", "stale")
"""Detectors of data quality that ask what stands still; of these no docket is kept."""
_NOT_KEPT = (
    "no docket was kept of it: it was found when the past was judged again without a stretch that was excluded, its "
    "cohort was so small that it would tell of single cases, or there was no room for it"
)


class Entry(Protocol):
    """An entry of the audit trail."""

    @property
    def number(self) -> int:
        """Its number."""
        ...


def capsule(
    incident: Incident, exhibit: Callable[[str], bytes | None], told: Sequence[Entry], *, of_groups: bool
) -> dict[str, Any]:
    """The capsule of ``incident`` in JSON types; ``exhibit`` finds what it names, ``told`` are its audit entries.

    ``of_groups`` allows what holds counts of groups of people by batch: finer than anything that is shown of them.

    Raises
    ------
    UsageError
        It has no docket; the message says why. Or it speaks of groups and that is not allowed.
    StoreError
        What it names is not there, or is not what it names.
    """
    if not incident.docket_digest:
        raise UsageError(f"{incident.id} cannot be judged again: {_why(incident)}")
    policy, docket = (_found(exhibit, digest) for digest in (incident.policy_digest, incident.docket_digest))
    text = policy.decode()
    if not of_groups and speaks_of_groups(incident, text):
        raise UsageError(
            f"{incident.id} speaks of groups of people: its capsule holds their counts by batches of 10 cases, "
            "which nothing else shows. Whoever may have these asks for them with --of-groups"
        )
    lines = docket.split(b"\n")
    hashes = list(chain(lines))
    if hashes[-1] != incident.docket_digest:
        raise StoreError(f"the docket of {incident.id} is not as it was written")
    document = incident_document(incident)
    return {
        "format": FORMAT,
        "incident": {name: document[name] for name in (*_KEPT, *_TOLD, *_DIGESTS)},
        "policy": text,
        "entry": told[0].number if told else None,
        "docket": [line.decode() for line in lines],
        "chain": hashes,
    }


def speaks_of_groups(incident: Incident, policy: str) -> bool:
    """Whether ``incident`` compares groups, or is about a feature that its ``policy`` (TOML) calls sensitive."""
    sensitive = tomllib.loads(policy).get("sensitive") or ()
    return incident.attribute is not None or incident.feature in sensitive


def _why(incident: Incident) -> str:
    if incident.detector in _STILL:
        return f"{incident.detector} is judged by stretches without a change, of which no docket is kept"
    if incident.detector == GROUP_DRIFT:
        return f"{incident.detector} is judged by days of sampled events, of which no docket is kept"
    return _WHY.get(incident.alertname, _NOT_KEPT)


def _found(exhibit: Callable[[str], bytes | None], digest: str) -> bytes:
    content = exhibit(digest)
    if content is None:
        raise StoreError(f"the store does not have what an incident names by {digest}")
    return content
