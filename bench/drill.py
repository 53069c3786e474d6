"""The fire drill against truth: the time that a drill foretells beside the time measured in the stream.

A model of 60 events an hour with a number, a uniform, a category and two groups learns for eight days. It is drilled;
then each of ten faults is planted in its stream, several times over, each time with other values, and what is measured
is the time from the first faulty event to the incident.

    python bench/drill.py --streams 5
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fleets.build import DAY, HOUR, START, event, feed, new_fleet

from monitor.drill.drill import prepare
from monitor.drill.findings import names_of, told
from monitor.drill.past import Past
from monitor.tally.closed import ClosedTick

PER_HOUR, LEARNED_HOURS, LONGEST_HOURS = 60, 24 * 8, 24 * 30
POLICY = {
    "tick": "5m",
    "learn": {"events": 2000, "for": "2d"},
    "sensitive": ("sex",),
    "favourable": ("approve",),
}
FAULTS = (
    ("x", "shift_0.25"),
    ("x", "shift_0.5"),
    ("x", "shift_1"),
    ("x", "spread_1.5"),
    ("x", "missing_0.05"),
    ("u", "out_of_range_0.05"),
    ("c", "swapped_0.5"),
    ("c", "unseen_0.05"),
    ("F", "group_0.5"),
    ("F", "group_0.75"),
)


def one(rng, fault=None):
    """Features, group and decision of an event."""
    features = {"x": float(rng.normal(100, 15)), "u": float(rng.uniform()), "c": "aaaaabbbcc"[int(rng.integers(10))]}
    sex, approved = "FM"[int(rng.uniform() < 0.6)], rng.uniform() < 0.5
    match fault:
        case "shift_0.25" | "shift_0.5" | "shift_1":
            features["x"] += 15 * float(fault.split("_")[1])
        case "spread_1.5":
            features["x"] = 100 + 1.5 * (features["x"] - 100)
        case "missing_0.05" if rng.uniform() < 0.05:
            features["x"] = None
        case "out_of_range_0.05" if rng.uniform() < 0.05:
            features["u"] = -9.0
        case "swapped_0.5" if features["c"] == "a" and rng.uniform() < 0.5:
            features["c"] = "b"
        case "unseen_0.05" if rng.uniform() < 0.05:
            features["c"] = "zzz"
        case "group_0.5" | "group_0.75" if sex == "F":
            approved = approved and rng.uniform() < float(fault.split("_")[1])
    return features, sex, "approve" if approved else "deny"


def run(fleet, hours, seed, fault=None, keep=None):
    """Feed hours; the time of the first incident, infinite without one."""
    for hour in hours:
        rng, events = np.random.default_rng([seed, hour]), []
        for i in range(PER_HOUR):
            features, sex, label = one(rng, fault)
            time = START + hour * HOUR + (i + 0.5) * HOUR / PER_HOUR
            events.append(event(time, features, sensitive={"sex": sex}, prediction={"label": label}))
        closed = feed(fleet, events, until=START + (hour + 1) * HOUR)
        if keep is not None:
            keep[0].extend(ClosedTick(0, tick.end, tick.counts, tick.moments) for tick in closed.ticks)
            keep[1].extend(fleet.groups.hours.take(START + (hour + 1) * HOUR))
        elif closed.incidents:
            return min(incident.fired_time for incident in closed.incidents)
    return math.inf


def learned():
    """A fleet of one model, and its past."""
    fleet, kept = new_fleet(POLICY, per_model=5.0), ([], [])
    fleet.groups.hours.wanted = True
    run(fleet, range(LEARNED_HOURS), 7, keep=kept)
    return fleet, Past(*(lambda _row, since, until, of=of: [e for e in of if since < _end(e) <= until] for of in kept))


def _end(entry):
    return entry.end if isinstance(entry, ClosedTick) else entry[0]


def foretold(fleet, past):
    """Days by feature (or ``F``, the group) and fault."""
    names = names_of(fleet, 0)
    women = fleet.groups.privacy.code("sex", "F")
    faults = told(names, prepare(fleet, 0).run(past))
    return {("F" if f["group"] == women else f["feature"], f["fault"]): f["days"] for f in faults}


def measured(fleet, fault, streams):
    """Days until the incident, of each stream, sorted."""
    began, found = START + LEARNED_HOURS * HOUR, []
    for seed in range(streams):
        hours = range(LEARNED_HOURS, LEARNED_HOURS + LONGEST_HOURS)
        found.append((run(copy.deepcopy(fleet), hours, 100 + seed, fault) - began) / DAY)
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=5)
    streams = parser.parse_args().streams
    fleet, past = learned()
    said = foretold(fleet, past)
    print("| fault | foretold, days | measured, median | shortest to longest |\n|---|---|---|---|", flush=True)
    for name, fault in FAULTS:
        days, found = said[name, fault], measured(fleet, fault, streams)
        told_days = "over 30" if days is None else f"{days:.2f}"
        spread = f"{found[0]:.2f} to {found[-1]:.2f}"
        print(f"| `{name}` {fault} | {told_days} | {np.median(found):.2f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
