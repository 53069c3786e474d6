"""The room's door: files or a range of a topic are run through the pipeline and told of. Nothing is sent."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from monitor.assess.costs import Meter
from monitor.assess.proposals import proposals, toml
from monitor.clock import Clock, rfc3339
from monitor.config import Config
from monitor.incidents.document import incident_document
from monitor.incidents.ranking import harm
from monitor.kernels.tally import KIND_NUMBER
from monitor.portrait import model_document, model_states
from monitor.replay import Replayed, of_files, of_topic
from monitor.tally.closed import ClosedTicks

MODELS_LOOKED_AT = 500
"""Models, those with the most events, whose blind spots are listed."""
_SHOWN = 20
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Assessed:
    """What was found, in JSON types, and the proposed policies as a file."""

    found: dict[str, Any]
    policies: str


class _Taken:
    """What closed, as the meter and the proposals need it."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.ticks: Counter[int] = Counter()

    def keep(self, ticks: list[ClosedTicks]) -> None:
        self._meter.keep(ticks)
        for closed in ticks:
            self.ticks.update(closed.models.tolist())


def assess_files(config: Config, paths: list[str], clock: Clock) -> Assessed:
    """Assess files of native events; raises as :func:`monitor.replay.of_files`."""
    meter = Meter.begun()
    taken = _Taken(meter)
    return _assessed(config, of_files(config, paths, clock, taken.keep), meter, taken)


def assess_topic(config: Config, topic: str, since: str | None, until: str | None, clock: Clock) -> Assessed:
    """Assess a range of a topic; raises as :func:`monitor.replay.of_topic`."""
    meter = Meter.begun()
    taken = _Taken(meter)
    return _assessed(config, of_topic(config, topic, since, until, clock, taken.keep), meter, taken)


def write_json(assessed: Assessed, out: TextIO) -> None:
    """One JSON object."""
    out.write(json.dumps({**assessed.found, "policies": assessed.policies}) + "\n")


def write_text(assessed: Assessed, out: TextIO) -> None:
    """What is there, what it costs, what cannot be seen, what is wrong, and a file to begin with."""
    for title, lines in (
        ("What is there", _there(assessed.found)),
        ("What it would cost to watch", _costs(assessed.found["costs"])),
        ("What could not be seen", _blind(assessed.found["blind_spots"])),
        ("The worst of this range", _worst(assessed.found["problems"])),
    ):
        out.write(f"{title}\n")
        out.writelines(f"  {line}\n" for line in lines)
        out.write("\n")
    out.write(f"Policies to begin with (modelwatch.toml)\n\n{assessed.policies}")


def _assessed(config: Config, replayed: Replayed, meter: Meter, taken: _Taken) -> Assessed:
    fleet = replayed.fleet
    rows = fleet.models.rows
    n = len(fleet.models)
    first = float(np.nanmin(rows["first_time"][:n])) if n else math.nan
    last = float(np.nanmax(rows["last_time"][:n])) if n else math.nan
    seconds = max(last - first, 0.0) if n else 0.0
    costs = meter.read(fleet, replayed.events, seconds, config.privacy.retention.ticks)
    days = max(seconds / _DAY, 1.0)
    spoke = {row: ticks / days for row, ticks in taken.ticks.items()} if seconds > 2 * _DAY else {}
    worst = sorted(replayed.incidents, key=lambda incident: (-harm(incident), incident.id))
    summary = replayed.summary()
    found = {
        "type": "assessment",
        **{
            name: summary[name] for name in ("events", "rejected", "rejected_by_reason", "late", "duplicates", "models")
        },
        "since": rfc3339(first) if n else None,
        "until": rfc3339(last) if n else None,
        "models_found": _models(replayed),
        "costs": costs,
        "blind_spots": [*_of_range(seconds, n), *_blind_spots(replayed)],
        "problems": [{"harm": round(harm(incident), 2), **incident_document(incident)} for incident in worst],
    }
    return Assessed(found, toml(proposals(fleet, spoke)))


def _models(replayed: Replayed) -> list[dict[str, Any]]:
    """Each model, those with the most events first."""
    fleet = replayed.fleet
    series, register = fleet.series.rows, fleet.groups.register
    found = []
    for row, model in enumerate(fleet.models.items):
        if model.split is not None:
            continue
        own = np.array(model.series, np.int64)
        kinds = Counter("numbers" if series["kind"][at] == KIND_NUMBER else "categories" for at in own.tolist())
        labelled = fleet.outcomes.totals.rows["fates"][row] if row < len(fleet.outcomes.totals.rows) else None
        found.append(
            {
                "model": model.name,
                "versions": len(model.versions),
                "events": int(fleet.models.rows["events"][row]),
                "series": len(own),
                "numbers": kinds["numbers"],
                "categories": kinds["categories"],
                "attributes": [register.attribute_names[at] for at in register.margins(row)],
                "outcomes": 0 if labelled is None else int(labelled[0]),
            }
        )
    return sorted(found, key=lambda each: (-each["events"], each["model"]))


