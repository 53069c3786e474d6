"""How many false alarms a week: modelwatch and the usual rules, in worlds in which nothing is wrong.

The fleet is started in the middle of a week on empty references, with the configuration's defaults and hourly ticks.
Until every series has its bins events go through the decoder; from then on the sums of each hour are counted from the
grid and put where counting would have put them, so that judging, references and incidents are the real ones.

The usual rules look at each feature once a day, against the first week: PSI above .1 and .2 over the reference's
deciles, Kolmogorov-Smirnov (for classes chi-squared) below .05, the same over all the fleet's tests of a day with
Bonferroni's correction and with Benjamini-Hochberg. They are counted as incidents too: one for a model and a day with
an alarm.

    python bench/false_alarms.py                       five seeds of 1,000 models and 28 days in each world
    python bench/false_alarms.py --models 50 --days 9 --seeds 1 --worlds independent

Each world and seed is a line of ``--results`` when it is done; what is there already is not run again. The table tells
the mean over the seeds, its exact interval (the counts taken for Poisson's) and the worst.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm
from worlds import CATEGORIES, DAY, FEATURES, HOUR, PLACES, START, WEEK, WORLDS, Hour, World, values

from monitor.compose import make_decoders, make_fleet
from monitor.config import Config, load
from monitor.kernels.tally import ABOVE, BELOW, COLUMNS, KIND_NUMBER, NULLS, PRESENT
from monitor.tally.blocks import EVENTS_IN, WITH_FEATURES

Floats = NDArray[np.float64]
Run = dict[str, Any]
"""What one world and seed gave: a line of the results."""
RESULTS = Path(".cache/false_alarms.jsonl")
RULES = ("psi > .1", "psi > .2", "ks p < .05", "ks bonferroni", "ks bh")
_LEVEL = 0.05
_DECILES = np.arange(1, 10) / 10
_PSI_FLOOR = 1e-4


class Watched:
    """A fleet of the program, fed hour by hour."""

    def __init__(self, config: Config, world: World) -> None:
        self.fleet = make_fleet(config)
        self._decoder = make_decoders(config)("bench")
        self._world = world
        self._values = np.stack([values(j) for j in range(FEATURES)])
        self._series: NDArray[np.int64] | None = None
        self._bins = np.zeros((0, PLACES), np.int64)
        self.seen: dict[str, tuple[float, bool]] = {}
        """When each incident began, and whether it would page: all but ``info`` do."""
        self.kinds: dict[str, tuple[str, str]] = {}

    def hour(self, hour: Hour) -> None:
        """Let the events of an hour in, and judge it."""
        if self._series is None:
            self._write(hour)
        else:
            self._count(hour, self._series)
        for incident in self.fleet.close(hour.start + HOUR).incidents:
            self.seen.setdefault(incident.id, (incident.fired_time, incident.severity != "info"))
            self.kinds.setdefault(incident.id, (incident.alertname, incident.detector or ""))
        if self._series is None and len(self.fleet.models) == self._world.models:
            self._look_up()

    def _write(self, hour: Hour) -> None:
        n = len(hour.model)
        told = self._values[np.arange(FEATURES), hour.place]
        columns = []
        for j in range(FEATURES):
            texts = [f'"c{v:.0f}"' for v in told[:, j]] if j in CATEGORIES else [f"{v!r}" for v in told[:, j].tolist()]
            columns.append(
                [f'"f{j:02}":{"null" if null else text}' for text, null in zip(texts, hour.null[:, j], strict=True)]
            )
        at = hour.start + np.arange(n) * HOUR / max(n, 1)
        events = [
            f'{{"model":"m{model:04}","time":{t:.3f},"features":{{{",".join(parts)}}}}}'.encode()
            for model, t, parts in zip(hour.model.tolist(), at.tolist(), zip(*columns, strict=True), strict=True)
        ]
        for first in range(0, n, 5000):
            some = events[first : first + 5000]
            batch = self._decoder.decode(some, np.full(len(some), np.nan))
            self.fleet.absorb(batch, np.zeros(len(batch), bool))

    def _look_up(self) -> None:
        """Once every number has its bins and every class its code: the bin of each place of the grid, by series."""
        fleet, rows = self.fleet, self.fleet.series.rows
        series = np.zeros((self._world.models, FEATURES), np.int64)
        bins = np.zeros((self._world.models, FEATURES, PLACES), np.int64)
        for i in range(self._world.models):
            model = fleet.find_model(f"m{i:04}")
            for row in fleet.lives.series_rows(model).tolist():
                j = int(fleet.series.names[row][1:])
                series[i, j] = row
                if j in CATEGORIES:
                    known = fleet.series.categories[row]
                    if len(known) < len(np.unique(self._values[j])):
                        return
                    bins[i, j] = [known.index(f"c{v:.0f}") for v in self._values[j]]
                else:
                    n = int(rows["n_edges"][row])
                    if n == 0:
                        return
                    bins[i, j] = np.searchsorted(rows["edges"][row, :n], self._values[j])
        self._series, self._bins = series, bins.reshape(-1, PLACES)

    def _count(self, hour: Hour, series: NDArray[np.int64]) -> None:
        """Put the sums of an hour where counting events would have put them."""
        fleet, models = self.fleet, self.fleet.models.rows
        present, n = np.unique(hour.model, return_counts=True)
        own = np.array([fleet.find_model(f"m{i:04}") for i in present.tolist()], np.int32)
        ticks = np.full(len(own), round(hour.start // HOUR), np.int64)
        base = fleet.blocks.bases(own, ticks, models["tick"], models["n_series"]).astype(np.int64)
        at = base[:, None] + fleet.series.rows["local"][series[present]]
        counts, lowest, highest = self._sums(hour, present, n, series)
        fleet.blocks.counts[at] = counts
        fleet.blocks.moments[at, 2], fleet.blocks.moments[at, 3] = lowest, highest
        fleet.blocks.counts[base, EVENTS_IN] = fleet.blocks.counts[base, WITH_FEATURES] = n
        models["events"][own] += n
        models["last_time"][own] = hour.start + HOUR - 1.0

    def _sums(self, hour: Hour, present: Floats, n: Floats, series: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        size = len(present)
        of = np.repeat(np.arange(size), n)[:, None] * FEATURES + np.arange(FEATURES)
        column = self._bins[hour.model[:, None] * FEATURES + np.arange(FEATURES), hour.place]
        column[hour.null] = NULLS
        counts = np.bincount((of * COLUMNS + column).ravel(), minlength=size * FEATURES * COLUMNS)
        counts = counts.reshape(size, FEATURES, COLUMNS)
        counts[:, :, PRESENT] = n[:, None]
        told = self._values[np.arange(FEATURES), hour.place]
        starts = np.cumsum(n) - n
        lowest = np.minimum.reduceat(np.where(hour.null, np.inf, told), starts, axis=0)
        highest = np.maximum.reduceat(np.where(hour.null, -np.inf, told), starts, axis=0)
        lowest[:, CATEGORIES], highest[:, CATEGORIES] = np.inf, -np.inf
        rows, own = self.fleet.series.rows, series[hour.model]
        number = (rows["kind"][own] == KIND_NUMBER) & ~hour.null
        for mark, outside in ((BELOW, told < rows["low"][own]), (ABOVE, told > rows["high"][own])):
            counts[:, :, mark] = np.add.reduceat((outside & number).astype(np.int64), starts, axis=0)
        return counts, lowest, highest


class Usual:
    """The usual rules over the same hours, from exact histograms on the grid."""

    def __init__(self, models: int) -> None:
        self._cells = models * FEATURES
        self._models = models
        self._today = np.zeros((self._cells, PLACES), np.uint32)
        self._reference = np.zeros((self._cells, PLACES), np.uint32)
        self._category = np.tile(np.isin(np.arange(FEATURES), CATEGORIES), models)
        self.incidents: dict[str, dict[int, int]] = {rule: defaultdict(int) for rule in RULES}
        self.alarms: dict[str, dict[int, int]] = {rule: defaultdict(int) for rule in RULES}

    def hour(self, hour: Hour) -> None:
        """Take an hour in; at the end of a day, look."""
        cell = hour.model[:, None] * FEATURES + np.arange(FEATURES)
        np.add.at(self._today.reshape(-1), (cell * PLACES + hour.place)[~hour.null], np.uint32(1))
        passed = hour.start + HOUR - START
        if passed % DAY == 0:
            if passed <= WEEK:
                self._reference += self._today
            else:
                self._look(int((passed - 1.0) // WEEK))
            self._today[:] = 0

    def _look(self, week: int) -> None:
        psi, p = self._psi(), self._p_values()
        ranked = np.argsort(p)
        bh = np.zeros(len(p), bool)
        passing = np.flatnonzero(p[ranked] <= _LEVEL * np.arange(1, len(p) + 1) / len(p))
        bh[ranked[: passing.max(initial=-1) + 1]] = True
        for rule, alarms in zip(RULES, (psi > 0.1, psi > 0.2, p < _LEVEL, p < _LEVEL / len(p), bh), strict=True):
            self.alarms[rule][week] += int(alarms.sum())
            self.incidents[rule][week] += int(alarms.reshape(self._models, FEATURES).any(axis=1).sum())

    def _psi(self) -> Floats:
        ordered = np.cumsum(self._reference, axis=1, dtype=np.float64)
        n, m = ordered[:, -1:], np.maximum(self._today.sum(axis=1, dtype=np.float64), 1.0)[:, None]
        cuts = (ordered[:, None, :] < _DECILES[None, :, None] * n[:, :, None]).sum(axis=2)
        now = np.cumsum(self._today, axis=1, dtype=np.float64)
        expected, got = (np.take_along_axis(a, cuts, axis=1) for a in (ordered / n, now / m))
        e, g = (np.diff(a, axis=1, prepend=0.0, append=1.0) for a in (expected, got))
        e, g = np.maximum(e, _PSI_FLOOR), np.maximum(g, _PSI_FLOOR)
        psi: Floats = ((g - e) * np.log(g / e)).sum(axis=1)
        return psi

    def _p_values(self) -> Floats:
        a, b = self._reference.astype(np.float64), self._today.astype(np.float64)
        n, m = a.sum(axis=1), np.maximum(b.sum(axis=1), 1.0)
        gap = np.abs(np.cumsum(a, axis=1) / n[:, None] - np.cumsum(b, axis=1) / m[:, None]).max(axis=1)
        p: Floats = stats.kstwobign.sf(gap * np.sqrt(n * m / (n + m)))
        own = values(CATEGORIES[0]).astype(int)
        classes = np.eye(own.max() + 1)[own]
        a, b = a[self._category] @ classes, b[self._category] @ classes
        both = a + b
        chi = sum(
            ((x - both * share) ** 2 / np.maximum(both * share, 1e-9)).sum(axis=1)
            for x, share in (
                (a, (a.sum(axis=1) / both.sum(axis=1))[:, None]),
                (b, (b.sum(axis=1) / both.sum(axis=1))[:, None]),
            )
        )
        p[self._category] = stats.chi2.sf(chi, classes.shape[1] - 1)
        return p


def run(kind: str, models: int, days: float, seed: int, config: Config) -> dict[str, Any]:
    """One world: by rule, how many false incidents each week; ``modelwatch`` has its pages, ``judged`` its cells."""
    world = World(kind, models, seed)
    watched, usual = Watched(config, world), Usual(models)
    hours = tqdm(world.hours(days), f"{kind} {seed}", round(24 * days), unit="h", disable=not sys.stderr.isatty())
    for hour in hours:
        watched.hour(hour)
        usual.hour(hour)
    weeks = range(-(-round(24 * days) // (7 * 24)))
    began = [(int((fired - START - 1.0) // WEEK), pages) for fired, pages in watched.seen.values()]
    table: dict[str, Any] = {
        "modelwatch": [sum(week == w for week, _ in began) for w in weeks],
        "modelwatch, pages": [sum(week == w and pages for week, pages in began) for w in weeks],
        "expected at most": [round(sum(watched.fleet.judge.budget.spent.values()), 3)],
        "by kind": Counter(f"{name}/{detector}" for name, detector in watched.kinds.values()),
    }
    for rule in RULES:
        table[rule] = [usual.incidents[rule][w] for w in weeks]
        table[f"{rule}, alarms"] = [usual.alarms[rule][w] for w in weeks]
    return table


def interval(total: float, weeks: int) -> tuple[float, float]:
    """The 95 % interval of a mean a week, of ``total`` counted in ``weeks``: exact Poisson (Garwood, 1936).

    It takes incidents for independent; those that one cause brings at once are not.
    """
    low = stats.chi2.ppf(0.025, 2.0 * total) / 2.0 if total else 0.0
    return float(low / weeks), float(stats.chi2.ppf(0.975, 2.0 * total + 2.0) / 2.0 / weeks)


def told(counts: NDArray[np.int64]) -> str:
    """Mean, interval and worst of the counts of a week, one of each seed."""
    low, high = interval(float(counts.sum()), len(counts))
    digits = 0 if counts.mean() >= 100.0 else 1
    return f"{counts.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f}; {counts.max()})"


def as_text(results: list[Run]) -> str:
    """A table for each world, week by week."""
    lines = []
    for kind in dict.fromkeys(run["world"] for run in results):
        tables = [run["table"] for run in results if run["world"] == kind]
        weeks = len(tables[0]["modelwatch"])
        lines += [f"{kind}: false incidents a week, mean (95 %; worst) of {len(tables)} seeds", ""]
        lines += ["| rule | " + " | ".join(f"week {w + 1}" for w in range(weeks)) + " |", "|---" * (weeks + 1) + "|"]
        for rule in ("modelwatch", "modelwatch, pages", *RULES):
            counts = np.array([table[rule] for table in tables])
            row = [told(counts[:, w]) for w in range(weeks)]
            if rule in RULES:
                row[0] = "reference"
            lines.append(f"| {rule} | " + " | ".join(row) + " |")
        by_kind = sum((Counter(table["by kind"]) for table in tables), Counter())
        lines += ["", "told: " + (", ".join(f"{name} {n}" for name, n in by_kind.most_common()) or "nothing"), ""]
    return "\n".join(lines)


def stored(path: Path, settings: dict[str, Any]) -> list[Run]:
    """The runs that a file holds, of these settings; a last line that was cut off is none."""
    if not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]
    return [run for run in map(json.loads, lines) if run["settings"] == settings]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--days", type=float, default=28.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--worlds", default=",".join(WORLDS), help="some of " + ", ".join(WORLDS))
    parser.add_argument(
        "--config", default="", help="a configuration file; without one, the defaults with a tick of 1h"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where each run is kept, and looked for")
    parser.add_argument("--table", action="store_true", help="run nothing: print what is there")
    given = parser.parse_args()
    config = load(Path(given.config) if given.config else None, {}, {"clock.tick": "1h"})
    settings = {"models": given.models, "days": given.days, "config": given.config}
    worlds = given.worlds.split(",")
    done = {(run["world"], run["seed"]) for run in stored(given.results, settings)}
    # Seed by seed, so that every world has something early.
    for seed, kind in product(range(1, given.seeds + 1), worlds):
        if given.table or (kind, seed) in done:
            continue
        began = time.perf_counter()
        table = run(kind, given.models, given.days, seed, config)
        seconds = round(time.perf_counter() - began, 1)
        with given.results.open("a", encoding="utf-8") as file:
            line = {"settings": settings, "world": kind, "seed": seed, "seconds": seconds, "table": table}
            file.write(json.dumps(line) + "\n")
        print(f"{kind} {seed}: {seconds:.0f} s", file=sys.stderr, flush=True)
    found = [r for r in stored(given.results, settings) if r["world"] in worlds and r["seed"] <= given.seeds]
    print(as_text(sorted(found, key=lambda r: (WORLDS.index(r["world"]), r["seed"]))))


if __name__ == "__main__":
    main()
