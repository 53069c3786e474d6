"""What would this configuration have said? The same pipeline over files or a range of a topic, in event time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from tqdm import tqdm

from monitor.clock import Clock, rfc3339
from monitor.comparing import compare, prices
from monitor.compose import make_decoders, make_fleet
from monitor.config import Config
from monitor.events.raw import Partition, RawBatch
from monitor.fleet import Fleet
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.ingest.files import FilesSource
from monitor.ingest.kafka_range import KafkaRange
from monitor.ingest.source import Source
from monitor.kernels.hashing import hash64
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.portrait import model_document, model_states
from monitor.store.cases import TemporaryCases
from monitor.tally.closed import ClosedTicks
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics

_FUTURE_SECONDS = 10 * 365 * 86400.0
"""A year mistyped must not make everything behind it late; data dated some years ahead is replayed all the same."""
_KEPT_SECONDS = 1.0
"""How often the sums of closed ticks are let go: a replay has no tick log to put them into."""

_NAME_MAX, _NAME_KEPT = 240, 200
"""Characters of a file's name without its ending, and how many of a longer one stand before the hash."""


Keep = Callable[[list[ClosedTicks]], object]
"""Is handed the sums of the ticks that closed."""


def _let_go(_ticks: list[ClosedTicks]) -> None:
    """Nobody has asked for them."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay gave: ``incidents`` in their final state, ordered by ``fired_time``."""

    incidents: list[Incident]
    events: int
    rejected: dict[str, int]
    """Dead letters by reason, docs/events.md."""
    late: int
    duplicates: int
    ignored: int
    unknown_fields: int
    dropped_values: int
    models: int
    ticks: int
    seconds: float
    fleet: Fleet

    def summary(self) -> dict[str, Any]:
        """The last line of ``replay --json``."""
        return {
            "type": "summary",
            "events": self.events,
            "rejected": sum(self.rejected.values()),
            "rejected_by_reason": self.rejected,
            "late": self.late,
            "duplicates": self.duplicates,
            "ignored": self.ignored,
            "unknown_fields": self.unknown_fields,
            "dropped_values": self.dropped_values,
            "models": self.models,
            "ticks": self.ticks,
            "incidents": len(self.incidents),
            "paged": sum(incident.paged_time is not None for incident in self.incidents),
            "tolerances": [price.document() for price in prices(self.fleet, self.incidents)],
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events / max(self.seconds, 1e-9), 1),
        }


class _Nowhere:
    """Dead letters of a replay are counted, and incidents are told to nobody."""

    def add(self, batch: RawBatch, indices: Sequence[int], reasons: Sequence[str]) -> None:
        """Count nothing more than the pipeline does."""

    def flush(self, timeout_seconds: float) -> bool:
        """Nothing waits."""
        return True


class _Collected:
    """Keeps what a replay says until its end, and cases that memory has no room for; no store to come back to."""

    def __init__(self, keep: Keep) -> None:
        self.incidents: dict[str, Incident] = {}
        self.cases = TemporaryCases()
        self._keep = keep

    def save(
        self,
        fleet: Fleet,
        time: EventTime,
        positions: Mapping[Partition, int],
        ticks: list[ClosedTicks],
        incidents: list[Incident],
    ) -> bool:
        """Keep the newest state of each incident."""
        self.incidents.update((incident.id, incident) for incident in incidents)
        self._keep(ticks)
        self.cases.relieve(fleet.outcomes.pending)
        return True


def replay(
    config: Config,
    source: Source,
    clock: Clock,
    *,
    fleet: Fleet | None = None,
    progress: Callable[[int], object] = lambda _records: None,
    beside: Callable[[Pipeline], None] = lambda _pipeline: None,
    keep: Keep = _let_go,
    batch_records: int | None = None,
) -> Replayed:
    """Run ``source`` to its end. The same input and configuration give the same incidents, whatever the batch size.

    ``beside`` is called after each turn, ``keep`` is handed the sums of the ticks that closed.
    """
    began = clock.monotonic()
    fleet = fleet or make_fleet(config)
    collected = _Collected(keep)
    pipeline = Pipeline(
        source,
        make_decoders(config),
        fleet,
        EventTime(config.clock.lateness, config.clock.leap),
        Surroundings(clock, Metrics(), _Nowhere(), collected, told=lambda _incidents: None),
        Pace(commit=_KEPT_SECONDS, future=_FUTURE_SECONDS, batch_records=batch_records),
    )
    try:
        while not source.finished():
            progress(pipeline.turn())
            beside(pipeline)
        # A cohort is a whole tick, which ends up to its length behind the newest event.
        policies = [model.policy for model in fleet.models.items]
        horizon = max((policy.outcome_horizon + policy.tick for policy in policies), default=0.0)
        pipeline.finish(config.clock.lateness + horizon)
    finally:
        collected.cases.close()
    incidents = sorted(collected.incidents.values(), key=lambda i: (i.fired_time, i.model, i.alertname, i.id))
    totals = pipeline.totals
    return Replayed(
        incidents=incidents,
        events=totals.events + totals.late,
        rejected=dict(sorted(pipeline.rejected.items())),
        late=totals.late,
        duplicates=pipeline.duplicates,
        ignored=pipeline.ignored,
        unknown_fields=pipeline.unknown_fields,
        dropped_values=pipeline.dropped_values,
        models=len(fleet.models.listed()),
        ticks=pipeline.ticks_closed,
        seconds=clock.monotonic() - began,
        fleet=fleet,
    )


