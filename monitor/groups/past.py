"""What can be told of groups in a past range? Their rates and gaps then, by periods from which nobody is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.clock import rfc3339
from monitor.groups.effects import effect, told, tolerated
from monitor.groups.periods import Period, month_end, periods, shown_in_all, within
from monitor.groups.privacy import Privacy
from monitor.groups.questions import QUESTIONS, Kind, Question
from monitor.groups.ranking import log_odds_z
from monitor.groups.shown import BY_MERIT, OUTPUTS_SHOWN, gap_interval, output_name, ratio_interval
from monitor.groups.sums import TallySums
from monitor.groups.visible import PARTS, group_name
from monitor.groups.watch import Groups
from monitor.kernels.compare import LESS, MORE
from monitor.stats.bounds import anytime
from monitor.stats.customary import fisher_exact, ratio_to_highest, two_proportion_z

_SETTLED_SECONDS = 3600.0
"""Behind the end of a day until which something of it may still be under way."""
_CUSTOMARY = (Kind.DECISION, Kind.OPPORTUNITY, Kind.FALSE_FAVOURABLE)
"""Of what the customary figures are told: who gets the favourable decision."""

Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]
Day = tuple[float, TallySums]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: what its groups are called outside, and of which people are told apart; both ``(groups,)``."""

    name: str
    groups: list[str]
    distinct: NDArray[np.bool_]
    other: NDArray[np.bool_]
    """Whether a group stands for all that are not told apart: it is never shown itself."""


@dataclass(frozen=True, slots=True)
class Output:
    """What is asked: its kind, its name, what is tolerated in the unit of the comparison, and since when it is counted.

    ``took`` is -inf but for what took the rows of another output.
    """

    kind: Kind
    name: str
    tolerance: float
    took: float


@dataclass(frozen=True, slots=True)
class Tallies:
    """What is counted of a model, ``(m,)`` each, by tally ``row``.

    ``attribute``, ``group`` (of the attribute) and ``output`` are places in lists; ``output`` is -1 where cases alone
    are counted. ``base`` is the row that counts the cases; ``stratum`` is any number; ``judged``: it is compared.
    """

    row: Rows64
    base: Rows64
    attribute: Rows64
    group: Rows64
    output: Rows64
    kind: Rows64
    stratum: Rows64
    judged: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Compared:
    """All that must be known of a model's groups to read their past: copied, so that any thread may."""

    privacy: Privacy
    attributes: list[Attribute]
    outputs: list[Output]
    tallies: Tallies
    horizon: float
    unidentified: str
    """Why decisions cannot be told by merit, where they cannot."""


@dataclass(frozen=True, slots=True)
class Range:
    """From ``since`` to ``until``, as event time has come to ``reached``; seconds."""

    since: float
    until: float
    reached: float

    @property
    def months(self) -> bool:
        """Whether a whole month lies in it: then whole months are told."""
        first = month_end(self.since - 1.0)
        return month_end(first) <= min(self.until, self.reached)


def compared(groups: Groups, model: int, unidentified: str = "") -> Compared:
    """Copy what must be known of the groups of the model in row ``model``, intersections apart."""
    register, models = groups.register, groups.register.models
    own = register.of_model.get(model)
    attributes: list[Attribute] = []
    places: dict[int, tuple[int, int]] = {}
    for row in register.margins(model) if own else ():
        members = sorted(register.groups_of(row), key=lambda group: register.group_names[group])
        places |= {group: (len(attributes), i) for i, group in enumerate(members)}
        named = groups.people.told_apart(members)
        other = register.groups["other"][members] > 0
        attributes.append(
            Attribute(register.attribute_names[row], [group_name(groups, g) for g in members], named, other)
        )
    rows = list(own.outputs) if own else []
    outputs = [
        Output(
            Kind(int(register.outputs["kind"][o])),
            register.output_names[o],
            float(register.outputs["tolerance"][o]),
            took,
        )
        for o, took in zip(rows, groups.crowded.took(rows), strict=True)
    ]
    return Compared(
        groups.privacy,
        attributes,
        outputs,
        _tallies(groups, model, places, rows),
        float(models.rows["outcome_horizon"][model]),
        unidentified,
    )


def _tallies(groups: Groups, model: int, places: Mapping[int, tuple[int, int]], outputs: Sequence[int]) -> Tallies:
    register = groups.register
    t, members = register.tallies, register.members
    row = np.flatnonzero(register.models_of_tallies() == model)
    row = row[~register.crossed(members["group"][t["member"][row]])]
    member = t["member"][row]
    place = np.array([places[group] for group in members["group"][member].tolist()], np.int64).reshape(-1, 2)
    output_place = {output: i for i, output in enumerate(outputs)}
    output = np.array([output_place.get(o, -1) for o in t["output"][row].tolist()], np.int64)
    kind_of = (
        np.argmax(members["base"][member] == t["base"][row][:, None], axis=1) if len(row) else np.zeros(0, np.int64)
    )
    stratum = members["stratum"][member]
    return Tallies(
        row,
        t["base"][row].astype(np.int64),
        place[:, 0],
        place[:, 1],
        output,
        kind_of.astype(np.int64),
        stratum.astype(np.int64),
        register.strata["judged"][stratum] > 0,
    )


