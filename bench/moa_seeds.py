"""How soon a change of concept is seen in 30 streams of MOA, and what is told that is not there.

Liu, Lu, Zhang (TKDE 2020) published six kinds of streams with five seeds each: 10,000 rows of which the concept changes
at 2,500, 5,000 and 7,500 (``a`` abruptly, ``g`` gradually from about 2,000, 4,500 and 7,000 on). The model is a tree of
depth 6 on the first 1,500 rows, so it is right until the concept changes; rows come a minute apart, 30 to a tick, and
the truth half a minute later. Its error is what must be told; in SEA and AGR no feature moves, so a drift there is
false. In LED the features themselves move with the concept. ADWIN at its default watches the same errors.

In SEA the errors move little, so each of its streams is shown: how often the tree is wrong, and at which row which
setting alarms first. The same settings watch streams of its first concept alone, in which every alarm is false.

    python bench/moa_seeds.py                  needs ../shared/data/moa_seeds and, for ADWIN, an environment with river
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rising import judged

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "moa_seeds"
KINDS = ("SEAa", "SEAg", "AGRa", "AGRg", "LEDa", "LEDg")
SEEDS = range(5)
CHANGES = (2500, 5000, 7500)
FADES = 500
"""Rows before a change from which a gradual one has begun."""
SETTINGS: dict[str, dict[str, Any]] = {
    "as it is (.02)": {},
    "tolerance .01": {"tolerance": {"performance": 0.01}},
    "tolerance 0": {"tolerance": {"performance": 0.0}},
    "contract .15": {"limits": {"error_rate": 0.15}},
}
"""What may be said of errors, by name: keys of the policy."""
_PER_TICK = 30
STEADY = 40
"""Streams without a change for each of the first kind's seeds."""
_TRAIN = 1500
_DEPTH, _LEAF = 6, 20
_START = 1_767_225_600.0
_MINUTE = 60.0
_ADWIN = """
import json, sys
from river.drift import ADWIN
detector, alarms = ADWIN(), []
for row, wrong in enumerate(json.load(sys.stdin)):
    detector.update(wrong)
    if detector.drift_detected:
        alarms.append(row)
print(json.dumps(alarms))
"""

Floats = NDArray[np.float64]


class Tree:
    """A classification tree by Gini's index: enough of a model to be right about a concept."""

    def __init__(self, x: Floats, y: NDArray[np.int64], classes: int, depth: int = _DEPTH) -> None:
        shares = np.bincount(y, minlength=classes)
        self._answer, self._below, self._above = int(shares.argmax()), None, None
        best = self._best(x, y, classes) if depth and len(np.unique(y)) > 1 else None
        if best is not None:
            self._feature, self._cut = best
            below = x[:, self._feature] <= self._cut
            self._below = Tree(x[below], y[below], classes, depth - 1)
            self._above = Tree(x[~below], y[~below], classes, depth - 1)

    def answers(self, x: Floats) -> NDArray[np.int64]:
        """The class of each row of ``x``."""
        if self._below is None or self._above is None:
            return np.full(len(x), self._answer)
        below = x[:, self._feature] <= self._cut
        return np.where(below, self._below.answers(x), self._above.answers(x))

    @staticmethod
    def _best(x: Floats, y: NDArray[np.int64], classes: int) -> tuple[int, float] | None:
        """The split after which least is mixed; none where no leaf would have enough rows."""
        found, least = None, np.inf
        for feature in range(x.shape[1]):
            order = np.argsort(x[:, feature], kind="stable")
            values = x[order, feature]
            below = np.cumsum(np.eye(classes)[y[order]], axis=0)[:-1]
            n = np.arange(1.0, len(y))
            above, m = np.bincount(y, minlength=classes) - below, len(y) - n
            mixed = n - (below**2).sum(axis=1) / n + m - (above**2).sum(axis=1) / m
            mixed[(values[1:] <= values[:-1]) | (n < _LEAF) | (m < _LEAF)] = np.inf
            if len(mixed) and mixed.min() < least:
                at = int(mixed.argmin())
                found, least = (feature, float(values[at])), float(mixed[at])
        return found


