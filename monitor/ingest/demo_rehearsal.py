"""Would faults in a model's traffic, or in what a group gets, be told? The demo's planner plays them some times before.

Sums of ticks are drawn as the fleet's laws and the faults have them, some lives of each model that is hit, and the
rooms that judge traffic and groups judge them under the budget of the whole fleet. The chance to be told is the share
of the lives in which it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import SHARES, Models
from monitor.fleet import Fleet
from monitor.groups.comparing import CROSSED_WEIGHT, Comparer
from monitor.groups.questions import Kind
from monitor.groups.register import Limits, Register
from monitor.groups.sums import TallySums
from monitor.ingest.demo import DemoFleet
from monitor.ingest.demo_faults import SILENT, VOLUME, Fault, FaultKind
from monitor.ingest.demo_laws import ATTRIBUTES, STEP_SECONDS, TAGS, Floats, Role
from monitor.ingest.demo_people import OUTCOME_HORIZON
from monitor.kernels.hashing import hash64
from monitor.traffic import watch

LIVES = 20
"""So many of each fault."""
_TAG_MAX = 0.95
_CASES = 2000
_ALERTS = {"silence": SILENT, "volume": VOLUME}
_LABELS = 2
_ASKED = {
    FaultKind.DISPARATE_IMPACT: Kind.DECISION,
    FaultKind.UNWARRANTED_ASSOCIATION: Kind.TAG,
    FaultKind.UNEQUAL_ERRORS: Kind.OPPORTUNITY,
    FaultKind.LABEL_GAP: Kind.COVERAGE,
}
_OF_DECISIONS = (Kind.DECISION, Kind.OPPORTUNITY, Kind.FALSE_FAVOURABLE, Kind.LOSS, Kind.COVERAGE, Kind.DELAY)

Indices = NDArray[np.int64]


def traffic(demo: DemoFleet, faults: Sequence[Fault], scratch: Fleet, cells: float) -> list[float]:
    """The chance of each of ``faults`` in traffic; a model has ``cells`` more that the same share pays for."""
    if not faults:
        return []
    models = lives(demo, faults, scratch)
    models.rows["n_cells"][: len(models), SHARES.index(watch.SHARE)] = round(cells)
    fleet: dict[str, float] = {watch.SHARE: round((cells + len(watch.CELLS)) * len(demo.models))}
    room = watch.Traffic(models, scratch.judge.budget, fleet)
    rng = np.random.default_rng(1)
    counts = rng.poisson(means(demo, faults))
    told = np.zeros(len(models), bool)
    tick = tick_of(models)
    ends = demo.start + STEP_SECONDS * np.arange(1, len(counts) + 1)
    for end, came in zip(ends.tolist(), counts, strict=True):
        for watched in room.pass_time(end, through=False, silence_too=True):
            for alarm in watched.alarms:
                fault = faults[alarm.model // LIVES]
                told[alarm.model] |= _ALERTS[alarm.detector] in fault.alertnames and within(
                    fault, alarm.fired_time, tick
                )
        some = np.flatnonzero(came)
        room.count(some, came[some], end, np.zeros(len(some), bool))
    return chances(told)


def groups(demo: DemoFleet, faults: Sequence[Fault], scratch: Fleet) -> list[float]:
    """The chance of each of ``faults`` in what a group gets."""
    if not faults:
        return []
    models = lives(demo, faults, scratch)
    register = Register(models, Limits())
    comparer = Comparer(models, register, scratch.judge.budget, scratch.groups.comparer.smallest_group)
    played = [_Life.of(demo, faults[row // LIVES], register, row) for row in range(len(models))]
    comparer.extend()
    own = [_cells(demo.models[demo.row(fault.model)].role) for fault in faults]
    comparer.n_of_model = np.repeat(own, LIVES)
    comparer.n_cells = sum(_cells(model.role) for model in demo.models)
    rng = np.random.default_rng(2)
    struck = np.array([life.struck for life in played])
    told = np.zeros(len(played), bool)
    bases, outputs, share, rate, spoiled = (np.concatenate([getattr(life, name) for life in played]) for name in _SIDES)
    of = np.repeat(np.arange(len(played)), [len(life.share) for life in played])
    began, ended = (np.repeat([getattr(f, name) for f in faults], LIVES)[of] for name in ("began", "ended"))
    tick = tick_of(models)
    for starts, mean in by_tick(demo, faults, tick):
        n = rng.poisson(mean[:, of] * share)
        s = rng.binomial(n, np.where((began <= starts) & (starts < ended), spoiled, rate))
        compared = comparer.judge(starts[0, 0] + tick, _sums(bases, outputs, n.sum(axis=0), s.sum(axis=0)))
        for alarm in compared.alarms:
            row = int(register.outputs["model"][register.cells["output"][alarm.cell]])
            right = int(register.cells["group"][alarm.cell]) == struck[row]
            told[row] |= right and within(faults[row // LIVES], alarm.fired_time + played[row].late, tick)
    return chances(told)


@dataclass(slots=True)
class _Life:
    """One life of a model: the rows of its tallies by group, how many people are of each, and what they get.

    ``struck`` is the row of the group that the fault hits; ``spoiled`` are the rates under it; what outcomes say is
    said ``late`` by so many seconds.
    """

    bases: Indices
    outputs: Indices
    share: Floats
    rate: Floats
    spoiled: Floats
    struck: int
    late: float

    @classmethod
    def of(cls, demo: DemoFleet, fault: Fault, register: Register, row: int) -> _Life:
        """The life of model ``row`` of ``register``."""
        name = fault.attribute or ""
        kind = _ASKED[fault.kind]
        output = register.output(row, kind, fault.output or "", -np.inf)
        attribute, stratum = register.attribute(row, name), register.stratum(row, 0)
        found = [register.group(attribute, group, hash64(group.encode())) for group in ATTRIBUTES[name]]
        members = [register.member(group, stratum) for group in found]
        hit = np.array([group == fault.group for group in ATTRIBUTES[name]])
        part, usual = _usual(demo, fault)
        kept = 1.0 - fault.size if kind in (Kind.OPPORTUNITY, Kind.COVERAGE) else fault.size
        return cls(
            bases=register.bases(np.array(members, np.int64), kind),
            outputs=np.array([int(register.tallies_of(group, output)[0]) for group in found], np.int64),
            share=part * np.array(list(ATTRIBUTES[name].values())),
            rate=np.full(len(found), usual),
            spoiled=np.where(hit, min(kept * usual, max(usual, _TAG_MAX)), usual),
            struck=found[int(hit.argmax())],
            late=OUTCOME_HORIZON if kind in (Kind.OPPORTUNITY, Kind.COVERAGE) else 0.0,
        )


_SIDES = ("bases", "outputs", "share", "rate", "spoiled")


def _sums(bases: Indices, outputs: Indices, n: Indices, s: Indices) -> TallySums:
    """A tick's sums: cases in ``bases``, of whom those in ``outputs`` got it; they may be the same tallies."""
    rows, place = np.unique(np.concatenate([bases, outputs]), return_inverse=True)
    cases, got = (np.zeros(len(rows)) for _ in range(2))
    cases[place[: len(bases)]] = n
    got[place[len(bases) :]] = s
    some = cases + got > 0
    return TallySums(rows[some], cases[some], got[some])


