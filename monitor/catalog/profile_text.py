"""What a reference says, for people to read, and in what two of them differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.installing import Installer
from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.catalog.profile import Profile, SeriesProfile
from monitor.catalog.series import UNJUDGED, Series
from monitor.kernels.hashing import hash64
from monitor.kernels.tally import BINS, EVENTS, NULLS, OTHER_BIN, PRESENT
from monitor.stats.distances import cdf_gap, debiased_psi, share_gap

_CATEGORIES_SHOWN = 4
_NEW_SHOWN = 3
_NO_DISTRIBUTION = frozenset(("identifier", "counter", "timestamp", "free text"))
"""Reasons for which a series is not judged that make its movement no news."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeriesDiff:
    """How one series differs between two references, ``b`` against ``a``.

    ``effect`` is the largest gap of the distribution functions (numbers) or of a share (categories), in [0, 1]; ``psi``
    has what chance adds taken off, in nats. Both NaN where nothing can be compared. ``missing`` are rates, of ``a``
    and ``b``, NaN where the series is not. ``approximate`` tells that the bins differ, and ``b`` was spread over those
    of ``a``. ``note`` says what is new or gone, ``unjudged`` why ``a`` is not judged for drift (empty where it is).
    """

    space: str
    name: str
    kind: str
    effect: float
    psi: float
    missing: tuple[float, float]
    approximate: bool
    note: str
    unjudged: str = ""


def show(profile: Profile, digest: str, now: float = math.nan) -> str:
    """A table of the series, with what keeps each from being judged.

    ``now`` (seconds since the epoch) is the time beside which numbers look like clocks; without it none does.
    """
    heads = [
        f"model    {profile.model}",
        f"version  {profile.version or '(none)'}",
        f"rows     {profile.events}",
        f"source   {profile.source}",
        f"digest   {digest}",
        "",
    ]
    reasons = _unjudged(profile, digest, now)
    rows = [("series", "kind", "n", "missing", "values", "not judged for drift")]
    for part, reason in zip(profile.series, reasons, strict=True):
        n = sum(part.counts[:BINS])
        rows.append((_label(part), part.kind, str(n), _percent(_missing(part)), _values(part), reason))
    return "\n".join([*heads, *_table(rows), ""])


def compare(a: Profile, b: Profile, now: float = math.nan) -> list[SeriesDiff]:
    """How the series of ``b`` differ from those of ``a``, ranked: what is gone or new, then by the larger movement.

    A movement is the effect or the change of the missing rate, both shares of the events. What has no distribution
    worth comparing (counters, identifiers, free text; clocks if ``now`` is said as for :func:`show`) comes last.
    Numbers with other bins are compared on those of ``a``: what a bin of ``b`` holds is taken to lie evenly between
    its edges, which may err by as much as a bin holds (3 % where bins are quantiles).
    """
    parts_a = {(part.space, part.name): part for part in a.series}
    parts_b = {(part.space, part.name): part for part in b.series}
    reasons = dict(zip(parts_a, _unjudged(a, "", now), strict=True))
    rows = [
        _moved(part, parts_b[key], reasons[key]) if key in parts_b else _alone(part, "gone", first=True)
        for key, part in parts_a.items()
    ]
    rows += [_alone(part, "new", first=False) for key, part in parts_b.items() if key not in parts_a]
    return sorted(rows, key=_rank)


def diff(a: Profile, b: Profile, now: float = math.nan) -> str:
    """The rows of :func:`compare` as a table."""
    rows = compare(a, b, now)
    table = [("series", "kind", "effect", "PSI", "missing", "what")]
    table += [
        (
            f"{row.space}.{row.name}",
            row.kind,
            ("~" if row.approximate else "") + _figure(row.effect),
            _figure(row.psi),
            " -> ".join(_percent(rate) for rate in row.missing),
            "; ".join([row.note] * bool(row.note) + [f"not judged: {row.unjudged}"] * bool(row.unjudged)),
        )
        for row in rows
    ]
    notes = [
        "",
        "effect: largest gap of the distribution functions (numbers) or of a category's share",
        "PSI: less what chance adds",
    ]
    if any(row.approximate for row in rows):
        notes.append("~ the bins differ: values are taken to lie evenly between the edges of a bin")
    return "\n".join([f"a  {_named(a)}", f"b  {_named(b)}", "", *_table(table), *notes, ""])


def _unjudged(profile: Profile, digest: str, now: float) -> list[str]:
    """Why each series is not judged, empty where it is: what the daemon would say on its first day with ``profile``."""
    models, series = Models(1), Series()
    row = models.add(profile.model, hash64(profile.model.encode()), Policy(), now)
    installer = Installer(models, series)
    installer.install(profile, digest, row)
    rows = installer.begin()
    return [UNJUDGED[reason] for reason in series.rows["unjudged"][rows].tolist()]


