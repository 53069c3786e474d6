"""What may be seen of groups of people? Nothing without the scope ``fairness``, wherever it stands."""

from __future__ import annotations

from typing import Any

from monitor.incidents.incident import Incident
from monitor.web.access import Reader

SCOPE = "fairness"
WITHHELD = "what is known of groups of people needs a token of scope fairness"


def sees_groups(reader: Reader) -> bool:
    """Whether the reader may see what is known of groups of people."""
    return SCOPE in reader.scopes


def of_groups(incident: Incident) -> bool:
    """Whether an incident speaks of groups of people."""
    return incident.attribute is not None or incident.kind in {"fairness", "label_gap"}


def told(document: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """A model's document, or that of its drill, as the reader may see it; without the scope ``withheld`` says why."""
    if sees_groups(reader):
        return document
    kept = {key: [] if key in _OF_GROUPS else _without_groups(value) for key, value in document.items()}
    return {**kept, "withheld": WITHHELD}


_OF_GROUPS = frozenset({"associations", "calibration_by_group", "group_features", "remedies", "roll_ups"})
"""Lists of a model's document that speak of nothing but groups."""


def _without_groups(value: Any) -> Any:
    """Lists without the entries that name an attribute of people, at any depth."""
    if isinstance(value, dict):
        return {key: _without_groups(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_groups(part) for part in value if not (isinstance(part, dict) and part.get("attribute"))]
    return value