class Stream(NamedTuple):
    """Features of each row, its class, and what the model says."""

    name: str
    rows: list[dict[str, Any]]
    truth: list[str]
    said: list[str]

    def wrong(self) -> Floats:
        """1 where the model errs, (rows,)."""
        return np.array([a != b for a, b in zip(self.truth, self.said, strict=True)], np.float64)


def stream(name: str) -> Stream:
    """A stream as it was published, and a tree's answers."""
    rows = pq.read_table(DATA / f"{name}.parquet").to_pylist()
    truth = [str(row.pop("class")) for row in rows]
    columns = []
    for feature in rows[0]:
        told = [row[feature] for row in rows]
        codes = {value: i for i, value in enumerate(sorted(set(told)))} if isinstance(told[0], str) else None
        columns.append([codes[value] if codes else float(value) for value in told])
    classes = sorted(set(truth))
    x, y = np.array(columns, np.float64).T, np.array([classes.index(each) for each in truth])
    model = Tree(x[:_TRAIN], y[:_TRAIN], len(classes))
    return Stream(name, rows, truth, [classes[i] for i in model.answers(x).tolist()])


def steady(given: Stream, draw: int) -> Floats:
    """As many errors as ``given`` has rows, of those that its model was not made of and before anything changed."""
    return given.wrong()[np.random.default_rng(draw).integers(_TRAIN, CHANGES[0], len(given.rows))]


def write(given: list[Stream], directory: Path) -> tuple[Path, Path]:
    """The events of streams, each a model, and their configuration; whole numbers of few values are classes.

    Each gets the budget that it would have alone.
    """
    events, config = directory / "events.jsonl", directory / "config.toml"
    with events.open("w", encoding="utf-8") as file:
        for i in range(len(given[0].rows)):
            at = _START + i * _MINUTE
            for each in given:
                told = {k: str(v) if each.name.startswith("LED") else v for k, v in each.rows[i].items()}
                case = {"model": each.name, "id": f"s{i}"}
                answer = {"time": at, "features": told, "prediction": {"label": each.said[i]}}
                file.write(json.dumps(case | answer) + "\n")
                file.write(json.dumps(case | {"time": at + _MINUTE / 2.0, "outcome": each.truth[i]}) + "\n")
    budget = ("[budget]", f"false_alarms_per_week = {5.0 * len(given)}")
    lines = (*budget, "[[models]]", 'match = "*"', 'tick = "30m"', 'outcome_horizon = "1m"')
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return events, config


