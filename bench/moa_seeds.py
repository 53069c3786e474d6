"""How soon a change of concept is seen in 30 streams of MOA, and what is told that is not there.

Liu, Lu, Zhang (TKDE 2020) published six kinds of streams with five seeds each: 10,000 rows of which the concept changes
at 2,500, 5,000 and 7,500 (``a`` abruptly, ``g`` gradually from about 2,000, 4,500 and 7,000 on). The model is a tree of
depth 6 on the first 1,500 rows, so it is right until the concept changes; rows come a minute apart, 30 to a tick, and
the truth half a minute later. Its error is what must be told; in SEA and AGR no feature moves, so a drift there is
false. In LED the features themselves move with the concept. ADWIN at its default watches the same errors.

    python bench/moa_seeds.py                  needs ../shared/data/moa_seeds and, for ADWIN, an environment with river
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

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


def stream(name: str) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Features of each row, its class, and what the model says."""
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
    return rows, truth, [classes[i] for i in model.answers(x).tolist()]


def write(name: str, directory: Path) -> tuple[Path, Path]:
    """The events of a stream, and its configuration; features that are whole numbers of few values are classes."""
    rows, truth, said = stream(name)
    events, config = directory / f"{name}.jsonl", directory / f"{name}.toml"
    with events.open("w", encoding="utf-8") as file:
        for i, (features, right, answer) in enumerate(zip(rows, truth, said, strict=True)):
            told = {k: str(v) if name.startswith("LED") else v for k, v in features.items()}
            case = {"model": name, "id": f"s{i}", "time": _START + i * _MINUTE}
            file.write(json.dumps(case | {"features": told, "prediction": {"label": answer}}) + "\n")
            file.write(json.dumps(case | {"time": case["time"] + _MINUTE / 2.0, "outcome": right}) + "\n")
    config.write_text(f'[[models]]\nmatch = "{name}"\ntick = "30m"\noutcome_horizon = "1m"\n', encoding="utf-8")
    return events, config


def told(name: str, directory: Path) -> dict[str, list[tuple[str, float]]]:
    """What modelwatch says of a stream: by alertname, each cell's feature and the row at which it fired."""
    events, config = write(name, directory)
    command = [sys.executable, "-m", "monitor", "replay", str(events), "--config", str(config), "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout.splitlines()
    found: dict[str, list[tuple[str, float]]] = {}
    for incident in map(json.loads, lines[:-1]):
        for cell in incident["cells"]:
            at = (np.datetime64(cell["fired_time"].rstrip("Z")) - np.datetime64(0, "s")) / np.timedelta64(1, "s")
            found.setdefault(incident["alertname"], []).append((cell["feature"] or "", float(at - _START) / _MINUTE))
    return found


def adwin(name: str, python: Path) -> list[float]:
    """The rows at which ADWIN, at its default, says that the model's errors changed."""
    _, truth, said = stream(name)
    wrong = json.dumps([int(a != b) for a, b in zip(truth, said, strict=True)])
    done = subprocess.run([str(python), "-c", _ADWIN], input=wrong, text=True, check=True, capture_output=True)
    return [float(row) for row in json.loads(done.stdout)]


def delay(rows: list[float], first: float) -> float:
    """Rows from ``first`` until the first alarm behind it; infinite without one."""
    return min((row - first for row in rows if row >= first), default=np.inf)


def as_text(delays: list[float], early: int) -> str:
    """Median delay of the streams, how many were found, and how many alarms came before anything had changed."""
    found = [each for each in delays if np.isfinite(each)]
    return f"{np.median(found):.0f} ({len(found)} of {len(delays)}), {early}" if found else f"- (0), {early}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", type=Path, default=ROOT / ".cache" / "peers" / "river" / "bin" / "python")
    given = parser.parse_args()
    print("rows from the first change to the first alarm about errors: median (streams found), alarms before it\n")
    print("| streams | modelwatch | ADWIN | drifts of features |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="modelwatch-moa-") as folder:
        for kind in KINDS:
            first = CHANGES[0] - (FADES if kind.endswith("g") else 0)
            ours, theirs, drifts = [], [], 0
            for seed in SEEDS:
                found = told(f"{kind}{seed}", Path(folder))
                ours.append([row for _, row in found.get("ModelPerformanceDegraded", [])])
                drifts += sum(len(found.get(name, [])) for name in ("ModelFeatureDrift", "ModelPredictionDrift"))
                theirs.append(adwin(f"{kind}{seed}", given.python) if given.python.exists() else [])
            cells = [
                as_text([delay(rows, first) for rows in each], sum(row < first for rows in each for row in rows))
                for each in (ours, theirs)
            ]
            print(f"| {kind} | " + " | ".join(cells) + f" | {drifts} |", flush=True)


if __name__ == "__main__":
    main()
