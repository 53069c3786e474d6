"""The room's door: files or a range of a topic are run through the pipeline and told of. Nothing is sent."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from monitor.assess.costs import MODELS_MIN, Meter
from monitor.assess.pace import paced
from monitor.assess.proposals import proposals, toml
from monitor.catalog.durations import format_duration
from monitor.clock import Clock, rfc3339
from monitor.config import Config
from monitor.errors import IngestError
from monitor.fleet import Fleet
from monitor.incidents.document import incident_document
from monitor.incidents.ranking import harm
from monitor.ingest.file_lines import STDIN
from monitor.ingest.files import FilesSource
from monitor.ingest.kafka_range import KafkaRange
from monitor.kernels.tally import KIND_NUMBER
from monitor.outcomes.joining import FATES
from monitor.portrait import model_document, model_states
from monitor.replay import Replayed, of_files, of_topic
from monitor.tally.closed import ClosedTicks

MODELS_LOOKED_AT = 500
"""Models, those with the most events, whose blind spots are listed."""
_SHOWN = 20
_MANY_EVENTS = 100_000
"""Fewer say nothing of a million: what a tick costs outweighs what they do."""
_SMALL = 0.001
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
    """Assess files of native events; raises as :func:`monitor.replay.of_files`, and where they hold no event."""
    if STDIN not in paths:  # which can be read once only
        config = paced(config, lambda: FilesSource(paths, {}))
    meter = Meter.begun()
    taken = _Taken(meter)
    return _assessed(config, of_files(config, paths, clock, taken.keep), meter, taken)


def assess_topic(config: Config, topic: str, since: float | None, until: float | None, clock: Clock) -> Assessed:
    """Assess a range of a topic; raises as :func:`monitor.replay.of_topic`, and where it holds no event."""
    config = paced(config, lambda: KafkaRange(config.require_kafka(), topic, since, until, {}, clock))
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
        ("What it would cost to watch", [_tick(assessed.found), *_costs(assessed.found["costs"])]),
        ("What could not be seen", _blind(assessed.found["blind_spots"])),
        ("The worst of this range", _worst(assessed.found)),
    ):
        out.write(f"{title}\n")
        out.writelines(f"  {line}\n" for line in lines)
        out.write("\n")
    out.write(f"Policies to begin with (modelwatch.toml)\n\n{assessed.policies}")


def _assessed(config: Config, replayed: Replayed, meter: Meter, taken: _Taken) -> Assessed:
    fleet = replayed.fleet
    rows = fleet.models.rows
    n = len(fleet.models)
    if not n:
        raise IngestError(f"assess: nothing to say: {_nothing(replayed)}")
    first, last = float(np.nanmin(rows["first_time"][:n])), float(np.nanmax(rows["last_time"][:n]))
    seconds = max(last - first, 0.0)
    costs = meter.read(fleet, replayed.events, seconds, config.privacy.retention.ticks)
    days = max(seconds / _DAY, 1.0)
    spoke = {row: ticks / days for row, ticks in taken.ticks.items()} if seconds > 2 * _DAY else {}
    fitted = config.policies.tick != config.clock.tick
    worst = sorted(replayed.incidents, key=lambda incident: (-harm(incident), incident.id))
    summary = replayed.summary()
    found = {
        "type": "assessment",
        **{
            name: summary[name] for name in ("events", "rejected", "rejected_by_reason", "late", "duplicates", "models")
        },
        "since": rfc3339(first),
        "until": rfc3339(last),
        "models_found": _models(replayed),
        "tick_seconds": config.policies.tick,
        "tick_fitted": fitted,
        "costs": costs,
        "blind_spots": [*_of_range(seconds, fleet), *_blind_spots(replayed)],
        "problems": [{"harm": round(harm(incident), 2), **incident_document(incident)} for incident in worst],
    }
    return Assessed(found, toml(proposals(fleet, spoke), config.policies.tick if fitted else None))


def _nothing(replayed: Replayed) -> str:
    """Why no model came of what was read."""
    why = {**replayed.rejected, "ignored by a policy": replayed.ignored}
    told = ", ".join(f"{n:,} {reason}" for reason, n in why.items() if n)
    return f"no record is an event that counts: {told} (docs/events.md)" if told else "there is no record in it"


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
        came, joined = _outcomes(fleet, row)
        found.append(
            {
                "model": model.name,
                "versions": len(model.versions),
                "events": int(fleet.models.rows["events"][row]),
                "series": len(own),
                "numbers": kinds["numbers"],
                "categories": kinds["categories"],
                "attributes": [register.attribute_names[at] for at in register.margins(row)],
                "outcomes": came,
                "outcomes_joined": joined,
            }
        )
    return sorted(found, key=lambda each: (-each["events"], each["model"]))


def _outcomes(fleet: Fleet, row: int) -> tuple[int, int]:
    """How many outcomes came, and how many of them met their prediction within the horizon."""
    totals = fleet.outcomes.totals.rows
    if row >= len(totals):
        return 0, 0
    fates = dict(zip(FATES, totals["fates"][row].tolist(), strict=True))
    return sum(fates[name] for name in ("joined", "after_horizon", "without_prediction")), fates["joined"]


def _of_range(seconds: float, fleet: Fleet) -> list[dict[str, Any]]:
    """What a range as short as this cannot show of models that learn; one with a reference file is judged at once."""
    models = sum(
        model.split is None and not from_file
        for model, from_file in zip(fleet.models.items, fleet.models.rows["from_file"], strict=False)
    )
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
        (
            f"{_many(found['events'], 'event')} of {_many(found['models'], 'model')}, "
            f"from {found['since']} to {found['until']}"
        ),
        (
            f"{found['rejected']:,} rejected{f' ({rejected})' if rejected else ''}, {found['late']:,} late, "
            f"{found['duplicates']:,} twice"
        ),
    ]
    for each in found["models_found"][:_SHOWN]:
        groups = f", groups by {', '.join(each['attributes'])}" if each["attributes"] else ""
        outcomes = f", {_many(each['outcomes'], 'outcome')}" if each["outcomes"] else ", no outcomes"
        if each["outcomes_joined"] < each["outcomes"]:
            outcomes += f", {each['outcomes_joined']:,} of them within the horizon of a prediction"
        versions = f", {each['versions']} versions" if each["versions"] > 1 else ""
        lines.append(
            f"{each['model']}: {_many(each['events'], 'event')}, {_many(each['numbers'], 'number')}, "
            f"{_many(each['categories'], 'category', 'categories')}{outcomes}{groups}{versions}"
        )
    return lines + _more(len(found["models_found"]), "models")


def _tick(found: dict[str, Any]) -> str:
    why = ", for models that speak seldom; `clock.tick` in --config says otherwise" if found["tick_fitted"] else ""
    return f"ticks: {format_duration(found['tick_seconds'])}{why}"


def _costs(costs: dict[str, Any]) -> list[str]:
    cells = ", ".join(f"{share} {_figure(n)}" for share, n in costs["cells"].items() if n)
    disk, each = costs["disk_bytes"], costs["memory_bytes_per_model"]
    a_million = f", {_figure(costs['cpu_seconds_per_million_events'])} s for a million"
    return [
        f"cells: {cells or 'none yet: nothing is judged before 1,000 events and one day'}",
        f"memory: the process grew by {_bytes(costs['memory_bytes'])}"
        + (f", {_bytes(each)} a model" if each is not None else f"; of fewer than {MODELS_MIN} models mostly its own"),
        f"processor: {_figure(costs['cpu_seconds'])} s for this range, {_figure(costs['cores'])} cores for "
        f"{_figure(costs['events_per_second'])} events/s" + (a_million if costs["events"] >= _MANY_EVENTS else ""),
        f"disk: {_bytes(costs['disk_bytes_per_day'])} of ticks a day before compression, "
        + (f"{_bytes(disk)} kept" if disk is not None else "kept for ever"),
    ]


def _figure(n: float) -> str:
    """A figure in three digits, without an exponent."""
    if 0.0 < n < _SMALL:
        return f"less than {_SMALL:g}"
    return f"{n:,.0f}" if n >= 100.0 else f"{n:.3g}"


def _many(n: int, one: str, several: str = "") -> str:
    return f"{n:,} {one}" if n == 1 else f"{n:,} {several or one + 's'}"


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
        lines.append(f"{spot['detector'] or 'all'}: {spot['why']} ({_many(spot['models'], 'model')}{example})")
    return (lines or ["nothing that is known"]) + _more(len(spots), "kinds")


def _worst(found: dict[str, Any]) -> list[str]:
    problems = found["problems"]
    lines = [
        f"{problem['fired_time']}  {problem['severity']:8}  {problem['alertname']:22}  {problem['summary']}"
        for problem in problems[:_SHOWN]
    ]
    if not any(found["costs"]["cells"].values()):
        lines += _NOT_JUDGED
    return (lines or ["none"]) + _more(len(problems), "incidents")


_NOT_JUDGED = (
    "inputs and answers were not judged: a model learns what is usual for 1,000 events and one day.",
    "Take a longer range, a week (--topic T --since), or judge by a reference from the first event on:",
    "  modelwatch baseline build --out refs EARLIER.jsonl",
    """  printf '[[models]]\\nmatch = "*"\\nreference = "file:refs/{model}.mwref"\\n' >refs.toml""",
    "  modelwatch assess --config refs.toml PATH",
)


def _more(n: int, what: str) -> list[str]:
    return [f"and {n - _SHOWN} more {what}: --json has all"] if n > _SHOWN else []
