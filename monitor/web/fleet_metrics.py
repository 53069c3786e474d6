"""What does `/metrics/models` say? Five series a model, from columns; features while they drift; ratios of groups."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from monitor.status import MODEL_STATES, Fleet, Status
from monitor.telemetry.families import Entry

_DAY = 86400.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SERIES_MAX = 50_000

STATE = Entry("modelwatch_model_state", "gauge", ("model", "state"), "1 for the state that a model is in.")
EVENTS = Entry("modelwatch_model_events_total", "counter", ("model",), "Events of a model.")
LAST_EVENT = Entry(
    "modelwatch_model_last_event_timestamp_seconds", "gauge", ("model",), "Newest event time of a model."
)
DRIFT = Entry(
    "modelwatch_model_drift_ratio", "gauge", ("model",), "Largest effect of a model over its tolerance; 1 is the edge."
)
INFO = Entry("modelwatch_model_info", "gauge", ("model", "version", "team"), "What a model is; always 1.")
FEATURE_DRIFT = Entry(
    "modelwatch_model_feature_drift_ratio",
    "gauge",
    ("model", "feature", "detector"),
    "Effect of a feature over its tolerance, exported while it drifts.",
)
IMPACT_RATIO = Entry(
    "modelwatch_model_impact_ratio",
    "gauge",
    ("model", "attribute", "group"),
    "Favourable decisions of a group over those of the rest, as they are now.",
)
DRILL_SECONDS = Entry(
    "modelwatch_model_drill_seconds",
    "gauge",
    ("model", "fault"),
    "Event time until a fault would be known, where that takes longest, by the last drill; 30 days is the horizon.",
)
DRILL_BLIND = Entry(
    "modelwatch_model_drill_blind_spots",
    "gauge",
    ("model",),
    "Faults of the last drill that nobody would know of within 30 days.",
)
DROPPED = Entry(
    "modelwatch_model_series_dropped", "gauge", (), "Feature and group series that the cap kept out of this scrape."
)

CATALOGUE = (STATE, EVENTS, LAST_EVENT, DRIFT, INFO, FEATURE_DRIFT, IMPACT_RATIO, DRILL_SECONDS, DRILL_BLIND, DROPPED)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which models a scrape asks for: those that match ``model`` (a glob), in ``shard`` of ``shards``, of ``team``."""

    model: str | None = None
    shard: int = 0
    shards: int = 1
    team: str | None = None
    groups: bool = True
    """Whether what is known of groups of people is asked for."""

    def rows(self, fleet: Fleet) -> NDArray[np.intp]:
        """Indices of the selected models. A model's shard is the CRC-32 of its name modulo ``shards``."""
        rows: Iterable[int] = range(len(fleet.names))
        if self.team is not None:
            rows = [i for i in rows if fleet.teams[i] == self.team]
        if self.shards > 1:
            rows = [i for i in rows if crc32(fleet.names[i].encode("utf-8", "replace")) % self.shards == self.shard]
        if self.model is not None:
            matches = re.compile(fnmatch.translate(self.model)).match
            rows = [i for i in rows if matches(fleet.names[i])]
        return np.fromiter(rows, dtype=np.intp)

    def everything(self) -> bool:
        """Whether no model is left out."""
        return self.model is None and self.shards == 1 and self.team is None


@dataclass(frozen=True, slots=True)
class _Labels:
    """Escaped label pairs of each model, kept for as long as the fleet's columns of names are the same objects."""

    names: Sequence[str]
    versions: Sequence[str]
    teams: Sequence[str]
    model: Sequence[str]
    info: Sequence[str]

    def of(self, fleet: Fleet) -> bool:
        return self.names is fleet.names and self.versions is fleet.versions and self.teams is fleet.teams


