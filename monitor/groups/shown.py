"""What is shown of groups: rates with intervals, effects and evidence of one model, and what could not be seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.groups.comparing import effect, told, tolerated
from monitor.groups.questions import BANDS_OF_NUMBERS, BEYOND, LESS, MORE, NEXT, QUESTIONS, Kind, Question
from monitor.groups.ranking import log_odds_z
from monitor.groups.watch import Groups
from monitor.kernels.judge import FIRING
from monitor.stats.bounds import anytime, anytime_widening, wald_difference
from monitor.stats.dispersion import tempering
from monitor.stats.evidence import project_difference, project_ratio
from monitor.stats.power import ticks_to_alarm_two_sample

OUTPUTS_SHOWN = 50
"""Outputs of an attribute that are shown, the strongest first; those that fire are always among them."""
_BLIND_AFTER_SECONDS = 30 * 86400.0
_LN10 = math.log(10.0)
_BY_MERIT = (Kind.OPPORTUNITY, Kind.FALSE_FAVOURABLE, Kind.LOSS)
"""What can be told only where outcomes are known of refused people too."""
_PARTS = (Kind.OPPORTUNITY, Kind.FALSE_FAVOURABLE)
"""The parts into which outcomes divide the decisions on a group."""

Array = NDArray[np.float64]


@dataclass(slots=True)
class _Attribute:
    """One attribute of a model: its groups' rows, and what they are called outside."""

    name: str
    groups: list[int]
    names: list[str]


def output_name(kind: Kind, name: str) -> str | None:
    """What an output is called outside; a decision has no name but that it is favourable."""
    return BANDS_OF_NUMBERS.get(kind) or name or None


def associations(groups: Groups, model: int, unidentified: str = "") -> list[dict[str, Any]]:
    """Every comparison of the model's groups that may be shown, in JSON types, by attribute, the strongest first.

    ``unidentified`` says why decisions cannot be told by merit, where they cannot.
    """
    if model not in groups.register.of_model:
        return []
    shown: list[dict[str, Any]] = []
    for attribute in _attributes(groups, model):
        entries: list[tuple[tuple[bool, float], dict[str, Any]]] = []
        for output in groups.register.of(model).outputs:
            if not (unidentified and groups.register.outputs["kind"][output] in _BY_MERIT):
                entries += _of_output(groups, attribute, output)
        entries.sort(key=lambda entry: (entry[0], entry[1]["output"] or "", entry[1]["group"] or ""))
        places = [i for i, (_, entry) in enumerate(entries) if entry["output"] is not None]
        left_out = set(places[OUTPUTS_SHOWN:])
        shown += [entry for i, (_, entry) in enumerate(entries) if i not in left_out]
        shown += [_not_identified(attribute, kind, unidentified) for kind in _BY_MERIT if unidentified]
    return shown


def blind_spots(groups: Groups, model: int, seconds: float, unseen: str = "") -> list[dict[str, Any]]:
    """Groups too small to be shown, or to have a gap seen within thirty days; ``seconds`` is the model's age.

    ``unseen`` says why decisions cannot be told by merit, where they cannot.
    """
    if model not in groups.register.of_model:
        return []
    spots: list[dict[str, Any]] = []
    for attribute in _attributes(groups, model):
        for output in groups.register.of(model).outputs:
            kind = Kind(int(groups.register.outputs["kind"][output]))
            question = QUESTIONS[kind]
            if not question.directions or not (question.gap or kind == Kind.DECISION) or (unseen and kind in _BY_MERIT):
                continue
            n, s, visible = _counts(groups, attribute, output)
            if not all(visible):
                spots.append(_hidden(attribute.name, question.detector, visible.count(False)))
            spots += _slow(groups, attribute, output, (n, s, visible), seconds)
        spots += [_blind(attribute.name, QUESTIONS[kind].detector, None, unseen) for kind in _BY_MERIT if unseen]
    return spots


