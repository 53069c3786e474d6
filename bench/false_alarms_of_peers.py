"""False alarms of other tools' default rules, where nothing is wrong: a few models, one week, scaled to the fleet.

    python -m venv .cache/peers && .cache/peers/bin/pip install -r bench/peers/requirements.txt
    python bench/false_alarms_of_peers.py --models 20 --seeds 1

The worlds are those of ``false_alarms.py``. An incident is a model and a day with an alarm; their share of all models
and days, with its interval (Clopper-Pearson, 95 %), is scaled to 1,000 models and a week. KSWIN is slow, so it watches
one feature of each model only. driftfdr's rule is one for the whole fleet, whatever its size, so what it gives is not
scaled; it is meant for a model's error, and given the hourly means of features here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats
from worlds import CATEGORIES, FEATURES, HOUR, START, WORLDS, World, values

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".cache" / "peers" / "bin" / "python"
RULES = ("adwin", "kswin", "evidently", "nannyml", "driftfdr")
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


def scaled(rule: str, incidents: int, models: int, seeds: int) -> str:
    """Incidents a week in a fleet of a thousand, with their interval."""
    n = models * 7 * seeds
    scale = (models if rule == "driftfdr" else _FLEET) * 7.0
    low = stats.beta.ppf(0.025, incidents, n - incidents + 1) if incidents else 0.0
    high = stats.beta.ppf(0.975, incidents + 1, n - incidents) if incidents < n else 1.0
    return f"{incidents / n * scale:.0f} ({low * scale:.0f} to {high * scale:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--rules", default=",".join(RULES))
    given = parser.parse_args()
    rules = given.rules.split(",")
    print(f"{given.models} models, a week, {given.seeds} seeds; incidents a week scaled to {_FLEET} models (95 %)\n")
    print("| world | " + " | ".join(rules) + " |\n" + "|---" * (len(rules) + 1) + "|")
    with tempfile.TemporaryDirectory(prefix="modelwatch-peers-") as folder:
        for kind in given.worlds.split(","):
            incidents = dict.fromkeys(rules, 0)
            for seed in range(1, given.seeds + 1):
                path = Path(folder) / "streams.npz"
                store(World(kind, given.models, seed), path)
                command = [str(PYTHON), str(ROOT / "bench" / "peers" / "rules.py"), str(path), given.rules]
                counts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1])
                for rule in rules:
                    incidents[rule] += counts[rule]["incidents"]
            told = [scaled(rule, incidents[rule], given.models, given.seeds) for rule in rules]
            print(f"| {kind} | " + " | ".join(told) + " |", flush=True)


if __name__ == "__main__":
    main()