def _of_range(seconds: float, models: int) -> list[dict[str, Any]]:
    """What a range as short as this cannot show of any model."""
    spots = []
    if seconds < _DAY:
        spots.append(("drift, quality", "judged after 1,000 events and one day; the range is shorter: take a week"))
    if seconds < 14 * _DAY:
        spots.append(("seasons", "learned from two weeks; before that only gross drift is told"))
    return [{"detector": what, "why": why, "models": models, "examples": []} for what, why in spots if models]


def _blind_spots(replayed: Replayed) -> list[dict[str, Any]]:
    """What could not be seen, alike things together, those of most models first."""
    fleet = replayed.fleet
    states = model_states(fleet)
    events = fleet.models.rows["events"][: len(fleet.models)]
    together: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in np.argsort(-events, kind="stable")[:MODELS_LOOKED_AT].tolist():
        model = fleet.models.items[row]
        if model.split is not None:
            continue
        for spot in model_document(fleet, row, int(states[row]))["blind_spots"]:
            where = spot.get("feature") or spot.get("attribute") or ""
            together[(spot.get("detector") or "", spot["why"])].append(f"{model.name} {where}".strip())
    ranked = sorted(together.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {"detector": detector, "why": why, "models": len({name.split()[0] for name in names}), "examples": names[:3]}
        for (detector, why), names in ranked
    ]


def _there(found: dict[str, Any]) -> list[str]:
    rejected = ", ".join(f"{reason} {n:,}" for reason, n in found["rejected_by_reason"].items())
    lines = [
        f"{found['events']:,} events of {found['models']:,} models, from {found['since']} to {found['until']}",
        (
            f"{found['rejected']:,} rejected{f' ({rejected})' if rejected else ''}, {found['late']:,} late, "
            f"{found['duplicates']:,} twice"
        ),
    ]
    for each in found["models_found"][:_SHOWN]:
        groups = f", groups by {', '.join(each['attributes'])}" if each["attributes"] else ""
        outcomes = f", {each['outcomes']:,} outcomes" if each["outcomes"] else ", no outcomes"
        versions = f", {each['versions']} versions" if each["versions"] > 1 else ""
        lines.append(
            f"{each['model']}: {each['events']:,} events, {each['numbers']} numbers, {each['categories']} "
            f"categories{outcomes}{groups}{versions}"
        )
    return lines + _more(len(found["models_found"]), "models")


def _costs(costs: dict[str, Any]) -> list[str]:
    cells = ", ".join(f"{share} {n:,}" for share, n in costs["cells"].items() if n)
    disk = costs["disk_bytes"]
    return [
        f"cells: {cells or 'none yet: nothing is judged before 1,000 events and one day'}",
        f"memory: {_bytes(costs['memory_bytes'])}, {_bytes(costs['memory_bytes_per_model'])} a model",
        (
            f"processor: {costs['cores']:g} cores for {costs['events_per_second']:,.1f} events/s, "
            f"{costs['cpu_seconds_per_million_events']:g} s for a million"
        ),
        f"disk: {_bytes(costs['disk_bytes_per_day'])} of ticks a day before compression, "
        + (f"{_bytes(disk)} kept" if disk is not None else "kept for ever"),
    ]


def _bytes(n: float) -> str:
    """A size as people read it."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if n >= unit:
            return f"{n / unit:.3g} {name}"
    return f"{n / 1e3:.3g} kB"


def _blind(spots: list[dict[str, Any]]) -> list[str]:
    lines = []
    for spot in spots[:_SHOWN]:
        example = f", as {spot['examples'][0]}" if spot["examples"] else ""
        lines.append(f"{spot['detector'] or 'all'}: {spot['why']} ({spot['models']} models{example})")
    return (lines or ["nothing that is known"]) + _more(len(spots), "kinds")


def _worst(problems: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{problem['fired_time']}  {problem['severity']:8}  {problem['alertname']:22}  {problem['summary']}"
        for problem in problems[:_SHOWN]
    ]
    return (lines or ["none"]) + _more(len(problems), "incidents")


def _more(n: int, what: str) -> list[str]:
    return [f"and {n - _SHOWN} more {what}: --json has all"] if n > _SHOWN else []
