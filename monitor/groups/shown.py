"""What is shown of groups: rates with intervals, effects and evidence of one model, and what could not be seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.groups.bill import Price, bill_document
from monitor.groups.effects import effect, told, tolerated
from monitor.groups.planning import SEEN_SECONDS, change, counted
from monitor.groups.questions import BANDS_OF_NUMBERS, QUESTIONS, Kind, Question
from monitor.groups.ranking import log_odds_z
from monitor.groups.visible import Attribute, attributes, counts, group_name, made_of
from monitor.groups.watch import Groups
from monitor.kernels.compare import LESS, MORE
from monitor.kernels.judge import FIRING
from monitor.stats.bounds import anytime, anytime_widening, wald_difference

OUTPUTS_SHOWN = 50
"""Outputs of an attribute that are shown, the strongest first; those that fire are always among them."""
_LN10 = math.log(10.0)
BY_MERIT = (Kind.OPPORTUNITY, Kind.FALSE_FAVOURABLE, Kind.LOSS)
"""What can be told only where outcomes are known of refused people too."""
Array = NDArray[np.float64]


def output_name(kind: Kind, name: str) -> str | None:
    """What an output is called outside; a decision has no name but that it is favourable."""
    return BANDS_OF_NUMBERS.get(kind) or name or None


def _no_price(_model: int, _kind: Kind) -> Price:
    return Price()


def associations(
    groups: Groups, model: int, unidentified: str = "", price_of: Callable[[int, Kind], Price] = _no_price
) -> list[dict[str, Any]]:
    """Every comparison of the model's groups that may be shown, in JSON types, by attribute, the strongest first.

    ``unidentified`` says why decisions cannot be told by merit, where they cannot. ``price_of`` says of a model and a
    kind of question what one person treated otherwise costs.
    """
    if model not in groups.register.of_model:
        return []
    shown: list[dict[str, Any]] = []
    for attribute in attributes(groups, model):
        entries: list[tuple[tuple[bool, float], dict[str, Any]]] = []
        for output in groups.register.of(model).outputs:
            if not (unidentified and groups.register.outputs["kind"][output] in BY_MERIT):
                entries += _of_output(groups, attribute, output, price_of)
        entries.sort(key=lambda entry: (entry[0], entry[1]["output"] or "", entry[1]["group"] or ""))
        places = [i for i, (_, entry) in enumerate(entries) if entry["output"] is not None]
        left_out = set(places[OUTPUTS_SHOWN:])
        shown += [entry for i, (_, entry) in enumerate(entries) if i not in left_out]
        shown += [_not_identified(attribute, kind, unidentified) for kind in BY_MERIT if unidentified]
    return shown


def blind_spots(groups: Groups, model: int, seconds: float, unseen: str = "") -> list[dict[str, Any]]:
    """Groups too small to be shown, or to have a gap seen within thirty days; ``seconds`` is the model's age.

    ``unseen`` says why decisions cannot be told by merit, where they cannot.
    """
    if model not in groups.register.of_model:
        return []
    spots: list[dict[str, Any]] = []
    for attribute in attributes(groups, model):
        for output in groups.register.of(model).outputs:
            kind = Kind(int(groups.register.outputs["kind"][output]))
            question = QUESTIONS[kind]
            if not question.directions or not (question.gap or kind == Kind.DECISION) or (unseen and kind in BY_MERIT):
                continue
            visible = counts(groups, attribute, output)[2]
            if not all(visible):
                spots.append(_hidden(attribute.name, question.detector, visible.count(False)))
            spots += _slow(groups, attribute, output, visible, seconds)
        spots += [_blind(attribute.name, QUESTIONS[kind].detector, None, unseen) for kind in BY_MERIT if unseen]
    return spots


def impact_ratios(groups: Groups) -> list[tuple[int, str, str, float]]:
    """Of every group that may be shown: model row, attribute, group and its present ratio of favourable decisions.

    Intersections are left out: there are many, and each is in the document of its model.
    """
    register, comparer = groups.register, groups.comparer
    comparer.extend()
    tallies = register.tallies
    cell, output = tallies["cell"][: len(tallies)], tallies["output"][: len(tallies)]
    rows = np.flatnonzero((cell >= 0) & (register.outputs["kind"][output] == Kind.DECISION))
    rows = rows[~register.crossed(register.cells["group"][cell[rows]])]
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


def _of_output(
    groups: Groups, attribute: Attribute, output: int, price_of: Callable[[int, Kind], Price]
) -> list[tuple[tuple[bool, float], dict[str, Any]]]:
    """The comparisons of one output, each with what it is ranked by."""
    n, s, visible = counts(groups, attribute, output)
    kind = Kind(int(groups.register.outputs["kind"][output]))
    question = QUESTIONS[kind]
    name = {"detector": question.detector, "attribute": attribute.name}
    rates = _rates(attribute, (n, s), visible, question)
    if not question.directions:
        bare = {**name, "group": None, "of": None, "output": None, "rates": rates, **_UNJUDGED, "state": "not judged"}
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
        of = made_of(groups, attribute.groups[i])
        entry = {**name, "group": attribute.names[i], "of": of, "output": said, "rates": rates, **judged}
        strata, both = strata_of(groups, cell, attribute.groups[i])
        price = price_of(int(groups.register.outputs["model"][output]), kind)
        entry["bill"] = bill_document(groups, attribute, attribute.groups[i], output, strata, both, price)
        entries.append(((not firing, place if kind == Kind.DECISION else -place), entry))
    return entries


_UNJUDGED = dict.fromkeys(("effect", "present", "interval", "snapshot_gap", "evidence_log10", "bill"))


def _beyond(effect: Mapping[str, Any]) -> float:
    """A gap over its tolerance: so those of one attribute are ranked, whatever they are of."""
    return float(effect["value"] or 0.0) / max(float(effect["tolerance"]), 1e-9)


def _rates(
    attribute: Attribute, counts: tuple[Array, Array], visible: list[bool], question: Question
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
        "interval": gap_interval(both, question, direction) if question.gap else ratio_interval(both),
        "snapshot_gap": [question.unit * float(end) for end in snapshot],
        "evidence_log10": _finite(float(state["evidence"][cell]) / _LN10),
        "state": "firing" if state["firing"][cell] == FIRING else "watching",
    }


def sides(groups: Groups, cell: int, group: int) -> tuple[Array, Array, Array, Array]:
    """(n, s) of the rest and of the group, in each stratum, since the first event; shapes ``(strata,)``."""
    na, sa, nb, sb = strata_of(groups, cell, group)[1].T
    return na, sa, nb, sb


def strata_of(groups: Groups, cell: int, group: int) -> tuple[list[int], Array]:
    """The rows of the strata in which a cell has cases, and what :func:`sides` gives of each, ``(strata, 4)``."""
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
    return ordered, np.array([by_stratum[stratum] for stratum in ordered]).reshape(-1, 4)


def ratio_interval(sides: tuple[Array, Array, Array, Array]) -> list[float | None]:
    """Of the ratio of rates, to be looked at at any time: exact for one stratum, asymptotic for several."""
    na, sa, nb, sb = sides
    if len(na) == 1:
        (low_a, low_b), (high_a, high_b) = anytime([sa[0], sb[0]], [na[0], nb[0]], 0.025)
        return [_ratio(float(low_b), float(high_a)), _ratio(float(high_b), float(low_a))]
    size = np.maximum(na + nb, 1.0)
    got, due = float((sb * na / size).sum()), float((sa * nb / size).sum())
    if not (got > 0.0 and due > 0.0):
        return [0.0, None]
    # Greenland and Robins (1985).
    variance = float(((na * nb * (sa + sb) - sa * sb * size) / size**2).sum()) / (got * due)
    reach = math.sqrt(max(variance, 0.0)) * float(anytime_widening(size.sum()))
    return [got / due * math.exp(-reach), got / due * math.exp(reach)]


def gap_interval(sides: tuple[Array, Array, Array, Array], question: Question, direction: int) -> list[float | None]:
    """Of the difference of rates, as :func:`ratio_interval`: exact for one stratum, asymptotic for several."""
    na, sa, nb, sb = sides
    if len(na) == 1:
        (low_a, low_b), (high_a, high_b) = anytime([sa[0], sb[0]], [na[0], nb[0]], 0.025)
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
    groups: Groups, attribute: Attribute, output: int, visible: Sequence[bool], seconds: float
) -> list[dict[str, Any]]:
    """Groups of which the nearest alternative would not be seen within thirty days; intersections are one spot."""
    register = groups.register
    kind, model = Kind(int(register.outputs["kind"][output])), int(register.outputs["model"][output])
    question, tick = QUESTIONS[kind], float(register.models.rows["tick"][model])
    if question.gap:
        seconds = max(seconds - float(register.models.rows["outcome_horizon"][model]), tick)
    crossed = bool(register.attributes["first"][attribute.row] >= 0)
    groups_of = [attribute.groups[i] for i in np.flatnonzero(visible).tolist()]
    compared = np.array([register.cell(group, output) >= 0 for group in groups_of], bool)
    if not (compared.any() or crossed) or not seconds > 0.0 or not groups_of:
        return []
    group, asked = np.array(groups_of, np.int64), np.full(len(groups_of), output, np.int64)
    days = groups.comparer.ticks_to_see(group, asked, np.full(len(group), seconds)) * tick / 86400.0
    needed = counted(register, group, asked).own / seconds * 86400.0 * days
    seen = change(kind, float(register.outputs["tolerance"][output]))
    late = days * 86400.0 > SEEN_SECONDS
    unseen = late | ~compared if crossed else late & compared
    at = np.flatnonzero(unseen).tolist()
    if crossed and at:
        worst = max(at, key=lambda i: float(days[i]))
        why = f"{len(at)} intersections have too few cases to see {seen} within 30 days"
        return [_unseen(_blind(attribute.name, question.detector, None, why), days[worst], needed[worst])]
    why = f"too few cases to see {seen} within 30 days"
    names = dict(zip(attribute.groups, attribute.names, strict=True))
    blind = [_blind(attribute.name, question.detector, names[groups_of[i]], why) for i in at]
    return [_unseen(spot, days[i], needed[i]) for spot, i in zip(blind, at, strict=True)]


def _unseen(spot: dict[str, Any], days: float, cases: float) -> dict[str, Any]:
    return {**spot, "days": _finite(float(days)), "cases_needed": math.ceil(cases) if math.isfinite(cases) else None}


def _not_identified(attribute: Attribute, kind: Kind, why: str) -> dict[str, Any]:
    name = {"detector": QUESTIONS[kind].detector, "attribute": attribute.name, "group": None}
    return {**name, "of": None, "output": None, "rates": [], **_UNJUDGED, "state": "not identified", "why": why}


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