def _label(part: SeriesProfile) -> str:
    return f"{part.space}.{part.name}"


def _named(profile: Profile) -> str:
    version = f" version {profile.version}" if profile.version else ""
    return f"{profile.model}{version}, {profile.events} rows of {Path(profile.source).name}"


def _missing(part: SeriesProfile) -> float:
    events = part.counts[EVENTS]
    return max(0, events - part.counts[PRESENT] + part.counts[NULLS]) / events if events else math.nan


def _values(part: SeriesProfile) -> str:
    """The range and the median's bin of a number, or the commonest categories."""
    n = sum(part.counts[:BINS])
    if part.kind == "number":
        half = int(np.searchsorted(np.cumsum(part.counts[:BINS]), n / 2))
        middle = part.edges[min(half, len(part.edges) - 1)]
        return f"{part.low:.6g} to {part.high:.6g}, median about {middle:.6g}"
    ranked = [f"{name} {_percent(count / n)}" for name, count in zip(part.categories, part.counts, strict=False)]
    more = len(part.categories) - _CATEGORIES_SHOWN
    others = [f"{more} more"] if more > 0 else []
    others += [f"others {_percent(part.counts[OTHER_BIN] / n)}"] if part.counts[OTHER_BIN] else []
    return ", ".join(ranked[:_CATEGORIES_SHOWN] + others)


def _alone(part: SeriesProfile, what: str, *, first: bool) -> SeriesDiff:
    rate = _missing(part)
    missing = (rate, math.nan) if first else (math.nan, rate)
    return SeriesDiff(part.space, part.name, part.kind, math.nan, math.nan, missing, approximate=False, note=what)


def _moved(a: SeriesProfile, b: SeriesProfile, unjudged: str) -> SeriesDiff:
    missing = (_missing(a), _missing(b))
    if a.kind != b.kind:
        note = f"was a {a.kind}, is a {b.kind}"
        return SeriesDiff(a.space, a.name, b.kind, math.nan, math.nan, missing, approximate=False, note=note)
    note = ""
    if a.kind == "number":
        approximate = a.edges != b.edges
        before, now = np.array(a.counts[:BINS], np.float64), _rebinned(b, np.array(a.edges))
        effect = float(cdf_gap(before, now))
    else:
        approximate = False
        before, now, note = _aligned(a, b)
        effect = float(share_gap(before, now))
    psi = float(debiased_psi(before, now))
    return SeriesDiff(a.space, a.name, a.kind, effect, psi, missing, approximate, note, unjudged)


def _rebinned(part: SeriesProfile, edges: Floats) -> Floats:
    """The counts of ``part`` in the bins of other ``edges``, shape ``(32,)``.

    Its distribution function is known at its own edges. Between them it rises evenly; where every value is an edge,
    because there are few, it rises at the edges alone.
    """
    counts = np.array(part.counts[:BINS], np.float64)
    own = np.array(part.edges)
    below = np.cumsum(counts)[: len(own)]
    if own[-1] >= part.high:
        at = np.concatenate([[0.0], below])[np.searchsorted(own, edges, side="right")]
    else:
        start, end = min(part.low, own[0]), part.high
        at = np.interp(edges, [start, *own, end], [0.0, *below, counts.sum()])
        at[edges < start] = 0.0
    spread = np.zeros(BINS)
    spread[: len(edges) + 1] = np.diff(np.concatenate([[0.0], at, [counts.sum()]]))
    return spread


def _aligned(a: SeriesProfile, b: SeriesProfile) -> tuple[Floats, Floats, str]:
    """Both counts over all categories that either has, the untold others last; and which came or went."""
    names = list(dict.fromkeys([*a.categories, *b.categories]))
    of_a = dict(zip(a.categories, a.counts, strict=False))
    of_b = dict(zip(b.categories, b.counts, strict=False))
    before = np.array([*(of_a.get(name, 0) for name in names), a.counts[OTHER_BIN]], np.float64)
    now = np.array([*(of_b.get(name, 0) for name in names), b.counts[OTHER_BIN]], np.float64)
    came = [] if a.counts[OTHER_BIN] else [name for name in names if name not in of_a]
    went = [] if b.counts[OTHER_BIN] else [name for name in names if name not in of_b]
    return before, now, "; ".join(_listed("new", came) + _listed("gone", went))


def _listed(word: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _NEW_SHOWN} more" if len(names) > _NEW_SHOWN else ""
    return [f"{word}: {', '.join(names[:_NEW_SHOWN])}{more}"]


def _rank(row: SeriesDiff) -> tuple[int, float, str, str]:
    moved = float(np.nan_to_num(abs(row.missing[1] - row.missing[0])))
    movement = max(float(np.nan_to_num(row.effect)), moved)
    place = 2 if row.unjudged in _NO_DISTRIBUTION else 0 if math.isnan(row.effect) else 1
    return place, -movement, row.space, row.name


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{100 * rate:.3g} %"


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
