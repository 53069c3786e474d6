"""What may people ask of a running daemon? One order: who, when, what, of which incident or model."""

from __future__ import annotations

from typing import Literal

import msgspec

from monitor.incidents.incident import Incident

Verb = Literal["ack", "unack", "note", "accept", "retire", "exclude", "forget"]
INCIDENT_VERBS: tuple[Verb, ...] = ("ack", "unack", "note")
MODEL_VERBS: tuple[Verb, ...] = ("accept", "retire", "exclude")
BY_MAX, NOTE_MAX = 200, 2000
"""Characters of a name and of a note."""
ACK_SECONDS = 7 * 86400.0
"""How long an acknowledgement lasts if nobody says otherwise."""


class Whom(msgspec.Struct, frozen=True):
    """Whose data is to be removed: an event ``id`` or an ``entity`` by ``name``, of one ``model`` or of all (empty)."""

    kind: Literal["id", "entity"]
    name: str
    model: str = ""


class Forgotten(msgspec.Struct, frozen=True):
    """What was removed of one person: waiting and matured cases, keys by which repeats are known; what ``remains``."""

    waiting: int
    matured: int
    repeats: int
    remains: tuple[str, ...]
    topics: tuple[str, ...] = ()
    """Topics that may hold this person's events, and are the operator's to clean."""


class Order(msgspec.Struct, frozen=True):
    """Something that somebody asked for. The audit trail keeps all of it.

    ``subject`` is an incident's id, a model's name or what stands for a person; ``time`` (wall time), ``from_`` and
    ``until`` count seconds since the epoch; ``token`` are the first digits of the digest of the token that was used,
    empty where a silence asked.
    """

    verb: Verb
    subject: str
    by: str
    time: float
    reason: str = "expected"
    note: str = ""
    until: float = 0.0
    token: str = ""
    silence: str = ""
    from_: float = 0.0
    whom: Whom | None = None
    """Whose data is to be removed; never kept, the trail has the digest in ``subject``."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of an order: the incidents that it changed, its own first, or why it was refused."""

    incidents: tuple[Incident, ...] = ()
    refused: str = ""
    found: bool = True
    forgotten: Forgotten | None = None