def impact_ratios(groups: Groups) -> list[tuple[int, str, str, float]]:
    """Of every group that may be shown: model row, attribute, group and its present ratio of favourable decisions."""
    register, comparer = groups.register, groups.comparer
    comparer.extend()
    tallies = register.tallies
    cell, output = tallies["cell"][: len(tallies)], tallies["output"][: len(tallies)]
    rows = np.flatnonzero((cell >= 0) & (register.outputs["kind"][output] == Kind.DECISION))
    n = np.bincount(cell[rows], weights=tallies["total"][tallies["base"][rows], 0], minlength=len(register.cells))
    cells = np.unique(cell[rows])
    within = comparer.state["recent_within"][cells]
    value = effect(comparer.kind(cells), within)
    group = register.cells["group"][cells]
    attribute = register.groups["attribute"][group]
    order = np.lexsort((group, attribute))
    ratios: list[tuple[int, str, str, float]] = []
    for places in np.split(order, np.flatnonzero(np.diff(attribute[order])) + 1) if len(order) else ():
        of = int(attribute[places[0]])
        name, model = register.attribute_names[of], int(register.attributes["model"][of])
        sizes = groups.people.few(group[places], n[cells[places]])
        for place, seen in zip(places.tolist(), groups.privacy.shown(sizes.tolist()), strict=True):
            if seen and within[place, 2] > 0.0 and math.isfinite(value[place]):
                ratios.append((model, name, group_name(groups, int(group[place])), float(value[place])))
    return ratios


def group_name(groups: Groups, group: int) -> str:
    """What a group is called outside: a code, or its value where the policy lets values out."""
    register = groups.register
    attribute = int(register.groups["attribute"][group])
    value = register.group_names[group]
    if register.models.items[int(register.attributes["model"][attribute])].policy.include_group_values:
        return value
    return groups.privacy.code(register.attribute_names[attribute], value)


@dataclass(slots=True)
class Shown:
    """The groups of one attribute as they stand by one output: rows, names, cases, and which may be spoken of."""

    attribute: str
    groups: list[int]
    names: list[str]
    n: Array
    visible: list[bool]


def groups_shown(groups: Groups, model: int, output: int) -> list[Shown]:
    """Who may be spoken of by ``output``, an attribute at a time."""
    found = []
    for of in _attributes(groups, model):
        n, _, visible = _counts(groups, of, output)
        found.append(Shown(of.name, of.groups, of.names, n, visible))
    return found


def _attributes(groups: Groups, model: int) -> list[_Attribute]:
    register = groups.register
    found = []
    for row in register.of(model).attributes:
        name = register.attribute_names[row]
        own = sorted(register.groups_of(row), key=lambda group: register.group_names[group])
        found.append(_Attribute(name, own, [group_name(groups, group) for group in own]))
    return sorted(found, key=lambda attribute: attribute.name)


def _counts(groups: Groups, attribute: _Attribute, output: int) -> tuple[Array, Array, list[bool]]:
    """Cases of each group and those with the output since the first event, and which groups may be shown."""
    register = groups.register
    totals = _totals(groups, attribute, output)
    sizes = totals[:, 0]
    kind, model = Kind(int(register.outputs["kind"][output])), int(register.outputs["model"][output])
    if kind in _PARTS:
        # What all of a group got is known, and what one part did: the other part could be computed from them.
        for part in _PARTS:
            found = register.find_output(model, part, "")
            other_part = _totals(groups, attribute, found)[:, 0] if found >= 0 else np.zeros(len(sizes))
            sizes = np.minimum(sizes, other_part)
    sizes = groups.people.few(np.array(attribute.groups, np.int64), sizes)
    visible = groups.privacy.shown(sizes.tolist())
    other = register.groups["other"][attribute.groups]
    return totals[:, 0], totals[:, 1], [seen and not hidden for seen, hidden in zip(visible, other, strict=True)]


def _totals(groups: Groups, attribute: _Attribute, output: int) -> Array:
    """``n`` and ``s`` of each group, ``(groups, 2)``."""
    return np.array([groups.register.totals(group, output) for group in attribute.groups]).reshape(-1, 2)


