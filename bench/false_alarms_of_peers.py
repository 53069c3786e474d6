"""False alarms of other tools' default rules, where nothing is wrong: a few models, one week, scaled to the fleet.

    for name in driftfdr evidently nannyml river; do
        python -m venv .cache/peers/$name && .cache/peers/$name/bin/pip install -r bench/peers/$name.txt
    done
    python bench/false_alarms_of_peers.py --models 20 --seeds 1

The worlds are those of ``false_alarms.py``. An incident is a model and a day with an alarm; their share of all models
and days, with its interval (Clopper-Pearson, 95 %), is scaled to 1,000 models and a week. KSWIN is slow, so it watches
one feature of each model only. driftfdr's rule is one for the whole fleet, whatever its size, so what it gives is not
scaled; it is meant for a model's error, and given the hourly means of features here. Each rule, world and seed is a
line of ``--results`` when it is done, and is not run again; models not begun within ``--seconds`` are not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from worlds import CATEGORIES, FEATURES, HOUR, START, WORLDS, World, values

ROOT = Path(__file__).parents[1]
PACKAGES = {"adwin": "river", "kswin": "river", "evidently": "evidently", "nannyml": "nannyml", "driftfdr": "driftfdr"}
"""Whose each rule is; each package has an environment of its own, since their requirements exclude each other."""
_DAYS = 14.0
_FLEET = 1000


def store(world: World, path: Path) -> None:
    """Two weeks of a world's events, by model."""
    told = np.stack([values(j) for j in range(FEATURES)])
    hours = list(world.hours(_DAYS))
    model = np.concatenate([hour.model for hour in hours])
    at, value = [], []
    for hour in hours:
        first = np.searchsorted(hour.model, hour.model)
        n = np.bincount(hour.model, minlength=world.models)[hour.model]
        at.append(hour.start - START + HOUR * (np.arange(len(hour.model)) - first + 0.5) / n)
        value.append(np.where(hour.null, np.nan, told[np.arange(FEATURES), hour.place]))
    times, table = np.concatenate(at), np.concatenate(value)
    arrays = {}
    for i in range(world.models):
        own = model == i
        arrays |= {f"at{i}": times[own], f"values{i}": table[own]}
    np.savez(path, models=world.models, categories=np.array(CATEGORIES), **arrays)


def scaled(rule: str, runs: list[dict[str, Any]]) -> str:
    """Incidents a week in a fleet of a thousand, with their interval."""
    if not any(run["models"] for run in runs):
        return "-"
    incidents, models = (sum(run[key] for run in runs) for key in ("incidents", "models"))
    n = models * 7
    scale = (runs[0]["models"] if rule == "driftfdr" else _FLEET) * 7.0
    low = stats.beta.ppf(0.025, incidents, n - incidents + 1) if incidents else 0.0
    high = stats.beta.ppf(0.975, incidents + 1, n - incidents) if incidents < n else 1.0
    return f"{incidents / n * scale:.0f} ({low * scale:.0f} to {high * scale:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--rules", default=",".join(PACKAGES))
    parser.add_argument("--seconds", type=float, default=600.0, help="after this a rule begins no further model")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".cache" / "peers", help="an environment for each package")
    parser.add_argument("--results", type=Path, default=Path(".cache/false_alarms_of_peers.jsonl"))
    given = parser.parse_args()
    rules, worlds, seeds = given.rules.split(","), given.worlds.split(","), range(1, given.seeds + 1)
    with tempfile.TemporaryDirectory(prefix="modelwatch-peers-") as folder:
        for seed, kind in product(seeds, worlds):
            done = {run["rule"] for run in stored(given.results, kind, seed)}
            missing = [rule for rule in rules if rule not in done]
            path = Path(folder) / "streams.npz"
            if missing:
                store(World(kind, given.models, seed), path)
            for rule in missing:
                python = given.venvs / PACKAGES[rule] / "bin" / "python"
                command = [str(python), str(ROOT / "bench" / "peers" / "rules.py"), str(path), rule, str(given.seconds)]
                output = subprocess.run(command, check=True, capture_output=True).stdout
                line = {"world": kind, "seed": seed, "rule": rule, **json.loads(output.splitlines()[-1])}
                with given.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    print(f"a week, {given.seeds} seeds; incidents a week scaled to {_FLEET} models (95 %)\n")
    print("| world | " + " | ".join(rules) + " |\n" + "|---" * (len(rules) + 1) + "|")
    for kind in worlds:
        runs = [run for seed in seeds for run in stored(given.results, kind, seed)]
        told = [scaled(rule, [run for run in runs if run["rule"] == rule]) for rule in rules]
        print(f"| {kind} | " + " | ".join(told) + " |")


def stored(path: Path, world: str, seed: int) -> list[dict[str, Any]]:
    """What a file holds of a world and seed."""
    if not path.exists():
        return []
    runs = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [run for run in runs if (run["world"], run["seed"]) == (world, seed)]


if __name__ == "__main__":
    main()