def write_json(replayed: Replayed, out: TextIO) -> None:
    """One JSON object a line: the incidents, then the summary."""
    out.writelines(json.dumps({"type": "incident", **incident_document(i)}) + "\n" for i in replayed.incidents)
    out.write(json.dumps(replayed.summary()) + "\n")


def write_text(replayed: Replayed, out: TextIO) -> None:
    """One line an incident, then the summary in words."""
    for i in replayed.incidents:
        ended = f"resolved {rfc3339(i.resolved_time)}" if i.resolved_time is not None else "still firing"
        called = ", paged" if i.paged_time is not None else ""
        onset = f", since {rfc3339(i.onset_time)}" if i.onset_time is not None else ""
        out.write(f"{rfc3339(i.fired_time)}  {i.severity:8}  {i.alertname:22}  {i.summary}  [{ended}{onset}{called}]\n")
    s = replayed.summary()
    why = ", ".join(f"{reason} {n}" for reason, n in replayed.rejected.items())
    beside = ("duplicates", "ignored", "unknown_fields", "dropped_values")
    further = "".join(f", {s[name]} {name.replace('_', ' ')}" for name in beside if s[name])
    out.write(
        f"{s['events']} events of {s['models']} models in {s['ticks']} ticks, "
        f"{s['rejected']} rejected{f' ({why})' if why else ''}, {s['late']} late{further}: {s['incidents']} incidents "
        f"({s['seconds']} s, {s['events_per_second']:.0f} events/s)\n"
    )
    told = [price for price in prices(replayed.fleet, replayed.incidents) if price.cells]
    out.writelines(price.words() + "\n" for price in told)


def write_difference(a: Replayed, b: Replayed, out: TextIO, *, as_json: bool) -> None:
    """What two configurations said differently of the same input: ``-`` only the first, ``+`` only the second."""
    difference = compare(a.incidents, b.incidents)
    counts = {"only_a": len(difference.only_a), "only_b": len(difference.only_b), "both": len(difference.both)}
    pages = [sum(i.paged_time is not None for i in replayed.incidents) for replayed in (a, b)]
    if as_json:
        out.writelines(json.dumps(line) + "\n" for line in difference.lines())
        out.write(json.dumps({"type": "difference", **counts, "pages_a": pages[0], "pages_b": pages[1]}) + "\n")
        return
    sign = {"a": "-", "b": "+", "both": " "}
    for line in difference.lines():
        later = f"  [{line['later_seconds'] / 3600.0:+.1f} h]" if line.get("later_seconds") else ""
        text = f"{line['fired_time']}  {line['severity']:8}  {line['alertname']:22}  {line['summary']}"
        out.write(f"{sign[line['in']]} {text}{later}\n")
    out.write(
        f"{counts['only_a']} incidents only with the first, {counts['only_b']} only with the second, "
        f"{counts['both']} with both; {pages[0]} pages and {pages[1]}\n"
    )


def write_documents(replayed: Replayed, directory: Path) -> None:
    """``DIR/models/<model>.json`` for each model, its name as :func:`_file_name` spells it."""
    models = directory / "models"
    models.mkdir(parents=True, exist_ok=True)
    states = model_states(replayed.fleet).tolist()
    for row in replayed.fleet.models.listed():
        model = replayed.fleet.models.items[row]
        document = model_document(replayed.fleet, row, states[row])
        text = json.dumps(document, indent=2, sort_keys=True)
        (models / f"{_file_name(model.name)}.json").write_text(text + "\n")


def _file_name(model: str) -> str:
    """The name percent-encoded as in a path; one too long for a file system is cut and ends in a hash of the whole."""
    name = quote(model, safe=" ")
    if len(name) <= _NAME_MAX:
        return name
    return f"{name[:_NAME_KEPT]}-{hash64(model.encode()):016x}"


def write_warnings(replayed: Replayed, out: TextIO) -> None:
    """One line for each reference file that a policy names and that could not be used: its model was judged without."""
    for model in replayed.fleet.models.items:
        for fact in model.facts:
            if fact.what == "reference file not used":
                out.write(f"{model.name}: {fact.what}: {fact.subject}\n")


def progress_bar(total: int, unit: str, read: Callable[[], int]) -> tuple[Callable[[int], None], Callable[[], None]]:
    """A progress bar on stderr where that is a terminal: what to call after each turn, and at the end."""
    bar = tqdm(total=total or None, unit=unit, unit_scale=True, disable=not sys.stderr.isatty(), file=sys.stderr)

    def turned(_records: int) -> None:
        bar.n = read()
        bar.refresh(nolock=True)

    return turned, bar.close


def of_files(config: Config, paths: list[str], clock: Clock, keep: Keep = _let_go) -> Replayed:
    """Replay files of native events, merged by time; ``keep`` as of :func:`replay`."""
    source = FilesSource(paths, {})
    turned, done = progress_bar(source.bytes_total(), "B", source.bytes_read)
    try:
        return replay(config, source, clock, progress=turned, keep=keep)
    finally:
        done()
        source.close()


def of_topic(
    config: Config, topic: str, since: float | None, until: float | None, clock: Clock, keep: Keep = _let_go
) -> Replayed:
    """Replay a range of a Kafka topic; times in seconds since the epoch, ``keep`` as of :func:`replay`."""
    source = KafkaRange(config.require_kafka(), topic, since, until, {}, clock)
    waiting = sum(source.lag().values())
    turned, done = progress_bar(waiting, "events", lambda: waiting - sum(source.lag().values()))
    try:
        return replay(config, source, clock, progress=turned, keep=keep)
    finally:
        done()
        source.close()
