"""Which policies would fit what was seen? A file of `[[models]]` to begin with, and what people must say themselves."""

from __future__ import annotations

import glob
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.catalog.durations import format_duration
from monitor.catalog.toml import toml_lines, toml_value
from monitor.events.columns import Space
from monitor.fleet import Fleet
from monitor.kernels.tally import KIND_CATEGORY
from monitor.outcomes.by_group import DELAY_BINS
from monitor.outcomes.joining import FATES

FAMILY_MIN = 3
"""Models whose names begin alike that are given one policy."""
_DAY = 86400.0
_PROTECTED = re.compile(
    r"(^|[_.\- ])(sex|gender|age|age_?(band|group)|birth\w*|race|ethnic\w*|religion\w*|nationality|citizen\w*"
    r"|marital\w*|disab\w*|pregnan\w*|orientation|native_country)($|[_.\- ])",
    re.IGNORECASE,
)
_HORIZONS = ((3600.0, "1h"), (6 * 3600.0, "6h"), (_DAY, "1d"), (2 * _DAY, "2d"), (7 * _DAY, "7d"))
_LONG = "30d"
_LATE = 0.01
"""Outcomes beyond the horizon that call for a longer one."""
_FEW_TICKS_A_DAY = 2.0
_WORDS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Proposal:
    """One `[[models]]`: whom it fits, its keys, and what remains to be said (comments, a line each)."""

    match: str
    keys: dict[str, object]
    open: tuple[str, ...]


def toml(proposals: list[Proposal], tick: float | None = None) -> str:
    """The policies as a file that `check-config` accepts; all in ticks of ``tick`` seconds, where that is said."""
    parts = [
        '# Proposed from what was seen. `mode = "shadow"` judges and shows, and calls nobody: take it out to go live.',
        '[[models]]\nmatch = "*"\nmode = "shadow"'
        + (f'\ntick = "{format_duration(tick)}"' if tick is not None else ""),
    ]
    for proposal in proposals:
        comments = "".join(f"# {line}\n" for line in proposal.open)
        lines = "\n".join(toml_lines({"match": proposal.match, **proposal.keys}))
        parts.append(f"{comments}[[models]]\n{lines}")
    return "\n\n".join(parts) + "\n"


def proposals(fleet: Fleet, ticks_a_day: dict[int, float]) -> list[Proposal]:
    """What to say of each model or family; ``ticks_a_day`` by model row: in how many ticks of a day it spoke."""
    by_content: dict[str, list[tuple[str, Proposal]]] = defaultdict(list)
    for row, model in enumerate(fleet.models.items):
        if model.split is not None:
            continue
        found = _of_model(fleet, row, ticks_a_day.get(row, math.inf))
        if found.keys or found.open:
            by_content[_family(model.name)].append((model.name, found))
    return list(_gathered(by_content, fleet))


def _gathered(by_family: dict[str, list[tuple[str, Proposal]]], fleet: Fleet) -> Iterator[Proposal]:
    names = [model.name for model in fleet.models.items if model.split is None]
    for family, members in sorted(by_family.items()):
        contents = {repr((each.keys, each.open)) for _, each in members}
        whole = sum(name.startswith(family) for name in names) == len(members)
        if family and whole and len(members) >= FAMILY_MIN and len(contents) == 1:
            yield Proposal(f"{glob.escape(family)}*", members[0][1].keys, members[0][1].open)
        else:
            yield from (each for _, each in sorted(members, key=lambda member: member[0]))


def _family(name: str) -> str:
    """What the names of a family begin with: all up to the first sign that divides words."""
    found = re.match(r"[^\-_.:/]+[\-_.:/]", name)
    return found.group(0) if found else ""


def _of_model(fleet: Fleet, row: int, ticks_a_day: float) -> Proposal:
    keys: dict[str, object] = {}
    said: list[str] = []
    protected = _protected(fleet, row)
    told = [fleet.groups.register.attribute_names[at] for at in fleet.groups.register.margins(row)]
    if protected:
        keys["sensitive"] = sorted({*told, *protected})
        said.append(f"{_listed(protected)}: protected by their names; take out what is not")
    labels = _labels(fleet, row)
    if labels and (told or protected):
        said.append(f"favourable = [...]: which of {_listed(labels)} is good for the person?")
    horizon, why = _horizon(fleet, row)
    if horizon:
        keys["outcome_horizon"] = horizon
    said += why
    if ticks_a_day <= _FEW_TICKS_A_DAY:
        keys["tick"] = "1d"
        said.append("comes in batches: ticks of a day")
    return Proposal(glob.escape(fleet.models.items[row].name), keys, tuple(said))


def _protected(fleet: Fleet, row: int) -> list[str]:
    names = [
        fleet.series.names[at]
        for at in fleet.models.items[row].series
        if fleet.series.rows["space"][at] in {Space.FEATURE, Space.SEGMENT}
    ]
    return sorted({name for name in names if _PROTECTED.search(name)})


def _labels(fleet: Fleet, row: int) -> list[str]:
    """The classes that the model answers with; none where it gives numbers."""
    for at in fleet.models.items[row].series:
        label = fleet.series.names[at] == "label" and fleet.series.rows["space"][at] == Space.PREDICTION
        if label and fleet.series.rows["kind"][at] == KIND_CATEGORY:
            return list(fleet.series.categories.get(at, []))
    return []


def _horizon(fleet: Fleet, row: int) -> tuple[str, list[str]]:
    """How long to wait for an outcome, where something else than a day fits; and why."""
    totals = fleet.outcomes.totals.rows
    if row >= len(totals):
        return "", []
    fates = dict(zip(FATES, totals["fates"][row].tolist(), strict=True))
    late, joined = fates["after_horizon"] + fates["without_prediction"], fates["joined"]
    if late > _LATE * (late + joined):
        return _LONG, [f"{late:,} of {late + joined:,} outcomes came later than a day, or belong to no prediction"]
    delays = fleet.by_group.rows["delays"][row].astype(np.float64) if row < len(fleet.by_group.rows) else np.zeros(1)
    if not delays.sum() or len(delays) != DELAY_BINS:
        return "", []
    slow = int(np.searchsorted(np.cumsum(delays), 0.99 * delays.sum()))
    longest = 2.0 ** ((slow + 1) / 4.0)
    fitting = next(word for seconds, word in _HORIZONS if seconds >= min(2.0 * longest, _DAY))
    if fitting == "1d":
        return "", []
    return fitting, [f"99 of 100 outcomes came within {longest:,.0f} s; a shorter horizon judges sooner"]


def _listed(names: list[str]) -> str:
    shown = ", ".join(toml_value(name) for name in names[:_WORDS_SHOWN])
    return f"{shown} and {len(names) - _WORDS_SHOWN} more" if len(names) > _WORDS_SHOWN else shown