def _of_output(groups: Groups, attribute: _Attribute, output: int) -> list[tuple[tuple[bool, float], dict[str, Any]]]:
    """The comparisons of one output, each with what it is ranked by."""
    n, s, visible = _counts(groups, attribute, output)
    kind = Kind(int(groups.register.outputs["kind"][output]))
    question = QUESTIONS[kind]
    name = {"detector": question.detector, "attribute": attribute.name}
    rates = _rates(attribute, (n, s), visible, question)
    if not question.directions:
        bare = {**name, "group": None, "output": None, "rates": rates, **_UNJUDGED, "state": "not judged"}
        return [((True, 0.0), bare)] if rates else []
    entries = []
    for i in np.flatnonzero(visible).tolist():
        cell = groups.register.cell(attribute.groups[i], output)
        rest = float(n.sum() - n[i])
        if cell < 0 or rest < groups.privacy.smallest_group:
            continue
        firing = bool(groups.comparer.state["firing"][cell] == FIRING)
        judged = _judged(groups, cell, attribute.groups[i])
        place = _beyond(judged["effect"]) if question.gap else 0.0
        if not question.gap:
            place = strength = float(log_odds_z(s[i], n[i], s.sum() - s[i], rest))
            # Of an output the group is told that gets it more; of a decision all are.
            if kind != Kind.DECISION and strength <= 0.0 and not firing:
                continue
        said = output_name(kind, groups.register.output_names[output])
        entry = {**name, "group": attribute.names[i], "output": said, "rates": rates, **judged}
        entries.append(((not firing, place if kind == Kind.DECISION else -place), entry))
    return entries


_UNJUDGED = dict.fromkeys(("effect", "present", "interval", "snapshot_gap", "evidence_log10"))


def _beyond(effect: Mapping[str, Any]) -> float:
    """A gap over its tolerance: so those of one attribute are ranked, whatever they are of."""
    return float(effect["value"] or 0.0) / max(float(effect["tolerance"]), 1e-9)


def _rates(
    attribute: _Attribute, counts: tuple[Array, Array], visible: list[bool], question: Question
) -> list[dict[str, Any]]:
    """Means of groups, in the unit of the question, with intervals; ``favourable`` is the sum."""
    n, s = counts
    low, high = (question.origin + question.unit * end for end in anytime(s, n))
    total = question.origin * n + question.unit * s
    return [
        {
            "group": attribute.names[i],
            "n": int(n[i]),
            "favourable": round(float(total[i]), 6),
            "rate": float(total[i] / max(n[i], 1.0)),
            "low": float(low[i]),
            "high": float(high[i]),
        }
        for i in np.flatnonzero(visible).tolist()
    ]


def _judged(groups: Groups, cell: int, group: int) -> dict[str, Any]:
    """Effect, interval, evidence and state of one cell."""
    state, at = groups.comparer.state, np.array([cell])
    kind = groups.comparer.kind(at)
    asked, question = int(kind[0]), QUESTIONS[Kind(int(kind[0]))]
    both = sides(groups, cell, group)
    na, sa, nb, sb = both
    size = np.maximum(na + nb, 1.0)
    within = np.array([[(sb * na / size).sum(), (sa * nb / size).sum(), (na * nb / size).sum()]])
    value = float(effect(kind, within)[0])
    direction = MORE if value > 1.0 and MORE in question.directions else LESS
    if question.gap:
        (direction,) = question.directions
    edge = tolerated(asked, float(groups.comparer.tolerance(at)[0]), direction)
    snapshot = wald_difference(sb.sum(), nb.sum(), sa.sum(), na.sum())
    return {
        "effect": {"name": question.effect, "value": _finite(told(asked, value, direction)), "tolerance": edge},
        "present": _finite(told(asked, _present(groups, cell), direction)),
        "interval": _gap_interval(both, question, direction) if question.gap else _interval(both),
        "snapshot_gap": [question.unit * float(end) for end in snapshot],
        "evidence_log10": _finite(float(state["evidence"][cell]) / _LN10),
        "state": "firing" if state["firing"][cell] == FIRING else "watching",
    }


