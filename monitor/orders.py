"""What an order does to the fleet: acknowledge, take back, note, accept the present, exclude, end a model's watch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from monitor.anew import exclude
from monitor.catalog.models import Excluded
from monitor.detectors import DETECTORS
from monitor.drill.past import Past
from monitor.fleet import Fleet
from monitor.forgetting import forget
from monitor.incidents.incident import Acknowledged, Incident, Note
from monitor.incidents.order import Order, Outcome

NOTES_MAX = 50
"""Notes kept of one incident, the newest; all of them stay in the audit trail."""
PRESENT_SECONDS = 7 * 86400.0
"""How much of a model's past is its present, when that becomes the reference."""
PRESENT_EVENTS_MIN = 1000
"""Events without which the present is no reference (contract, section 4)."""


def carry_out(fleet: Fleet, order: Order, past: Past) -> Outcome:
    """Do what ``order`` says and remember it in the audit trail, or say why not."""
    outcome = _DOES[order.verb](fleet, order, past)
    if outcome.found and not outcome.refused:
        fleet.audit.append(msgspec.structs.replace(order, whom=None))
    return outcome


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """What was removed of one person in several fleets, as one."""
    parts = [outcome.forgotten for outcome in outcomes if outcome.forgotten is not None]
    if not parts:
        return Outcome(found=False)
    counts = {name: sum(getattr(part, name) for part in parts) for name in ("waiting", "matured", "repeats")}
    return Outcome(forgotten=msgspec.structs.replace(parts[0], **counts))


def _ack(fleet: Fleet, order: Order, _past: Past) -> Outcome:
    held = fleet.book.find(order.subject)
    if held is None:
        return Outcome(found=False)
    if held.state != "firing":
        return _judged(fleet, held, order, order.reason)
    known = Acknowledged(order.by, order.reason, order.note, order.time, order.until, order.silence)
    changed, cells = fleet.book.acknowledge(order.subject, known)
    fleet.judge.acknowledged.add(cells, order.until)
    return Outcome(_noted(fleet, changed, order))


def _unack(fleet: Fleet, order: Order, _past: Past) -> Outcome:
    held = fleet.book.find(order.subject)
    if held is None:
        return Outcome(found=False)
    if held.state != "firing" and held.verdict:
        return _judged(fleet, held, order, "")
    if held.state != "firing" or held.acknowledged is None:
        return Outcome(refused="the incident is not acknowledged")
    changed, cells = fleet.book.acknowledge(order.subject, None)
    for detector in DETECTORS:
        rows = sorted(row for row, name in cells if name == detector.name)
        fleet.judge.acknowledged.drop(detector, np.array(rows, np.int64))
    return Outcome(_noted(fleet, changed, order))


def _judged(fleet: Fleet, incident: Incident, order: Order, verdict: str) -> Outcome:
    """What a resolved incident was, as somebody says or takes back; no cell of it is quiet for that."""
    if order.silence:
        return Outcome(refused="the incident is resolved; a silence says nothing of what it was")
    if incident.merged_into is not None:
        return Outcome(refused=f"the incident went into {incident.merged_into}; say it of that one")
    incident = msgspec.structs.replace(incident, verdict=verdict)
    fleet.book.replace(incident)
    return Outcome(_noted(fleet, incident, order))


def _note(fleet: Fleet, order: Order, _past: Past) -> Outcome:
    held = fleet.book.find(order.subject)
    return Outcome(found=False) if held is None else Outcome(_noted(fleet, held, order))


def _noted(fleet: Fleet, incident: Incident, order: Order) -> tuple[Incident, ...]:
    """The incident with what was written to it, where something was."""
    if order.note:
        notes = (*incident.notes, Note(order.by, order.time, order.note))[-NOTES_MAX:]
        incident = msgspec.structs.replace(incident, notes=notes)
        fleet.book.replace(incident)
    return (incident,)


def _accept(fleet: Fleet, order: Order, past: Past) -> Outcome:
    """What the model shows since its last seven days is its reference from here on."""
    row = fleet.find_model(order.subject)
    if row is None:
        return Outcome(found=False)
    now = float(fleet.models.rows["last_time"][row])
    ticks = past.ticks(row, now - PRESENT_SECONDS, np.inf)
    if sum(int(tick.counts[0, 0]) for tick in ticks) < PRESENT_EVENTS_MIN:
        return Outcome(refused=f"the last seven days hold fewer than {PRESENT_EVENTS_MIN} events")
    resolved = fleet.lives.accept(row, ticks, now)
    for within in fleet.models.within.get(row, ()):
        own = past.ticks(within, now - PRESENT_SECONDS, np.inf)
        if sum(int(tick.counts[0, 0]) for tick in own) >= PRESENT_EVENTS_MIN:
            resolved += fleet.lives.accept(within, own, now)
    return Outcome(tuple({incident.id: incident for incident in resolved}.values()))


def _exclude(fleet: Fleet, order: Order, past: Past) -> Outcome:
    """A stretch of the model's past leaves its references; what is left is judged again."""
    row = fleet.find_model(order.subject)
    if row is None:
        return Outcome(found=False)
    ticks = {member: past.ticks(member, -np.inf, np.inf) for member in fleet.models.family(row)}
    stretch = Excluded(order.from_, order.until, order.by, order.note)
    changed = exclude(fleet, row, stretch, ticks, past.groups(row, -np.inf, np.inf), past.cases(row))
    return Outcome(tuple(changed))


def _retire(fleet: Fleet, order: Order, _past: Past) -> Outcome:
    row = fleet.find_model(order.subject)
    if row is None:
        return Outcome(found=False)
    return Outcome(tuple(fleet.lives.retire(row, float(fleet.models.rows["last_time"][row]))))


def _forget(fleet: Fleet, order: Order, _past: Past) -> Outcome:
    assert order.whom is not None
    if order.whom.model and fleet.find_model(order.whom.model) is None:
        return Outcome(found=False)
    return Outcome(forgotten=forget(fleet, order.whom))


_DOES: dict[str, Callable[[Fleet, Order, Past], Outcome]] = {
    "ack": _ack,
    "unack": _unack,
    "note": _note,
    "accept": _accept,
    "retire": _retire,
    "exclude": _exclude,
    "forget": _forget,
}