class FleetMetrics:
    """Renders the fleet in the text format. Series of one model are bounded; ``series_max`` bounds others of a kind."""

    def __init__(self, *, series_max: int = SERIES_MAX) -> None:
        self._series_max = series_max
        self._labels: _Labels | None = None

    def render(self, status: Status, selection: Selection) -> bytes:
        """The exposition of the selected models, UTF-8. May be called from several threads."""
        labels = self._labels_of(status.fleet)
        rows = selection.rows(status.fleet)
        lines: list[str] = []
        _model_lines(lines, status.fleet, labels, rows)
        drifting, impact, drilled = status.drifting, status.impact, status.drilled
        if not selection.everything():
            selected = {status.fleet.names[i] for i in rows.tolist()}
            drifting = [feature for feature in drifting if feature.model in selected]
            impact = [group for group in impact if group.model in selected]
            drilled = [model for model in drilled if model.model in selected]
        # A series given twice would cost the whole scrape: the last one of a label set stands.
        features: dict[tuple[str, ...], float] = {
            (it.model, it.feature, it.detector): it.ratio for it in drifting if math.isfinite(it.ratio)
        }
        groups: dict[tuple[str, ...], float] = {
            (it.model, it.attribute, it.group): it.ratio for it in impact if math.isfinite(it.ratio)
        }
        if not selection.groups:
            groups = {}
        dropped = self._capped_lines(lines, FEATURE_DRIFT, features, largest=True)
        dropped += self._capped_lines(lines, IMPACT_RATIO, groups, largest=False)
        seconds: dict[tuple[str, ...], float] = {
            (it.model, fault): days * _DAY
            for it in drilled
            for fault, days in it.days.items()
            if selection.groups or not fault.startswith("group_")
        }
        dropped += self._capped_lines(lines, DRILL_SECONDS, seconds, largest=True)
        blind: dict[tuple[str, ...], float] = {(it.model,): float(it.blind) for it in drilled}
        dropped += self._capped_lines(lines, DRILL_BLIND, blind, largest=True)
        lines.append(f"{_head(DROPPED)}{DROPPED.name} {dropped}\n")
        return "".join(lines).encode("utf-8", "replace")

    def _labels_of(self, fleet: Fleet) -> _Labels:
        labels = self._labels
        if labels is None or not labels.of(fleet):
            model = [f'model="{_escape(name)}"' for name in fleet.names]
            info = [
                f'{pair},version="{_escape(version)}",team="{_escape(team)}"'
                for pair, version, team in zip(model, fleet.versions, fleet.teams, strict=True)
            ]
            labels = _Labels(fleet.names, fleet.versions, fleet.teams, model, info)
            self._labels = labels
        return labels

    def _capped_lines(
        self, lines: list[str], entry: Entry, values: Mapping[tuple[str, ...], float], *, largest: bool
    ) -> int:
        """Write a series for each label set, the worst ones where there are too many; returns how many are left out."""
        kept: Iterable[tuple[tuple[str, ...], float]] = values.items()
        if len(values) > self._series_max:
            kept = sorted(kept, key=lambda item: item[1], reverse=largest)[: self._series_max]
        lines.append(_head(entry))
        for labels, value in kept:
            pairs = (f'{name}="{_escape(text)}"' for name, text in zip(entry.labels, labels, strict=True))
            lines.append(f"{entry.name}{{{','.join(pairs)}}} {value:.6g}\n")
        return max(0, len(values) - self._series_max)


def _model_lines(lines: list[str], fleet: Fleet, labels: _Labels, rows: NDArray[np.intp]) -> None:
    model, order = labels.model, rows.tolist()
    lines.append(_head(STATE))
    states = [f',state="{state}"}} 1\n' for state in MODEL_STATES]
    of_rows = zip(order, fleet.state[rows].tolist(), strict=True)
    lines += [f"{STATE.name}{{{model[i]}{states[state]}" for i, state in of_rows]
    lines.append(_head(EVENTS))
    events = zip(order, fleet.events[rows].tolist(), strict=True)
    lines += [f"{EVENTS.name}{{{model[i]}}} {count}\n" for i, count in events]
    lines.append(_head(LAST_EVENT))
    lines += [f"{LAST_EVENT.name}{{{model[i]}}} {value:.3f}\n" for i, value in _known(fleet.last_event_time, rows)]
    lines.append(_head(DRIFT))
    lines += [f"{DRIFT.name}{{{model[i]}}} {value:.6g}\n" for i, value in _known(fleet.drift_ratio, rows)]
    lines.append(_head(INFO))
    lines += [f"{INFO.name}{{{labels.info[i]}}} 1\n" for i in order]


def _known(column: NDArray[np.float64], rows: NDArray[np.intp]) -> Iterable[tuple[int, float]]:
    rows = rows[np.isfinite(column[rows])]
    return zip(rows.tolist(), column[rows].tolist(), strict=True)


def _head(entry: Entry) -> str:
    return f"# HELP {entry.name} {entry.help}\n# TYPE {entry.name} {entry.kind}\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
