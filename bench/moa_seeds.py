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

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "moa_seeds"
KINDS = ("SEAa", "SEAg", "AGRa", "AGRg", "LEDa", "LEDg")
SEEDS = range(5)
CHANGES = (2500, 5000, 7500)
FADES = 500
"""Rows before a change from which a gradual one has begun."""
SETTINGS = {
    "as it is (.02)": "",
    "tolerance .01": "tolerance = { performance = 0.01 }",
    "tolerance 0": "tolerance = { performance = 0.0 }",
    "contract .15": "limits = { error_rate = 0.15 }",
}
"""What may be said of errors, by name: a line of the policy."""
STEADY = 4
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


def steady(given: Stream, draw: int) -> Stream:
    """As many rows as ``given`` has, of those that its model was not made of and before anything changed."""
    chosen = np.random.default_rng(draw).integers(_TRAIN, CHANGES[0], len(given.rows)).tolist()
    columns = ([column[i] for i in chosen] for column in (given.rows, given.truth, given.said))
    return Stream(f"{given.name}-{draw}", *columns)


def write(given: Stream, policy: str, directory: Path) -> tuple[Path, Path]:
    """The events of a stream, and its configuration; features that are whole numbers of few values are classes."""
    events, config = directory / "events.jsonl", directory / "config.toml"
    with events.open("w", encoding="utf-8") as file:
        for i, (features, right, answer) in enumerate(zip(given.rows, given.truth, given.said, strict=True)):
            told = {k: str(v) if given.name.startswith("LED") else v for k, v in features.items()}
            case, at = {"model": given.name, "id": f"s{i}"}, _START + i * _MINUTE
            file.write(json.dumps(case | {"time": at, "features": told, "prediction": {"label": answer}}) + "\n")
            file.write(json.dumps(case | {"time": at + _MINUTE / 2.0, "outcome": right}) + "\n")
    lines = ("[[models]]", 'match = "*"', 'tick = "30m"', 'outcome_horizon = "1m"', policy)
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return events, config


def told(given: Stream, policy: str, directory: Path) -> dict[str, list[float]]:
    """What modelwatch says of a stream: by alertname, the rows at which a cell fired."""
    events, config = write(given, policy, directory)
    command = [sys.executable, "-m", "monitor", "replay", str(events), "--config", str(config), "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout.splitlines()
    found: dict[str, list[float]] = {}
    for incident in map(json.loads, lines[:-1]):
        for cell in incident["cells"]:
            at = (np.datetime64(cell["fired_time"].rstrip("Z")) - np.datetime64(0, "s")) / np.timedelta64(1, "s")
            found.setdefault(incident["alertname"], []).append(float(at - _START) / _MINUTE)
    return found


def adwin(given: Stream, python: Path) -> list[float]:
    """The rows at which ADWIN, at its default, says that the model's errors changed; none without river."""
    if not python.exists():
        return []
    wrong = json.dumps(given.wrong().astype(int).tolist())
    done = subprocess.run([str(python), "-c", _ADWIN], input=wrong, text=True, check=True, capture_output=True)
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
        found = [told(each, "", folder) for each in given]
        ours = as_text([each.get("ModelPerformanceDegraded", []) for each in found], first_of(kind))
        theirs = as_text([adwin(each, python) for each in given], first_of(kind))
        drifts = sum(
            len(each.get(name, [])) for each in found for name in ("ModelFeatureDrift", "ModelPredictionDrift")
        )
        print(f"| {kind} | {ours} | {theirs} | {drifts} |", flush=True)


def watched(given: Stream, python: Path, folder: Path) -> list[list[float]]:
    """The rows of alarms about errors: by each of the settings, then by ADWIN."""
    ours = [told(given, policy, folder).get("ModelPerformanceDegraded", []) for policy in SETTINGS.values()]
    return [*ours, adwin(given, python)]


def sea(python: Path, folder: Path) -> None:
    """The second table: each stream of SEA by each setting, and how many of those in which nothing changes alarm."""
    print("\nSEA: error rates before and behind each change, and the row of the first alarm\n")
    print("| stream | " + " | ".join(["before", *map(str, CHANGES), *SETTINGS, "ADWIN"]) + " |")
    print("|---" * (len(CHANGES) + len(SETTINGS) + 3) + "|")
    given = [stream(f"{kind}{seed}") for kind in ("SEAa", "SEAg") for seed in SEEDS]
    found = []
    for each in given:
        stretches = np.split(each.wrong(), CHANGES)
        alarms = [delay(rows, 0.0) for rows in watched(each, python, folder)]
        found.append([first_of(each.name[:-1]) <= row < np.inf for row in alarms])
        shown = [f"{stretch.mean():.3f}".lstrip("0") for stretch in stretches]
        shown += [f"{row:.0f}" if np.isfinite(row) else "-" for row in alarms]
        print(f"| {each.name} | " + " | ".join(shown) + " |", flush=True)
    print(f"| found of {len(found)} |" + " |" * (len(CHANGES) + 1), " | ".join(map(str, np.sum(found, axis=0))), "|")
    calm = [steady(each, draw) for each in given[: len(SEEDS)] for draw in range(STEADY)]
    false = [[bool(rows) for rows in watched(each, python, folder)] for each in calm]
    print(f"| false of {len(false)} |" + " |" * (len(CHANGES) + 1), " | ".join(map(str, np.sum(false, axis=0))), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", type=Path, default=ROOT / ".cache" / "peers" / "river" / "bin" / "python")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelwatch-moa-") as folder:
        all_kinds(given.python, Path(folder))
        sea(given.python, Path(folder))


if __name__ == "__main__":
    main()