def associations(of: Compared, days: Sequence[Day], asked: Range) -> list[dict[str, Any]]:
    """Every comparison that may be shown of the range, in JSON types, by attribute, the strongest first.

    ``days`` (end, sums) are all of the months that the range touches, as far as they are kept.
    """
    past = _Past(of, days, asked)
    shown: list[dict[str, Any]] = []
    for a, attribute in enumerate(of.attributes):
        entries: list[tuple[float, dict[str, Any]]] = []
        for o, output in enumerate(of.outputs):
            if not (of.unidentified and output.kind in BY_MERIT):
                entries += past.entry(a, attribute, o, output)
        entries.sort(key=lambda entry: (-entry[0], entry[1]["output"] or ""))
        shown += [entry for _, entry in entries[:OUTPUTS_SHOWN]]
    return shown


class _Past:
    """The days of a range, cut into periods by attribute and kind."""

    def __init__(self, of: Compared, days: Sequence[Day], asked: Range) -> None:
        self._of, self._days, self._asked = of, days, asked
        self._ends = [end for end, _ in days]
        bases = np.flatnonzero(np.isin(of.tallies.row, of.tallies.base))
        self._bases = bases[np.argsort(of.tallies.row[bases])]
        self._cases = _by_day(days, of.tallies.row[self._bases])
        self._cut: dict[tuple[int, Kind], list[Period]] = {}

    def entry(self, a: int, attribute: Attribute, o: int, output: Output) -> list[tuple[float, dict[str, Any]]]:
        """What is told of one output, with how strong it is; nothing where no period lies within the range."""
        own = within(self._periods(a, output.kind), self._asked.since, self._asked.until)
        if not own:
            return []
        shown = shown_in_all(own, self._of.privacy) & ~attribute.other
        sums = self._sums(a, o, own[0].since, own[-1].until)
        n, s = sums.totals(len(attribute.groups))
        visible = np.flatnonzero(shown & (n > 0.0)).tolist()
        question = QUESTIONS[output.kind]
        strength, entries = 0.0, []
        for i in visible if question.directions else ():
            if n.sum() - n[i] < self._of.privacy.smallest_group:
                continue
            strength = max(strength, abs(float(log_odds_z(s[i], n[i], s.sum() - s[i], n.sum() - n[i]))))
            entries.append({"group": attribute.groups[i], **_against_rest(output, sums.sides(i))})
        rates = _rates(attribute, n, s, visible, question)
        if not rates:
            return []
        return [
            (
                strength,
                {
                    "attribute": attribute.name,
                    "detector": question.detector,
                    "output": output_name(output.kind, output.name),
                    "from": rfc3339(own[0].since),
                    "until": rfc3339(own[-1].until),
                    "hidden": int(((n > 0.0) & ~shown).sum()),
                    "rates": rates,
                    "compared": entries,
                    "customary": self._customary(a, attribute, o, own) if output.kind in _CUSTOMARY else [],
                },
            )
        ]

    def _customary(self, a: int, attribute: Attribute, o: int, own: Sequence[Period]) -> list[dict[str, Any]]:
        """The customary figures at the end of each month of the range, or of all of it where it holds none."""
        spans = [[period] for period in own] if self._asked.months else [own]
        found = []
        for span in spans:
            n, s = self._sums(a, o, span[0].since, span[-1].until).totals(len(attribute.groups))
            shown = shown_in_all(span, self._of.privacy) & ~attribute.other
            visible = np.flatnonzero(shown & (n > 0.0))
            if len(visible):
                figures = _against_highest(attribute, n, s, visible)
                found.append({"date": rfc3339(span[-1].until), "from": rfc3339(span[0].since), "groups": figures})
        return found

    def _periods(self, a: int, kind: Kind) -> list[Period]:
        cut = self._cut.get((a, kind))
        if cut is None:
            sizes = self._sizes(a, kind)
            if kind in PARTS:
                # What all of a group got is known, and what one part did: the other part could be computed from them.
                sizes = np.minimum(*(self._sizes(a, part) for part in PARTS))
            late = self._of.horizon if QUESTIONS[kind].gap or not QUESTIONS[kind].directions else 0.0
            settled = self._asked.reached - late - _SETTLED_SECONDS
            n = int(np.searchsorted(self._ends, settled, side="right"))
            attribute, privacy = self._of.attributes[a], self._of.privacy
            cut = periods(self._ends[:n], sizes[:n], attribute.distinct, privacy, months=self._asked.months)
            if cut and self._asked.months and month_end(cut[-1].since) > settled:
                cut.pop()
            self._cut[a, kind] = cut
        return cut

    def _sizes(self, a: int, kind: Kind) -> Array:
        """Cases of each group by day, ``(days, groups)``."""
        t, bases = self._of.tallies, self._bases
        own = np.flatnonzero((t.attribute[bases] == a) & (t.kind[bases] == kind))
        sizes = np.zeros((len(self._ends), len(self._of.attributes[a].groups)))
        np.add.at(sizes.T, t.group[bases[own]], self._cases[:, own].T)
        return sizes

    def _sums(self, a: int, o: int, since: float, until: float) -> _Sums:
        """Cases and outcomes of one output from ``since`` to ``until``, by tally."""
        t, since = self._of.tallies, max(since, self._of.outputs[o].took)
        own = np.flatnonzero((t.attribute == a) & (t.output == o))
        days = np.flatnonzero([since < end <= until for end in self._ends])
        cases = self._cases[days].sum(axis=0)[np.searchsorted(t.row[self._bases], t.base[own])]
        order = np.argsort(t.row[own])
        s = np.zeros(len(own))
        for i in days.tolist():
            s[order] += _some(self._days[i][1], t.row[own][order])[1]
        return _Sums(t.group[own], t.stratum[own], t.judged[own], cases, s)


