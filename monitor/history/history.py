"""What was known of a model in a past range? Copied where the fleet is, and read wherever there is time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.clock import rfc3339
from monitor.exhibits import policy_text
from monitor.fleet import Fleet
from monitor.groups.past import Compared, Range, associations, compared
from monitor.groups.periods import DAY_SECONDS, month_begin, month_end
from monitor.groups.sums import TallySums
from monitor.history.evidence import Again, again
from monitor.history.series import Subject, features, subject, summed, volumes
from monitor.incidents.incident import Incident
from monitor.outcomes.days import Standing
from monitor.outcomes.document import selective_labels
from monitor.outcomes.past import performance_between
from monitor.portrait import source_of
from monitor.status import History
from monitor.tally.closed import ClosedTick


@dataclass(frozen=True, slots=True)
class Records:
    """Where the past is read, by row (or name) of a model, since and until when.

    ``ticks`` come with the coarsest first, ``days`` are those of groups (end, sums), ``standings`` those at both ends
    of the range, ``incidents`` the resolved ones that ended since and fired until then.
    """

    ticks: Callable[[int, float, float], Iterable[ClosedTick]]
    days: Callable[[int, float, float], Sequence[tuple[float, TallySums]]]
    standings: Callable[[int, float, float], tuple[Standing | None, Standing | None]]
    incidents: Callable[[str, float, float], Sequence[Incident]]


@dataclass(frozen=True, slots=True)
class _Copied:
    """What is known of the model now."""

    row: int
    name: str
    about: dict[str, Any]
    facts: list[tuple[float, dict[str, Any]]]
    stretches: list[tuple[str, float, float, str, str]]
    first: float
    reached: float
    series: Subject
    cells: Again
    groups: Compared
    selective: bool
    currency: str
    incidents: list[Incident]
    segment: str | None
    segments: list[str]


def history_of(
    fleet: Fleet, name: str, records: Records, segment: str = ""
) -> Callable[[float, float], History] | None:
    """The past of a model, ready to be read on any thread by (since, until); ``None`` where there is no such model.

    With a ``segment`` such as ``country=SE``, by which its policy splits it, that of the events with this value alone.
    """
    row = fleet.find_model(name)
    if row is not None and segment:
        row = next((each for each in fleet.models.within.get(row, ()) if _segment(fleet, each) == segment), None)
    if row is None:
        return None
    copied = _copied(fleet, row)

    def read(since: float, until: float) -> History:
        return _read(copied, records, since, until)

    return read


def _segment(fleet: Fleet, row: int) -> str | None:
    model = fleet.models.items[row]
    return model.split.shown(model.policy) if model.split else None


def _copied(fleet: Fleet, row: int) -> _Copied:
    model, rows, segment = fleet.models.items[row], fleet.models.rows, _segment(fleet, row)
    labels = selective_labels(fleet.outcomes, row) if row < len(fleet.outcomes.totals.rows) else {}
    policy = policy_text(model.policy)
    stretches = [("excluded", e.from_, e.until, e.by, e.note) for e in model.excluded]
    stretches += [("planned", w.from_, w.until, "", w.note) for w in model.policy.planned]
    return _Copied(
        row=row,
        name=model.name,
        about={
            "version": model.version,
            "team": model.policy.team,
            "versions": list(model.versions),
            "policy": {"digest": hashlib.sha256(policy.encode()).hexdigest(), "text": policy},
            "reference": {
                "digest": model.reference_digest or None,
                "source": source_of(model),
                "version": model.reference_version or None,
                "events": int(rows["learned"][row]),
            },
        },
        facts=[(f.time, {"time": rfc3339(f.time), "what": f.what, "subject": f.subject}) for f in model.facts],
        stretches=stretches,
        first=float(rows["first_time"][row]),
        reached=float(np.fmax.reduce(rows["closed_until"][: len(fleet.models)], initial=-np.inf)),
        series=subject(fleet, row),
        cells=again(fleet, row),
        groups=compared(fleet.groups, row, fleet.by_group.unidentified(row)),
        selective=bool(labels) and (labels["declared"] or labels["detected"]),
        currency=model.policy.costs.currency,
        incidents=[i for i in fleet.book.newest() if i.model == model.name or model.name in i.models],
        segment=segment,
        segments=[told for each in fleet.models.within.get(row, ()) if (told := _segment(fleet, each))],
    )


def _read(of: _Copied, records: Records, since: float, until: float) -> History:
    steps = summed(of.series, records.ticks(of.row, since, until), since, until)
    gathered = {} if steps is None else of.cells.ratios(steps.counts[:, 1:], steps.since, steps.seconds)
    asked = Range(since, until, of.reached)
    document = {
        "model": of.name,
        "segment": of.segment,
        "segments": of.segments,
        "from": rfc3339(since),
        "until": rfc3339(until),
        **of.about,
        "smallest_group": of.groups.privacy.smallest_group,
        "first_event_time": rfc3339(of.first) if math.isfinite(of.first) else None,
        "reached_time": rfc3339(of.reached) if math.isfinite(of.reached) else None,
        "covered": None if steps is None else {"from": rfc3339(steps.began), "until": rfc3339(steps.ended)},
        "events": 0 if steps is None else int(steps.counts[:, 0, 0].sum()),
        "step_seconds": None if steps is None else steps.seconds,
        "volume": [] if steps is None else volumes(steps),
        "features": [] if steps is None else features(of.series, steps, gathered),
        "facts": [fact for time, fact in of.facts if since <= time <= until],
        "reference_changed_since": [
            fact for time, fact in of.facts if time > until and fact["what"].startswith("reference")
        ],
        "stretches": [_stretch(*each) for each in of.stretches if each[1] < until and since < each[2]],
        "performance": _performance(of, records, since, until),
        "associations": _associations(of, records, asked),
    }
    return History(document, _incidents(of, records, since, until))


def _stretch(what: str, begin: float, end: float, by: str, note: str) -> dict[str, Any]:
    return {"what": what, "from": rfc3339(begin), "until": rfc3339(end), "by": by, "note": note}


def _performance(of: _Copied, records: Records, since: float, until: float) -> dict[str, Any] | None:
    """The figures of the cases of whole days of the range, as far as they have matured."""
    since = math.ceil(since / DAY_SECONDS) * DAY_SECONDS
    before, after = records.standings(of.row, since, until)
    if after is None or (before is not None and before.reached >= after.reached):
        return None
    found = performance_between(None if before is None else before.sums, after.sums, selective=of.selective)
    if not found["cases"]:
        return None
    begun = of.first if before is None else since
    return {"from": rfc3339(begun), "until": rfc3339(after.reached), "currency": of.currency or None, **found}


def _associations(of: _Copied, records: Records, asked: Range) -> list[dict[str, Any]]:
    if not of.groups.attributes:
        return []
    # Periods are cut from the beginning of a month on, whatever is asked for.
    days = records.days(of.row, month_begin(asked.since), month_end(asked.until))
    return associations(of.groups, days, asked)


def _incidents(of: _Copied, records: Records, since: float, until: float) -> list[Incident]:
    """Those that fired by the end of the range and were not over when it began, the newest first."""
    found = {i.id: i for i in (*records.incidents(of.name, since, until), *of.incidents)}
    within = [
        i for i in found.values() if i.fired_time <= until and (i.resolved_time is None or i.resolved_time >= since)
    ]
    if of.segment is not None:
        within = [i for i in within if i.segment == of.segment]
    return sorted(within, key=lambda i: (-i.fired_time, i.id))
