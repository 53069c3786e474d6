"""How many events until a fault is seen, at the same false-alarm rate, in fleets of 1, 1,000 and 100,000 cells.

Every rule watches streams of a number (standard normal), of a category of four classes, or of a feature's being there,
against a reference of 10,000 events. All make the same promise: one false alarm in the events that a cell of 100 an
hour has in a week times the fleet's cells. modelwatch keeps it by its budget, the others by the threshold that theory
gives for it, which takes the reference for the truth and so is kind to them:

* ``modelwatch``: the program's own judge, a tick every 20 events, with its tolerance of .02, after two weeks in which
  nothing was wrong, so that it knows the stream's days and weeks;
* ``modelwatch 0``: the same with a tolerance of nothing, asked for any change at all, as all others are;
* ``psi``, ``ks`` and ``share``: windows of 200 and 1,000 events, one after the other: PSI of deciles (scaled
  chi-squared), Kolmogorov-Smirnov, and of a share the binomial tail;
* ``cusum``, of numbers: two-sided on standardised values, with slack .25 (Siegmund's approximation of its run length).

A fault begins anywhere within a window, after two windows without one. A stream in which a rule alarms before it is
left out of its delays. What is found in streams without a fault is false.

    python bench/delay.py --streams 400 --events 20000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from monitor.budget import WEEK_SECONDS, Budget
from monitor.catalog import references
from monitor.catalog.models import Models, Phase
from monitor.catalog.policies import Clause, Policies
from monitor.catalog.series import Series, choose_edges
from monitor.detectors import DETECTORS
from monitor.judging import Judge, TickSums
from monitor.kernels.tally import BINS, COLUMNS, EVENTS, KIND_CATEGORY, KIND_NUMBER, NULLS, PRESENT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FLEETS = (1, 1_000, 100_000)
REFERENCE = 10_000
PER_WEEK = 100 * 24 * 7
"""Events of a cell in a week."""
_PER_TICK = 20
_WARM_TICKS = 15 * 24 * 5
"""Two weeks and a day of nothing wrong: models whose days and weeks are known."""
_WINDOWS = (200, 1_000)
_SLACK = 0.25
_CLASSES = np.array([0.4, 0.3, 0.2, 0.1])
_MISSING = 0.01
_START = 1_767_225_600.0

FAULTS: dict[str, tuple[str, float]] = {
    "no fault, a number": ("number", 0.0),
    "shift .1 sd": ("number", 0.1),
    "shift .25 sd": ("number", 0.25),
    "shift .5 sd": ("number", 0.5),
    "shift 1 sd": ("number", 1.0),
    "share .3 to .35": ("class", 0.05),
    "share .3 to .5": ("class", 0.2),
    "missing .01 to .05": ("missing", 0.04),
}


def shares_of(space: str, size: float) -> Floats:
    """The classes' shares, or that of missing values, when something of ``size`` is wrong."""
    if space == "missing":
        return np.array([1.0 - _MISSING - size, _MISSING + size])
    moved = _CLASSES * (0.7 - size) / 0.7
    moved[1] = _CLASSES[1] + size
    return moved