@dataclass(frozen=True, slots=True)
class _Sums:
    """``n`` cases and the sums ``s`` of one output, by group and stratum; ``(m,)`` each."""

    group: Rows64
    stratum: Rows64
    judged: NDArray[np.bool_]
    n: Array
    s: Array

    def totals(self, n_groups: int) -> tuple[Array, Array]:
        """Of each group, ``(groups,)``."""
        n, s = (np.bincount(self.group, x, n_groups).astype(np.float64) for x in (self.n, self.s))
        return n, s

    def sides(self, group: int) -> tuple[Array, Array, Array, Array]:
        """(n, s) of the rest and of ``group`` in each stratum that is judged; shapes ``(strata,)``."""
        own = self.judged
        strata, place = np.unique(self.stratum[own], return_inverse=True)
        mine = self.group[own] == group
        sums = [np.bincount(place[side], x[own][side], len(strata)) for side in (~mine, mine) for x in (self.n, self.s)]
        na, sa, nb, sb = (np.asarray(x, np.float64) for x in sums)
        return na, sa, nb, sb


def _by_day(days: Sequence[Day], rows: Rows64) -> Array:
    """Cases of tallies ``rows`` (sorted) by day, ``(days, k)``."""
    cases = np.zeros((len(days), len(rows)))
    for i, (_, sums) in enumerate(days):
        cases[i] = _some(sums, rows)[0]
    return cases


def _some(sums: TallySums, rows: Rows64) -> tuple[Array, Array]:
    """``n`` and ``s`` of tallies ``rows`` (sorted), 0 where they were not counted."""
    n, s = np.zeros(len(rows)), np.zeros(len(rows))
    if len(rows):
        place = np.minimum(np.searchsorted(rows, sums.row), len(rows) - 1)
        met = rows[place] == sums.row
        n[place[met]], s[place[met]] = sums.n[met], sums.s[met]
    return n, s


def _rates(attribute: Attribute, n: Array, s: Array, visible: list[int], question: Question) -> list[dict[str, Any]]:
    low, high = (question.origin + question.unit * end for end in anytime(s, n))
    total = question.origin * n + question.unit * s
    return [
        {
            "group": attribute.groups[i],
            "n": int(n[i]),
            "favourable": round(float(total[i]), 6),
            "rate": float(total[i] / n[i]),
            "low": float(low[i]),
            "high": float(high[i]),
        }
        for i in visible
    ]


def _against_rest(output: Output, sides: tuple[Array, Array, Array, Array]) -> dict[str, Any]:
    """The effect against all others within strata, what is tolerated, and an interval."""
    na, sa, nb, sb = sides
    question, kind = QUESTIONS[output.kind], np.array([output.kind], np.uint8)
    size = np.maximum(na + nb, 1.0)
    pooled = np.array([[(sb * na / size).sum(), (sa * nb / size).sum(), (na * nb / size).sum()]])
    value = float(effect(kind, pooled)[0])
    direction = MORE if value > 1.0 and MORE in question.directions else LESS
    if question.gap:
        (direction,) = question.directions
    edge = tolerated(output.kind, output.tolerance, direction)
    value = told(output.kind, value, direction)
    interval = gap_interval(sides, question, direction) if question.gap else ratio_interval(sides)
    return {
        "effect": {"name": question.effect, "value": value if math.isfinite(value) else None, "tolerance": edge},
        "interval": interval,
    }


def _against_highest(attribute: Attribute, n: Array, s: Array, visible: Rows64) -> list[dict[str, Any]]:
    rates = s[visible] / n[visible]
    ratios, best = ratio_to_highest(rates), int(visible[int(np.argmax(rates))])
    found = []
    for i, ratio in zip(visible.tolist(), ratios.tolist(), strict=True):
        z = two_proportion_z(float(s[i]), float(n[i]), float(s[best]), float(n[best]))
        tables = (round(float(s[i])), round(float(n[i])), round(float(s[best])), round(float(n[best])))
        alone = i == best
        found.append(
            {
                "group": attribute.groups[i],
                "n": int(n[i]),
                "share": float(n[i] / n.sum()),
                "rate": float(s[i] / n[i]),
                "ratio_to_highest": ratio if math.isfinite(ratio) else None,
                "z": None if alone or math.isnan(z) else z,
                "fisher_p": None if alone else fisher_exact(*tables),
            }
        )
    return found
