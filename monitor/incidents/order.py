"""What may people ask of a running daemon? One order: who, when, what, of which incident or model."""

from __future__ import annotations

from typing import Literal

import msgspec

from monitor.incidents.incident import Incident

Verb = Literal["ack", "unack", "note", "accept", "retire", "exclude"]
INCIDENT_VERBS: tuple[Verb, ...] = ("ack", "unack", "note")
MODEL_VERBS: tuple[Verb, ...] = ("accept", "retire", "exclude")
BY_MAX, NOTE_MAX = 200, 2000
"""Characters of a name and of a note."""
ACK_SECONDS = 7 * 86400.0
"""How long an acknowledgement lasts if nobody says otherwise."""


class Order(msgspec.Struct, frozen=True):
    """Something that somebody asked for. The audit trail keeps all of it.

    ``subject`` is an incident's id or a model's name; ``time`` (wall time), ``from_`` and ``until`` count seconds since
    the epoch; ``token`` are the first digits of the digest of the token that was used, empty where a silence asked.
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


class Outcome(msgspec.Struct, frozen=True):
    """What became of an order: the incidents that it changed, its own first, or why it was refused."""

    incidents: tuple[Incident, ...] = ()
    refused: str = ""
    found: bool = True