class Ours:
    """The judge over ``streams`` cells, each of a model of its own, in a fleet of ``cells``."""

    def __init__(self, space: str, streams: int, cells: int, tolerance: float | None, rng: np.random.Generator) -> None:
        said = {} if tolerance is None else {"tolerance": {"drift": tolerance, "quality": tolerance}}
        policy = Policies([Clause("*", said, "bench")]).resolve("m")
        self._space, self._streams, self._rng = space, streams, rng
        self._edges = np.zeros((streams, BINS - 1))
        models, series = Models(streams), Series()
        for i in range(streams):
            models.add(f"m{i}", i + 1, policy, _START)
            models.rows["phase"][i], models.rows["from_file"][i] = Phase.FROZEN, 1
            self._refer(series, series.add(i, 1, 0, "x", i + 1, _START), i)
        self.judge = Judge(models, series, Budget(5.0, 5.0, {"drift": 0.2, "quality": 0.2}))
        chosen = np.arange(streams)
        references.begin_judging(series, chosen)
        if space == "missing":
            series.rows["n_cuts"][:streams] = 0
        self.judge.begin(chosen)
        self.judge.n_cells = dict.fromkeys(self.judge.n_cells, cells)

    def delays(self, size: float, events: int) -> Floats:
        """Events from the fault's beginning until each stream's alarm; inf for none, NaN for one before it."""
        found = np.full(self._streams, np.inf)
        wanted = "missing" if self._space == "missing" else "drift"
        seconds = WEEK_SECONDS * _PER_TICK / PER_WEEK
        for tick in range(-_WARM_TICKS, events // _PER_TICK):
            counts = self._tick(size if tick >= 0 else 0.0)
            end = _START + (tick + _WARM_TICKS + 1) * seconds
            judged = self.judge.judge(TickSums(np.arange(self._streams), counts, end, np.full(self._streams, seconds)))
            for alarm in judged.alarms:
                if DETECTOR_NAMES[alarm.detector] == wanted and np.isinf(found[alarm.row]):
                    found[alarm.row] = np.nan if tick < 0 else (tick + 1.0) * _PER_TICK
        return found

    def _refer(self, series: Series, row: int, i: int) -> None:
        rows = series.rows
        rows["reference"][row, [PRESENT, EVENTS]] = REFERENCE
        if self._space == "class":
            rows["kind"][row] = KIND_CATEGORY
            for code, name in enumerate("abcd"):
                series.add_category(row, name, 1000 + code)
            rows["reference"][row, :4] = self._rng.multinomial(REFERENCE, _CLASSES)
            return
        values = self._rng.standard_normal(REFERENCE)
        edges = choose_edges(values)
        self._edges[i] = edges
        rows["kind"][row] = KIND_NUMBER
        references.set_edges(series, row, edges)
        rows["seen_low"][row], rows["seen_high"][row] = -10.0, 10.0
        counted = np.bincount(np.searchsorted(edges, values), minlength=BINS)
        if self._space == "missing":
            rows["reference"][row, NULLS] = self._rng.binomial(REFERENCE, _MISSING)
            counted = counted * (REFERENCE - rows["reference"][row, NULLS]) // REFERENCE
        rows["reference"][row, :BINS] = counted

    def _tick(self, size: float) -> NDArray[np.uint32]:
        counts = np.zeros((self._streams, COLUMNS), np.uint32)
        counts[:, [PRESENT, EVENTS]] = _PER_TICK
        if self._space == "class":
            counts[:, :4] = self._rng.multinomial(_PER_TICK, shares_of("class", size), self._streams)
            return counts
        n = np.full(self._streams, _PER_TICK)
        shift = size
        if self._space == "missing":
            counts[:, NULLS] = self._rng.binomial(_PER_TICK, _MISSING + size, self._streams)
            n, shift = _PER_TICK - counts[:, NULLS].astype(np.int64), 0.0
        below = special.ndtr(self._edges - shift)
        counts[:, :BINS] = self._rng.multinomial(n, np.diff(below, axis=1, prepend=0.0, append=1.0))
        return counts


DETECTOR_NAMES = [detector.name for detector in DETECTORS]


def stream(space: str, size: float, streams: int, n: int, rng: np.random.Generator) -> Floats:
    """Events of ``streams`` cells, shape ``(streams, n)``: values, classes by number, or 1 for missing."""
    if space == "number":
        return rng.standard_normal((streams, n)) + size
    cumulative = np.cumsum(shares_of(space, size))[:-1]
    return np.searchsorted(cumulative, rng.random((streams, n)), side="right").astype(np.float64)


def faulty(space: str, size: float, streams: int, events: int, rng: np.random.Generator) -> tuple[Floats, Ints, Floats]:
    """Streams with ``events`` of a fault, where it begins in each, and what each has for a reference."""
    longest = max(_WINDOWS)
    begins = 2 * longest + rng.integers(0, longest, streams)
    drawn = stream(space, size, streams, int(begins.max()) + events, rng)
    before = np.arange(drawn.shape[1]) < begins[:, None]
    drawn[before] = stream(space, 0.0, streams, drawn.shape[1], rng)[before]
    return drawn, begins, stream(space, 0.0, streams, REFERENCE, rng)


PValues = Callable[[Floats], Floats]
"""Of windows, shape ``(streams, m)``, against the references that it was made from."""


def psi_test(reference: Floats) -> PValues:
    """PSI of the reference's deciles: by chance it is ``1/m + 1/n`` times chi-squared with nine degrees."""
    n = reference.shape[1]
    edges = np.quantile(reference, np.arange(1, 10) / 10, axis=1).T
    before = _in_bins(reference, edges)

    def p_values(window: Floats) -> Floats:
        now = _in_bins(window, edges)
        psi = ((now - before) * np.log(now / before)).sum(axis=1)
        return stats.chi2.sf(psi / (1.0 / window.shape[1] + 1.0 / n), 9)

    return p_values


def _in_bins(x: Floats, edges: Floats) -> Floats:
    above = (x[:, :, None] > edges[:, None, :]).mean(axis=1)
    return np.maximum(-np.diff(above, axis=1, prepend=1.0, append=0.0), 1e-4)


def ks_test(reference: Floats) -> PValues:
    """Kolmogorov-Smirnov of two samples, by its limiting law."""
    n, ordered = reference.shape[1], np.sort(reference, axis=1)

    def p_values(window: Floats) -> Floats:
        m = window.shape[1]
        ranks = (
            np.array([np.searchsorted(r, w, side="right") for r, w in zip(ordered, np.sort(window), strict=True)]) / n
        )
        place = np.arange(m) / m
        gap = np.maximum(np.abs(ranks - place), np.abs(ranks - place - 1 / m)).max(axis=1)
        return stats.kstwobign.sf(gap * np.sqrt(m * n / (m + n)))

    return p_values


def share_test(reference: Floats) -> PValues:
    """Two-sided binomial, of the class (or the missing value) that the fault moves."""
    before = np.clip((reference == 1.0).mean(axis=1), 1e-4, 1.0)

    def p_values(window: Floats) -> Floats:
        s, m = (window == 1.0).sum(axis=1), window.shape[1]
        return 2.0 * np.minimum(stats.binom.sf(s - 1, m, before), stats.binom.cdf(s, m, before))

    return p_values


def windowed(p_values: PValues, size: int, level: float, events: Floats, begins: Ints) -> Floats:
    """Delays of a rule that looks at windows of ``size`` events; stream i's fault begins at event ``begins[i]``."""
    found = np.full(len(events), np.inf)
    for end in range(size, events.shape[1] + 1, size):
        alarm = (p_values(events[:, end - size : end]) < level) & np.isinf(found)
        found[alarm] = np.where(end <= begins, np.nan, end - begins)[alarm]
    return found


def cusum(level: float, events: Floats, begins: Ints, reference: Floats) -> Floats:
    """Delays of the two-sided CUSUM; ``level`` is false alarms an event."""
    threshold = siegmund(2.0 / level)
    z = (events - reference.mean(axis=1, keepdims=True)) / reference.std(axis=1, keepdims=True)
    up, down, found = np.zeros(len(z)), np.zeros(len(z)), np.full(len(z), np.inf)
    for i in range(z.shape[1]):
        up, down = np.maximum(up + z[:, i] - _SLACK, 0.0), np.maximum(down - z[:, i] - _SLACK, 0.0)
        alarm = (np.maximum(up, down) > threshold) & np.isinf(found)
        found[alarm] = np.where(i < begins, np.nan, i + 1 - begins)[alarm]
    return found


def siegmund(run_length: float) -> float:
    """The threshold h of a one-sided CUSUM: run length ``(exp(2 k b) - 2 k b - 1) / (2 k^2)``, b = h + 1.166.

    Siegmund, Sequential Analysis (1985).
    """

    def short(h: float) -> float:
        b = 2.0 * _SLACK * (h + 1.166)
        return float((np.exp(b) - b - 1.0) / (2.0 * _SLACK**2)) - run_length

    return float(optimize.brentq(short, 0.0, 200.0))


def usual(space: str, events: Floats, begins: Ints, reference: Floats) -> dict[str, list[Floats]]:
    """The usual rules: by name, their delays in each fleet."""
    levels = [1.0 / (PER_WEEK * cells) for cells in FLEETS]
    made = {"psi": psi_test, "ks": ks_test} if space == "number" else {"share": share_test}
    delays = {}
    for name, make in made.items():
        p_values = make(reference)
        for size in _WINDOWS:
            delays[f"{name} {size}"] = [
                windowed(p_values, size, min(size * level, 1.0), events, begins) for level in levels
            ]
    if space == "number":
        delays["cusum"] = [cusum(level, events, begins, reference) for level in levels]
    return delays


def told(delays: Floats) -> str:
    """Median delay; how much of the streams was found, where that is not all; how much alarmed too early."""
    early = np.isnan(delays)
    kept = delays[~early]
    found = np.isfinite(kept).mean() if len(kept) else 0.0
    median = np.median(kept) if len(kept) else np.inf
    text = f"{median:.0f}" if np.isfinite(median) else "-"
    text += f" ({100 * found:.0f} %)" if found < 0.995 else ""
    return text + (f" [{100 * early.mean():.0f} % early]" if early.mean() > 0.005 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streams", type=int, default=400)
    parser.add_argument("--events", type=int, default=20_000, help="for so many events a fault is looked for")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"events until a fault is seen: median of {given.streams} streams, seed {given.seed}")
    print(f"(in brackets how many were found within {given.events}, where that is not all)\n")
    print("| fault | rule | " + " | ".join(f"{cells:,} cells" for cells in FLEETS) + " |")
    print("|---" * (len(FLEETS) + 2) + "|")
    for name, (space, size) in FAULTS.items():
        for rule, row in table(space, size, given.streams, given.events, given.seed).items():
            print(f"| {name} | {rule} | " + " | ".join(row) + " |", flush=True)


def table(space: str, size: float, streams: int, events: int, seed: int) -> dict[str, list[str]]:
    """One fault: by rule, what :func:`told` says in each fleet."""
    rows: dict[str, list[str]] = {}
    for rule, tolerance in (("modelwatch", None), ("modelwatch 0", 0.0)):
        rows[rule] = [
            told(Ours(space, streams, cells, tolerance, np.random.default_rng([seed, 1])).delays(size, events))
            for cells in FLEETS
        ]
    drawn, begins, reference = faulty(space, size, streams, events, np.random.default_rng([seed, 2]))
    rows |= {rule: [told(d) for d in delays] for rule, delays in usual(space, drawn, begins, reference).items()}
    return rows


if __name__ == "__main__":
    main()