def lives(demo: DemoFleet, faults: Sequence[Fault], scratch: Fleet) -> Models:
    """Some lives of the model of each fault, one after the other, under its policy."""
    models = Models(LIVES * len(faults))
    for fault in faults:
        policy = scratch.discovery.policy_of(fault.model)
        for _ in range(LIVES):
            name = f"{fault.model} {len(models)}"
            models.add(name, hash64(name.encode()), policy, demo.start)
    return models


def means(demo: DemoFleet, faults: Sequence[Fault]) -> Floats:
    """Expected cases by step and life."""
    of_faults: Floats = demo.means()[:, [demo.row(fault.model) for fault in faults]]
    return np.repeat(of_faults, LIVES, axis=1)


def by_tick(demo: DemoFleet, faults: Sequence[Fault], tick: float) -> Iterator[tuple[Floats, Floats]]:
    """The steps of each tick: when they begin, shape ``(steps, 1)``, and what :func:`means` says of them."""
    mean, steps = means(demo, faults), max(round(tick / STEP_SECONDS), 1)
    starts = np.arange(demo.start, demo.end, STEP_SECONDS)[:, None]
    for first in range(0, len(mean), steps):
        yield starts[first : first + steps], mean[first : first + steps]


def tick_of(models: Models) -> float:
    """Seconds of a tick: of a demo's models all have the same."""
    return float(models.rows["tick"][0])


def within(fault: Fault, time: float, tick: float) -> bool:
    """Whether what is told at ``time`` is told before the tick is over in which the fault ends."""
    return fault.began <= time < fault.ended + tick


def chances(told: NDArray[np.bool_]) -> list[float]:
    """Of each fault the share of lives in which it was told."""
    shares: list[float] = told.reshape(-1, LIVES).mean(axis=1).tolist()
    return shares


def _usual(demo: DemoFleet, fault: Fault) -> tuple[float, float]:
    """Of which part of its model's cases the fault's question is asked, and how often the answer is yes."""
    at = np.full(_CASES, demo.start)
    drawn = demo.press.draw(np.full(_CASES, demo.row(fault.model)), at, np.random.default_rng(3))
    favoured, merits = drawn.labels == 0, drawn.people.merits
    match _ASKED[fault.kind]:
        case Kind.DECISION:
            return 1.0, float(favoured.mean())
        case Kind.OPPORTUNITY:
            return float(merits.mean()), float(favoured[merits].mean())
        case Kind.TAG:
            return 1.0, TAGS[fault.output or ""]
        case _:
            return 1.0, 1.0


def _cells(role: Role) -> float:
    """How many comparisons a model has: of decisions and what came of them, or of labels, scores and tags.

    Intersections count by their weight; of tags there are none.
    """
    sizes = [len(groups) for groups in ATTRIBUTES.values()]
    of_groups = sum(sizes) + CROSSED_WEIGHT * sum(a * b for a, b in combinations(sizes, 2))
    kinds = {Role.PLAIN: 0, Role.DECIDER: len(_OF_DECISIONS), Role.TAGGER: _LABELS + 1}[role]
    return kinds * of_groups + (len(TAGS) * sum(sizes) if role == Role.TAGGER else 0)