def sides(groups: Groups, cell: int, group: int) -> tuple[Array, Array, Array, Array]:
    """(n, s) of the rest and of the group, in each stratum, since the first event; shapes ``(strata,)``."""
    register = groups.register
    output = int(register.cells["output"][cell])
    attribute = int(register.groups["attribute"][group])
    by_stratum: dict[int, list[float]] = {}
    for other in register.groups_of(attribute):
        rows = register.tallies_of(other, output)
        strata = register.members["stratum"][register.tallies["member"][rows]].tolist()
        n = register.tallies["total"][register.tallies["base"][rows], 0].tolist()
        s = register.tallies["total"][rows, 1].tolist()
        for stratum, cases, sum_ in zip(strata, n, s, strict=True):
            if not register.strata["judged"][stratum]:
                continue
            sums = by_stratum.setdefault(stratum, [0.0] * 4)
            first = 2 if other == group else 0
            sums[first] += cases
            sums[first + 1] += sum_
    ordered = sorted(by_stratum, key=lambda stratum: int(register.strata["key"][stratum]))
    na, sa, nb, sb = np.array([by_stratum[stratum] for stratum in ordered]).reshape(-1, 4).T
    return na, sa, nb, sb


def _interval(sides: tuple[Array, Array, Array, Array]) -> list[float | None]:
    """Of the ratio of rates, to be looked at at any time: exact for one stratum, asymptotic for several."""
    na, sa, nb, sb = sides
    if len(na) == 1:
        (low_a, high_a), (low_b, high_b) = (anytime(s[0], n[0], 0.025) for s, n in ((sa, na), (sb, nb)))
        return [_ratio(float(low_b), float(high_a)), _ratio(float(high_b), float(low_a))]
    size = np.maximum(na + nb, 1.0)
    got, due = float((sb * na / size).sum()), float((sa * nb / size).sum())
    if not (got > 0.0 and due > 0.0):
        return [0.0, None]
    # Greenland and Robins (1985).
    variance = float(((na * nb * (sa + sb) - sa * sb * size) / size**2).sum()) / (got * due)
    reach = math.sqrt(max(variance, 0.0)) * float(anytime_widening(size.sum()))
    return [got / due * math.exp(-reach), got / due * math.exp(reach)]


def _gap_interval(sides: tuple[Array, Array, Array, Array], question: Question, direction: int) -> list[float | None]:
    """Of the difference of rates, as :func:`_interval`: exact for one stratum, asymptotic for several."""
    na, sa, nb, sb = sides
    if len(na) == 1:
        (low_a, high_a), (low_b, high_b) = (anytime(s[0], n[0], 0.025) for s, n in ((sa, na), (sb, nb)))
        ends = float(low_a - high_b), float(high_a - low_b)
    else:
        some = (na > 0.0) & (nb > 0.0)
        na, sa, nb, sb = (x[some] for x in (na, sa, nb, sb))
        weight = na * nb / np.maximum(na + nb, 1.0)
        if not weight.sum() > 0.0:
            return [None, None]
        a, b = sa / na, sb / nb
        # Greenland and Robins (1985), the rates of each stratum on their own.
        variance = float((weight**2 * (a * (1.0 - a) / na + b * (1.0 - b) / nb)).sum()) / float(weight.sum()) ** 2
        middle = float((weight * (a - b)).sum() / weight.sum())
        reach = math.sqrt(variance) * float(anytime_widening((na + nb).sum()))
        ends = middle - reach, middle + reach
    low, high = sorted(question.told(end, direction) for end in ends)
    return [low, high]


