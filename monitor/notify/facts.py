"""What notifying has to say about itself: facts, which the shell logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

FactKind = Literal[
    "alertmanager_failing", "alertmanager_recovered", "alert_rejected", "alerts_suppressed", "silences_unread"
]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened on the way out.

    ``alertmanager`` is its ``host:port``, empty where the fact is about all of them. ``alerts`` is how many alerts it
    concerns: those that wait for a failing Alertmanager, the one that was rejected, those that the cap holds back.
    """

    kind: FactKind
    alertmanager: str
    detail: str
    alerts: int


Sink = Callable[[Fact], None]
"""Called from any thread, and quick: it logs or counts."""


def ignore(fact: Fact) -> None:
    """The sink of those who do not ask."""
    del fact