def told(given: list[Stream], directory: Path) -> list[dict[str, list[float]]]:
    """What modelwatch says of each stream: by alertname, the rows at which a cell fired."""
    events, config = write(given, directory)
    command = [sys.executable, "-m", "monitor", "replay", str(events), "--config", str(config), "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout.splitlines()
    found: dict[str, dict[str, list[float]]] = {each.name: {} for each in given}
    for incident in map(json.loads, lines[:-1]):
        for cell in incident["cells"] if incident["model"] else ():
            at = (np.datetime64(cell["fired_time"].rstrip("Z")) - np.datetime64(0, "s")) / np.timedelta64(1, "s")
            row = float(at - _START) / _MINUTE
            found[incident["model"]].setdefault(incident["alertname"], []).append(row)
    return list(found.values())


def adwin(wrong: Floats, python: Path) -> list[float]:
    """The rows at which ADWIN, at its default, says that errors (rows,) changed; none without river."""
    if not python.exists():
        return []
    errors = json.dumps(wrong.astype(int).tolist())
    done = subprocess.run([str(python), "-c", _ADWIN], input=errors, text=True, check=True, capture_output=True)
    return [float(row) for row in json.loads(done.stdout)]


def first_of(kind: str) -> int:
    """The row at which the first change of a kind of stream begins."""
    return CHANGES[0] - (FADES if kind.endswith("g") else 0)


def delay(rows: list[float], first: float) -> float:
    """Rows from ``first`` until the first alarm behind it; infinite without one."""
    return min((row - first for row in rows if row >= first), default=np.inf)


def as_text(alarms: list[list[float]], first: float) -> str:
    """Median delay of the streams, how many were found, and how many alarms came before anything had changed."""
    delays = [delay(rows, first) for rows in alarms]
    found = [each for each in delays if np.isfinite(each)]
    early = sum(row < first for rows in alarms for row in rows)
    return f"{np.median(found):.0f} ({len(found)} of {len(delays)}), {early}" if found else f"- (0), {early}"


def all_kinds(python: Path, folder: Path) -> None:
    """The first table: every kind of stream as it is watched if nothing is said."""
    print("rows from the first change to the first alarm about errors: median (streams found), alarms before it\n")
    print("| streams | modelwatch | ADWIN | drifts of features |\n|---|---|---|---|")
    for kind in KINDS:
        given = [stream(f"{kind}{seed}") for seed in SEEDS]
        found = told(given, folder)
        ours = as_text([each.get("ModelPerformanceDegraded", []) for each in found], first_of(kind))
        theirs = as_text([adwin(each.wrong(), python) for each in given], first_of(kind))
        drifts = sum(
            len(each.get(name, [])) for each in found for name in ("ModelFeatureDrift", "ModelPredictionDrift")
        )
        print(f"| {kind} | {ours} | {theirs} | {drifts} |", flush=True)


def watched(wrong: Floats, python: Path) -> list[list[float]]:
    """The row of the first alarm in each column of ``wrong`` (rows, streams), by each of the settings and by ADWIN.

    Errors are judged as a replay judges them, without the events.
    """
    ticks = len(wrong) // _PER_TICK
    errors = wrong[: ticks * _PER_TICK].reshape(ticks, _PER_TICK, -1).sum(axis=1)
    found = []
    for policy in SETTINGS.values():
        first = [np.inf] * wrong.shape[1]
        for alarm in judged(errors, np.full(errors.shape, float(_PER_TICK)), _PER_TICK * _MINUTE, policy):
            first[alarm.model] = min(first[alarm.model], alarm.fired_time / _MINUTE)
        found.append(first)
    return [*found, [delay(adwin(each, python), 0.0) for each in wrong.T]]


def sea(python: Path) -> None:
    """The second table: each stream of SEA by each setting, and how many of those in which nothing changes alarm."""
    print("\nSEA: error rates before and behind each change, and the row of the first alarm\n")
    print("| stream | " + " | ".join(["before", *map(str, CHANGES), *SETTINGS, "ADWIN"]) + " |")
    print("|---" * (len(CHANGES) + len(SETTINGS) + 3) + "|")
    given = [stream(f"{kind}{seed}") for kind in ("SEAa", "SEAg") for seed in SEEDS]
    first = watched(np.stack([each.wrong() for each in given], axis=1), python)
    for each, alarms in zip(given, zip(*first, strict=True), strict=True):
        shown = [f"{stretch.mean():.3f}".lstrip("0") for stretch in np.split(each.wrong(), CHANGES)]
        shown += [f"{row:.0f}" if np.isfinite(row) else "-" for row in alarms]
        print(f"| {each.name} | " + " | ".join(shown) + " |", flush=True)
    blank = " |" * (len(CHANGES) + 1)
    begins = [first_of(each.name[:-1]) for each in given]
    found = [sum(a <= row < np.inf for a, row in zip(begins, rows, strict=True)) for rows in first]
    print(f"| found of {len(given)} |{blank} " + " | ".join(map(str, found)) + " |", flush=True)
    calm = np.stack([steady(each, draw) for each in given[: len(SEEDS)] for draw in range(STEADY)], axis=1)
    false = [int(np.isfinite(rows).sum()) for rows in watched(calm, python)]
    print(f"| false of {calm.shape[1]} |{blank} " + " | ".join(map(str, false)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", type=Path, default=ROOT / ".cache" / "peers" / "river" / "bin" / "python")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelwatch-moa-") as folder:
        all_kinds(given.python, Path(folder))
    sea(given.python)


if __name__ == "__main__":
    main()
