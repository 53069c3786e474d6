"""How many events until river's detectors see a fault, asked to keep the promise of ``delay.py``.

    python -m venv .cache/peers/river && .cache/peers/river/bin/pip install -r bench/peers/river.txt
    python bench/delay_of_peers.py --streams 100 --events 10000

Streams are of the kinds of ``delay.py``. ADWIN and KSWIN get, as the level at which they may err at each event, the
false alarms an event that the fleet may have; what that comes to is told by the first row, in which nothing is wrong.
ADWIN sees the reference first. KSWIN, which is slow, watches twenty of the streams and looks at the last hundred.
Other tools (Evidently, NannyML, driftfdr) compare windows by thresholds that no rate of false alarms can be asked of.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from delay import FAULTS, FLEETS, PER_WEEK, faulty, told

ROOT = Path(__file__).parents[1]


def store(space: str, size: float, streams: int, events: int, seed: int, path: Path) -> None:
    """Streams as numbers: of classes and of missing values whether each is the one that the fault moves."""
    drawn, begins, reference = faulty(space, size, streams, events, np.random.default_rng([seed, 3]))
    if space != "number":
        drawn, reference = (np.asarray(x == 1.0, np.float64) for x in (drawn, reference))
    np.savez(path, events=drawn, begins=begins, reference=reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rules", default="adwin,kswin")
    parser.add_argument("--python", type=Path, default=ROOT / ".cache" / "peers" / "river" / "bin" / "python")
    given = parser.parse_args()
    print("| fault | rule | " + " | ".join(f"{cells:,} cells" for cells in FLEETS) + " |")
    print("|---" * (len(FLEETS) + 2) + "|")
    with tempfile.TemporaryDirectory(prefix="modelwatch-peers-") as folder:
        path = Path(folder) / "streams.npz"
        for name, (space, size) in FAULTS.items():
            store(space, size, given.streams, given.events, given.seed, path)
            for rule in given.rules.split(","):
                row = [told(_delays(given.python, path, rule, 1.0 / (PER_WEEK * cells))) for cells in FLEETS]
                print(f"| {name} | river, {rule} | " + " | ".join(row) + " |", flush=True)


def _delays(python: Path, path: Path, rule: str, level: float) -> np.ndarray:
    command = [str(python), str(ROOT / "bench" / "peers" / "delays.py"), str(path), rule, repr(level)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return np.array([np.inf if each is None else each for each in json.loads(done.stdout)])


if __name__ == "__main__":
    main()