def _slow(
    groups: Groups, attribute: _Attribute, output: int, counts: tuple[Array, Array, list[bool]], seconds: float
) -> list[dict[str, Any]]:
    """Groups of which the nearest alternative would not be seen within thirty days."""
    n, s, visible = counts
    register, comparer = groups.register, groups.comparer
    kind, model = Kind(int(register.outputs["kind"][output])), int(register.outputs["model"][output])
    question = QUESTIONS[kind]
    if question.gap:
        seconds -= float(register.models.rows["outcome_horizon"][model])
    tick = float(register.models.rows["tick"][model])
    seconds = max(seconds, tick) if question.gap else seconds
    spots: list[dict[str, Any]] = []
    for i in np.flatnonzero(visible).tolist():
        cell = register.cell(attribute.groups[i], output)
        if cell < 0 or not seconds > 0.0:
            continue
        at = np.array([cell])
        nb, na = float(n[i]) / seconds * tick, float(n.sum() - n[i]) / seconds * tick
        bets, change = _nearest(kind, float(comparer.tolerance(at)[0]), float(s.sum() / max(n.sum(), 1.0)), na, nb)
        state = comparer.state
        eta = tempering(state["scatter"][at], state["scatter_weight"][at], state["scatter_ticks"][at])
        log_budget = np.log(np.maximum(comparer.allowance(at), 1e-300))
        ticks = float(ticks_to_alarm_two_sample(na, nb, *bets, log_budget, eta)[0])
        if ticks * tick > _BLIND_AFTER_SECONDS:
            spots.append(
                {
                    **_blind(
                        attribute.name,
                        question.detector,
                        attribute.names[i],
                        f"too few cases to see {change} within 30 days",
                    ),
                    "days": _finite(ticks * tick / 86400.0),
                    "cases_needed": math.ceil(ticks * nb) if math.isfinite(ticks) else None,
                }
            )
    return spots


def _nearest(
    kind: Kind, tolerance: float, level: float, na: float, nb: float
) -> tuple[tuple[float, float, float, float], str]:
    """Rates of the alternative that plans speak of, about ``level``, their projections on the null, and it in words."""
    question, share = QUESTIONS[kind], nb / max(na + nb, 1e-12)
    level = float(np.clip(level, 1e-4, 0.95))
    if question.gap:
        gap = max(tolerance + BEYOND[NEXT], question.steps[NEXT])
        if MORE in question.directions:
            na, nb, share = nb, na, 1.0 - share
        a1 = min(max(level + share * gap, gap), 0.985)
        b1 = max(a1 - gap, 0.015)
        a0, b0 = project_difference(a1, b1, na, nb, tolerance)
        found, words = (a1, b1, float(a0), float(b0)), f"a gap of {gap * question.unit:.2g}"
        return (found if MORE not in question.directions else (b1, a1, float(b0), float(a0))), words
    ratio = tolerance * question.steps[NEXT]
    a1 = min(level / (1.0 - share + share * ratio), 0.97)
    a0, b0 = project_ratio(a1, ratio * a1, na, nb, tolerance)
    return (a1, ratio * a1, float(a0), float(b0)), f"a ratio of {ratio:.2g}"


def _not_identified(attribute: _Attribute, kind: Kind, why: str) -> dict[str, Any]:
    name = {"detector": QUESTIONS[kind].detector, "attribute": attribute.name, "group": None, "output": None}
    return {**name, "rates": [], **_UNJUDGED, "state": "not identified", "why": why}


def _blind(attribute: str, detector: str, group: str | None, why: str) -> dict[str, Any]:
    return {"feature": None, "detector": detector, "attribute": attribute, "group": group, "why": why}


def _hidden(attribute: str, detector: str, n: int) -> dict[str, Any]:
    return _blind(
        attribute, detector, None, f"{n} groups are too small to be shown, or could be computed from those that are"
    )


def _present(groups: Groups, cell: int) -> float:
    """The effect of a cell as it is now: of its last batches, fading."""
    at = np.array([cell])
    state = groups.comparer.state
    if cell >= len(state) or not state["recent_within"][cell, 2] > 0.0:
        return math.nan
    return float(effect(groups.comparer.kind(at), state["recent_within"][at])[0])


def _ratio(a: float, b: float) -> float | None:
    return a / b if b > 0.0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
