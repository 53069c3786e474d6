"""What a drill found, kept small, and told in words: if this went wrong, you would know in so many days."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.apart.watch import DETECTOR as APART
from monitor.catalog.series import JUDGED, SPACE_NAMES
from monitor.clock import rfc3339
from monitor.detectors import DETECTORS
from monitor.drill.apart import APART_FAULTS, ApartFindings
from monitor.drill.faults import FAULTS, Fault
from monitor.drill.past import DAY_SECONDS, HORIZON_SECONDS
from monitor.drill.people import GROUP_FAULTS, GroupFault, GroupFindings
from monitor.drill.series import SeriesFindings
from monitor.fleet import Fleet
from monitor.groups.questions import QUESTIONS, Kind
from monitor.groups.visible import group_name, groups_shown
from monitor.incidents.telling import span

HORIZON_DAYS = HORIZON_SECONDS / DAY_SECONDS
STANDARD = ("shift_0.5", "swapped_0.5", "missing_0.2", "group_0.75", "group_0.5", "group_shift_1")
"""The faults by which models are measured: no more series than these are there of a model."""
SIGNATURE = ",".join(
    [each.name for table in (FAULTS, GROUP_FAULTS, APART_FAULTS) for each in table] + [each.name for each in DETECTORS]
)
"""What the numbers of a record mean: one that was made under another is no longer told."""
_COLUMNS = (("series", "i4"), ("fault", "i2"), ("detector", "i2"), ("days", "f4"))
_GROUP_COLUMNS = (("cell", "i4"), ("fault", "i2"), ("days", "f4"))
_APART_COLUMNS = (("group", "i4"), ("series", "i4"), ("fault", "i2"), ("days", "f4"))
_GROUP_WORDS = {
    Kind.DECISION: "favourable decisions for",
    Kind.SCORE: "scores above the median for",
    Kind.VALUE: "values above the median for",
}


class Findings(msgspec.Struct, frozen=True):
    """Of one model: what each fault of each series and group would have taken to be seen.

    ``made`` is the wall time of the drill, ``until`` the newest event time it knew, ``lasted`` the seconds of traffic
    that it was measured on. ``series``, ``groups`` and ``apart`` are columns in bytes: rows in the tables of series, of
    comparisons and of groups, faults by place, detectors (-1: nobody), days (NaN: not within thirty).
    """

    signature: str
    made: float
    until: float
    lasted: float
    series: dict[str, bytes]
    groups: dict[str, bytes]
    apart: dict[str, bytes] = {}

    def series_columns(self) -> dict[str, NDArray[Any]]:
        """The columns of series."""
        return {name: np.frombuffer(self.series[name], kind) for name, kind in _COLUMNS}

    def group_columns(self) -> dict[str, NDArray[Any]]:
        """The columns of groups."""
        return {name: np.frombuffer(self.groups[name], kind) for name, kind in _GROUP_COLUMNS}

    def apart_columns(self) -> dict[str, NDArray[Any]]:
        """The columns of features of groups."""
        return {name: np.frombuffer(self.apart[name], kind) for name, kind in _APART_COLUMNS}

    def columns(self) -> Iterator[tuple[dict[str, NDArray[Any]], Sequence[Fault | GroupFault]]]:
        """All columns, each with the faults that they speak of."""
        yield self.series_columns(), FAULTS
        yield self.group_columns(), GROUP_FAULTS
        yield self.apart_columns(), APART_FAULTS


def findings(
    series: SeriesFindings,
    rows: NDArray[np.int64],
    groups: GroupFindings,
    apart: ApartFindings,
    *,
    made: float,
    until: float,
    lasted: float,
) -> Findings:
    """Put together what a drill found; ``rows`` are the fleet's rows of the series that were drilled."""
    of_series = {"series": rows[series.series], "fault": series.fault, "detector": series.detector, "days": series.days}
    of_groups = {"cell": groups.cell, "fault": groups.fault, "days": groups.days}
    return Findings(
        SIGNATURE,
        made,
        until,
        lasted,
        {name: of_series[name].astype(kind).tobytes() for name, kind in _COLUMNS},
        {name: of_groups[name].astype(kind).tobytes() for name, kind in _GROUP_COLUMNS},
        {name: getattr(apart, name).astype(kind).tobytes() for name, kind in _APART_COLUMNS},
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What may be called by its name now: series by row (name, space), comparisons by cell (attribute, group, kind).

    ``apart`` are groups whose features are judged, by row (attribute, group).
    """

    series: dict[int, tuple[str, str]]
    groups: dict[int, tuple[str, str, Kind]]
    apart: dict[int, tuple[str, str]]


def names_of(fleet: Fleet, model: int) -> Names:
    """The names of the model's judged series, and of its groups that may be spoken of."""
    rows, register = fleet.series.rows, fleet.groups.register
    series = [int(row) for row in fleet.lives.series_rows(model) if rows["judging"][row] == JUDGED]
    groups: dict[int, tuple[str, str, Kind]] = {}
    for output in register.of(model).outputs if model in register.of_model else ():
        kind = Kind(int(register.outputs["kind"][output]))
        for shown in groups_shown(fleet.groups, model, output) if kind in _GROUP_WORDS else ():
            for i in np.flatnonzero(shown.visible).tolist():
                groups[register.cell(shown.groups[i], output)] = (shown.attribute, shown.names[i], kind)
    of_series = {row: (fleet.series.names[row], SPACE_NAMES[int(rows["space"][row])]) for row in series}
    return Names(of_series, groups, _names_apart(fleet, model))


def _names_apart(fleet: Fleet, model: int) -> dict[int, tuple[str, str]]:
    register, cells = fleet.groups.register, fleet.apart.cells(model).rows
    seen = np.unique(cells["group"][fleet.apart.told(cells)]).tolist() if len(cells) else []
    attributes = [register.attribute_names[int(register.groups["attribute"][group])] for group in seen]
    return {group: (name, group_name(fleet.groups, group)) for group, name in zip(seen, attributes, strict=True)}


def told(names: Names, found: Findings) -> list[dict[str, Any]]:
    """Every fault in words and JSON types: groups first, then what is seen soonest; blind spots last."""
    if found.signature != SIGNATURE:
        return []
    entries = [*_of_groups(names, found), *_of_apart(names, found), *_of_series(names, found)]
    return sorted(
        entries, key=lambda e: (e["days"] is None, e["group"] is None, e["days"] or 0.0, e["feature"] or "", e["fault"])
    )


def document(model: str, found: Findings, faults: list[dict[str, Any]]) -> dict[str, Any]:
    """The document of a drill: what would be seen, and the blind spots."""
    return {
        "model": model,
        "time": rfc3339(found.made) if math.isfinite(found.made) else None,
        "measured_until": rfc3339(found.until) if math.isfinite(found.until) else None,
        "measured_days": round(found.lasted / DAY_SECONDS, 3),
        "horizon_days": HORIZON_DAYS,
        "faults": faults,
        "blind_spots": [fault for fault in faults if fault["days"] is None],
    }


class Drilled:
    """What the last drill of each model found, by row, and what is exported of it."""

    def __init__(self) -> None:
        self._found: dict[int, Findings] = {}
        self.slowest: dict[int, dict[str, float]] = {}
        """By standard fault: days until it is seen where that takes longest."""
        self.blind: dict[int, int] = {}
        """How many faults nobody would know of within the horizon."""
        self.n = 0
        """Grows with every drill."""

    def add(self, row: int, found: Findings) -> None:
        """Take in what was found of the model in ``row``; what was found before is forgotten."""
        self._found[row], self.n = found, self.n + 1
        self.slowest[row], self.blind[row] = slowest(found), n_blind(found)

    def of(self, row: int) -> Findings | None:
        """What was found of the model in ``row``, if it was drilled."""
        return self._found.get(row)


def slowest(found: Findings) -> dict[str, float]:
    """By standard fault: days until it is seen where that takes longest, the horizon where nobody sees it."""
    worst: dict[str, float] = {}
    if found.signature != SIGNATURE:
        return worst
    for columns, table in found.columns():
        days = np.nan_to_num(columns["days"].astype(np.float64), nan=HORIZON_DAYS)
        for place in np.unique(columns["fault"]).tolist():
            name = table[place].name
            if name in STANDARD:
                worst[name] = max(worst.get(name, 0.0), float(days[columns["fault"] == place].max()))
    return worst


def n_blind(found: Findings) -> int:
    """How many faults nobody would know of within the horizon."""
    if found.signature != SIGNATURE:
        return 0
    return sum(int(np.isnan(columns["days"]).sum()) for columns, _ in found.columns())


def _of_series(names: Names, found: Findings) -> Iterator[dict[str, Any]]:
    columns = found.series_columns()
    for row, place, detector, days in zip(*(columns[name].tolist() for name, _ in _COLUMNS), strict=True):
        if row not in names.series:
            continue
        fault, (name, space) = FAULTS[place], names.series[row]
        by = DETECTORS[detector].name if detector >= 0 else None
        words = f"if {name} {fault.words}"
        yield _entry(found, words, days, feature=name, space=space, fault=fault.name, detector=by)


def _of_groups(names: Names, found: Findings) -> Iterator[dict[str, Any]]:
    columns = found.group_columns()
    for cell, place, days in zip(*(columns[name].tolist() for name, _ in _GROUP_COLUMNS), strict=True):
        if cell not in names.groups:
            continue
        attribute, group, kind = names.groups[cell]
        fault, asked = GROUP_FAULTS[place], QUESTIONS[kind].detector
        words = f"if {_GROUP_WORDS[kind]} group {group} of {attribute} {fault.words}"
        by = None if math.isnan(days) else asked
        yield _entry(found, words, days, fault=fault.name, detector=by, attribute=attribute, group=group, asked=asked)


def _of_apart(names: Names, found: Findings) -> Iterator[dict[str, Any]]:
    columns = found.apart_columns()
    for of, row, place, days in zip(*(columns[name].tolist() for name, _ in _APART_COLUMNS), strict=True):
        if of not in names.apart or row not in names.series:
            continue
        (attribute, group), (name, space), fault = names.apart[of], names.series[row], APART_FAULTS[place]
        words = f"if {name} {fault.words} for group {group} of {attribute} and nobody else"
        about = {"feature": name, "space": space, "attribute": attribute, "group": group}
        by = None if math.isnan(days) else APART
        yield _entry(found, words, days, **about, fault=fault.name, detector=by, asked=APART)


def _entry(found: Findings, condition: str, days: float, **of: Any) -> dict[str, Any]:
    unseen = math.isnan(days)
    seen = f"nobody would know in {HORIZON_DAYS:.0f} days" if unseen else f"you would know in {_span(days)}"
    measured = f"measured on your traffic of {_lately(found.lasted)}"
    return {
        "feature": of.get("feature"),
        "space": of.get("space"),
        "attribute": of.get("attribute"),
        "group": of.get("group"),
        "fault": of["fault"],
        "asked": of.get("asked"),
        "detector": of["detector"],
        "days": None if unseen else round(days, 4),
        "words": f"{condition}, {seen}, {measured}",
    }


def _span(days: float) -> str:
    return f"{days:.1f} days" if 2.0 <= days < 10.0 else span(days * DAY_SECONDS)


def _lately(seconds: float) -> str:
    return "last week" if seconds >= 6.5 * DAY_SECONDS else f"the last {span(max(seconds, 1.0))}"
