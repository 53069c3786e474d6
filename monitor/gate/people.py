"""Does the candidate treat groups of people unequally? Each group against the rest, over all cases of the sample."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from monitor.gate.finding import Finding
from monitor.gate.side import Side
from monitor.groups.effects import tolerated
from monitor.groups.questions import QUESTIONS, Kind
from monitor.groups.shown import output_name, sides
from monitor.groups.visible import groups_shown
from monitor.kernels.compare import LESS, MORE
from monitor.stats.fixed import mean_bounds

_ASKED_LATER = (Kind.COVERAGE, Kind.DELAY)
"""What is a matter of time, which a gate does not know."""

Floats = NDArray[np.float64]
Both = tuple[Floats, Floats, Floats, Floats]
Name = tuple[int, str, str, str]


def group_findings(candidate: Side, row: int, before: Side | None, row_before: int | None) -> Iterator[Finding]:
    """Every group that may be shown against the rest, as the daemon would judge it; beside it what was before."""
    were = {} if before is None or row_before is None else {name: both for name, _, both in _cells(before, row_before)}
    for name, tolerance, both in _cells(candidate, row):
        yield from _findings(name, tolerance, both, were.get(name))


def _cells(side: Side, row: int) -> Iterator[tuple[Name, float, Both]]:
    """Kind, output, attribute and group of each comparison, its tolerance, and (n, s) of the rest and of the group."""
    groups = side.fleet.groups
    groups.comparer.extend()
    if row not in groups.register.of_model:
        return
    for output in groups.register.of(row).outputs:
        kind = Kind(int(groups.register.outputs["kind"][output]))
        if not QUESTIONS[kind].directions or kind in _ASKED_LATER:
            continue
        for shown in groups_shown(groups, row, output):
            for i in np.flatnonzero(shown.visible).tolist():
                cell = groups.register.cell(shown.groups[i], output)
                if cell < 0 or shown.n.sum() - shown.n[i] < groups.privacy.smallest_group:
                    continue
                said = output_name(kind, groups.register.output_names[output]) or ""
                tolerance = float(groups.comparer.tolerance(np.array([cell]))[0])
                name = (int(kind), said, shown.attribute, shown.names[i])
                yield name, tolerance, sides(groups, cell, shown.groups[i])


def _findings(name: Name, tolerance: float, both: Both, was: Both | None) -> Iterator[Finding]:
    kind, output, attribute, group = name
    question = QUESTIONS[Kind(kind)]
    na, sa, nb, sb = both
    value, direction = _effect(kind, both)
    if question.gap:
        (direction,) = question.directions
    elif direction not in question.directions:
        return
    edge = tolerated(kind, tolerance, direction)
    rates = float(sa.sum() / max(na.sum(), 1.0)), float(sb.sum() / max(nb.sum(), 1.0))
    what = f"{output}: " if output else ""
    before = math.nan if was is None else _told(kind, was, direction)
    told = question.told(value, direction) if question.gap else value
    yield Finding(
        part="groups",
        detector=question.detector,
        subject=f"{attribute} {group}",
        effect=question.effect,
        value=told,
        tolerance=edge,
        before=before,
        now=told,
        sizes=(int(na.sum()), int(nb.sum())),
        words=f"{what}{question.words or 'rate'} {_percent(rates[1])} in the group, {_percent(rates[0])} in the rest",
        beyond=lambda error: _beyond(question.gap, direction, _bound(kind, both, direction, error), edge),
        bound=lambda error: _bound(kind, both, direction, error),
    )


def _beyond(gap: bool, direction: int, bound: float, edge: float) -> bool:
    """Whether what is certain lies outside what is tolerated."""
    return bound > edge if gap or direction == MORE else bound < edge


def _effect(kind: int, both: Both) -> tuple[float, int]:
    """Ratio of the group's rate to the rest's within strata, or by how much it is below; and the direction."""
    na, sa, nb, sb = both
    size = np.maximum(na + nb, 1.0)
    got, due, weight = float((sb * na / size).sum()), float((sa * nb / size).sum()), float((na * nb / size).sum())
    if QUESTIONS[Kind(kind)].gap:
        gap = (due - got) / max(weight, 1e-9)
        return gap, LESS if gap > 0 else MORE
    ratio = got / due if due > 0.0 else (math.inf if got > 0.0 else 1.0)
    return ratio, MORE if ratio > 1.0 else LESS


def _told(kind: int, both: Both, direction: int) -> float:
    value, _ = _effect(kind, both)
    question = QUESTIONS[Kind(kind)]
    return question.told(value, direction) if question.gap else value


def _bound(kind: int, both: Both, direction: int, error: float) -> float:
    """What the effect is at least (of a ratio below 1: at most), wrong with probability at most ``error``."""
    question = QUESTIONS[Kind(kind)]
    na, sa, nb, sb = both
    if len(na) > 1:
        return _within_strata(kind, both, direction, error)
    (low_a, high_a), (low_b, high_b) = (
        (float(end[0]) for end in mean_bounds(s, n, error / 2.0)) for s, n in ((sa, na), (sb, nb))
    )
    if question.gap:
        return question.told(low_a - high_b if direction == LESS else high_a - low_b, direction)
    if direction == MORE:
        return low_b / high_a if high_a > 0.0 else math.inf
    return high_b / low_a if low_a > 0.0 else math.inf


def _within_strata(kind: int, both: Both, direction: int, error: float) -> float:
    """As :func:`_bound` by Mantel and Haenszel with the variances of Greenland and Robins (1985): for large samples."""
    question, z = QUESTIONS[Kind(kind)], -float(special.ndtri(error))
    na, sa, nb, sb = both
    size = np.maximum(na + nb, 1.0)
    value, _ = _effect(kind, both)
    if question.gap:
        some = (na > 0.0) & (nb > 0.0)
        a, b = sa[some] / na[some], sb[some] / nb[some]
        weight = na[some] * nb[some] / size[some]
        variance = (weight**2 * (a * (1.0 - a) / na[some] + b * (1.0 - b) / nb[some])).sum() / weight.sum() ** 2
        reach = z * math.sqrt(float(variance))
        return question.told(value - reach if direction == LESS else value + reach, direction)
    got, due = float((sb * na / size).sum()), float((sa * nb / size).sum())
    if not (got > 0.0 and due > 0.0):
        return math.inf if direction == LESS else 0.0
    variance = float(((na * nb * (sa + sb) - sa * sb * size) / size**2).sum()) / (got * due)
    reach = math.exp(z * math.sqrt(max(variance, 0.0)))
    return value * reach if direction == LESS else value / reach


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
