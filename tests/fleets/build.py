"""Fleets, events and replays, as the tests of the core need them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog import profile
from monitor.catalog.policies import Clause, Policies
from monitor.clock import ManualClock
from monitor.config import load
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.events.columns import EventBatch, Part, Space, Strings, ValueType
from monitor.fleet import Closed, Fleet
from monitor.groups.watch import GroupRules
from monitor.incidents.incident import Incident
from monitor.ingest.files import FilesSource
from monitor.kernels.hashing import hash64
from monitor.replay import Replayed, replay

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""
DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0
SHARES = {"drift": 0.2, "quality": 0.1, "performance": 0.2, "fairness": 0.5}

_DECODER = NativeDecoder(DecodeLimits())


def event(time: float, features: dict[str, Any] | None = None, model: str = "m", **rest: Any) -> bytes:
    """A native event; ``rest`` are its other fields."""
    body = {"model": model, "time": time, **({} if features is None else {"features": features}), **rest}
    return json.dumps(body).encode()


def decoded(events: Sequence[bytes]) -> EventBatch:
    return _DECODER.decode(events, np.full(len(events), np.nan))


def new_fleet(
    keys: dict[str, Any] | None = None,
    *,
    clauses: Sequence[tuple[str, dict[str, Any]]] = (),
    per_week: float = 5.0,
    per_model: float = 1.0,
    severities: Mapping[str, float] | None = None,
    teams: Mapping[str, float] | None = None,
    models_max: int = 1000,
    series_max: int = 100,
    categories_max: int = 30,
    incidents_max: int = 1000,
    group_rules: GroupRules | None = None,
) -> Fleet:
    """An empty fleet; ``keys`` is the policy of every model, ``clauses`` are further ones by pattern.

    Drift is tolerated up to .02, as if people had said so: else nothing small is told of before a week was seen. Ticks
    are of ten minutes: a tick costs what it costs however few events are in it.
    """
    said = [("*", {"tick": "10m", "tolerance": {"drift": 0.02}}), ("*", keys or {}), *clauses]
    policies = Policies([Clause(match, entry, "test") for match, entry in said])
    return Fleet(
        Budget(per_week, per_model, SHARES, teams or {}, severities or {}),
        policies.resolve,
        profile.load,
        models_max=models_max,
        series_per_model_max=series_max,
        categories_max=categories_max,
        incidents_max=incidents_max,
        group_rules=group_rules,
    )


def feed(fleet: Fleet, events: Iterable[bytes] | EventBatch, until: float | None = None) -> Closed:
    """Let ``events`` in, none of them late, then close what ended at ``until``, or all that is open."""
    batch = events if isinstance(events, EventBatch) else decoded(list(events))
    if len(batch):
        fleet.absorb(batch, np.zeros(len(batch), bool))
    return fleet.close(np.inf if until is None else until)


def columns(times: NDArray[np.float64], models: Sequence[str], values: dict[str, NDArray[Any]]) -> EventBatch:
    """A batch of events with numbers (n,) as features, without the way over JSON; ``models`` is by event."""
    n, names = len(times), list(values)
    texts = list(dict.fromkeys([*models, *names]))
    raw = [text.encode() for text in texts]
    at = dict(zip(texts, np.cumsum([0, *map(len, raw)]).tolist(), strict=False))

    def strings(of: Sequence[str]) -> Strings:
        known = {text: hash64(text.encode()) for text in set(of)}
        return Strings(
            np.array([known[t] for t in of], np.uint64),
            np.array([at[t] for t in of], np.int32),
            np.array([len(t.encode()) for t in of], np.int32),
        )

    def none(size: int) -> Strings:
        return Strings(np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(size, np.int32))

    m = n * len(names)
    one = strings(names)
    name = Strings(np.tile(one.hash, n), np.tile(one.start, n), np.tile(one.length, n))
    return EventBatch(
        buffer=b"".join(raw),
        record=np.arange(n, dtype=np.int32),
        model=strings(models),
        version=none(n),
        id=none(n),
        entity=none(n),
        time=np.asarray(times, np.float64),
        parts=np.full(n, Part.FEATURES, np.uint16),
        value=np.full(n, np.nan),
        lifecycle=np.zeros(n, np.uint8),
        event=np.repeat(np.arange(n, dtype=np.int32), len(names)),
        space=np.full(m, Space.FEATURE, np.uint8),
        type=np.full(m, ValueType.NUMBER, np.uint8),
        name=name,
        text=none(m),
        number=np.ascontiguousarray(np.stack([values[k] for k in names], axis=1).ravel(), np.float64),
        rejected=np.zeros(0, np.int32),
        reasons=np.zeros(0, np.uint8),
        unknown_fields=0,
    )


def write_lines(path: Path, events: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(one + b"\n" for one in events))
    return path


def replayed(directory: Path, config: str, *files: Path, batch_records: int = 1000) -> Replayed:
    """What ``modelwatch replay`` does with ``files`` under the configuration ``config``."""
    settings = directory / "config.toml"
    settings.write_text(config)
    source = FilesSource([str(file) for file in files], {})
    try:
        return replay(load(settings, {}), source, ManualClock(START), batch_records=batch_records)
    finally:
        source.close()


def cells_of(incidents: Iterable[Incident]) -> set[tuple[str, str | None]]:
    """Detector and feature of every cell; for predictions the feature is empty."""
    return {(cell.detector, cell.feature) for incident in incidents for cell in incident.cells}


def series_named(fleet: Fleet, name: str, model: str = "m") -> int:
    """The row of the newest series of that name."""
    at = fleet.find_model(model)
    assert at is not None
    rows = [row for row in fleet.models.items[at].series if fleet.series.names[row] == name]
    return rows[-1]


def hourly(
    fleet: Fleet, features: Callable[[int], dict[str, Any]], hours: range, per_hour: int = 50, **rest: Any
) -> list[Incident]:
    """Feed ``per_hour`` events an hour, event ``i`` since the start with ``features(i)``; the incidents that changed.

    ``rest`` are other fields of the events; one that can be called is asked with ``i``.
    """
    incidents: list[Incident] = []
    for hour in hours:
        first = hour * per_hour
        times = [START + (i + 0.5) * HOUR / per_hour for i in range(first, first + per_hour)]
        events = [
            event(t, features(i), **{key: given(i) if callable(given) else given for key, given in rest.items()})
            for i, t in enumerate(times, first)
        ]
        incidents += feed(fleet, events, until=START + (hour + 1) * HOUR).incidents
    return incidents


LEARNED = 26
"""Hours of 50 events after which a model is judged: more than 1,000 events and a day."""


def cell(fleet: Fleet, detector: str, name: str, field: str, model: str = "m") -> Any:
    """What the judge holds of one cell."""
    return fleet.judge.states[detector][field][series_named(fleet, name, model)]
