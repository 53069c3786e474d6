"""What do ten million predictions that wait for their outcomes take, and how fast are outcomes that come late joined?

In one process: predictions of 1,000 models go straight into a fleet and its store, none of them due before a month has
passed; then outcomes of some of them, drawn evenly, come in an order that has nothing to do with theirs. What stands
beside is the resident memory of the first million: what grows with the number of cases shows in the difference.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Iterator

import numpy as np
from memory import resident_mb
from watching import Watching, watching

MODELS, BATCH = 1_000, 16_000
START = 1_772_409_600.0
_HOUR = 3600.0
_FIRST = 1_000_000


def predictions(n: int) -> Iterator[list[bytes]]:
    """``n`` predictions spread over an hour, in batches."""
    for first in range(0, n, BATCH):
        yield [
            b'{"model":"m%d","id":"%d","time":%.3f,"prediction":{"label":"%s","score":0.5}}'
            % (i % MODELS, i, START + _HOUR * i / n, b"reject" if i % 3 else b"approve")
            for i in range(first, min(first + BATCH, n))
        ]


def outcomes(n: int, of: int) -> Iterator[list[bytes]]:
    """Outcomes of ``n`` of the ``of`` predictions, within the hour that follows."""
    chosen = np.random.default_rng(1).choice(of, n, replace=False).tolist()
    for first in range(0, n, BATCH):
        yield [
            b'{"model":"m%d","id":"%d","time":%.3f,"outcome":"%s"}'
            % (i % MODELS, i, START + _HOUR * (1.0 + (first + k) / n), b"approve" if i % 2 else b"reject")
            for k, i in enumerate(chosen[first : first + BATCH])
        ]


def taken(watched: Watching, batches: Iterator[list[bytes]], progress: dict[int, float]) -> float:
    """Let all in and commit them; returns the seconds. ``progress`` gets resident memory by number of events."""
    seconds, n = 0.0, 0
    for values in batches:
        began = time.monotonic()
        watched.take(values)
        if watched.fleet.outcomes.pending.crowded:
            watched.commit()
        seconds += time.monotonic() - began
        n += len(values)
        if n % _FIRST < BATCH:
            progress[round(n / _FIRST)] = resident_mb()
    began = time.monotonic()
    watched.commit()
    return seconds + time.monotonic() - began


def main() -> None:
    """Print what it came to as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, default=10_000_000)
    parser.add_argument("--outcomes", type=int, default=500_000)
    asked = parser.parse_args()
    with watching("30d") as watched:
        memory: dict[int, float] = {}
        seconds = taken(watched, predictions(asked.pending), memory)
        late = taken(watched, outcomes(asked.outcomes, asked.pending), {})
        rows = watched.fleet.outcomes.totals.rows
        (kilobytes, _) = subprocess.check_output(["du", "-sk", watched.folder], text=True).split()
        found = {
            "pending": watched.fleet.outcomes.n_waiting(),
            "predictions_per_second": round(asked.pending / seconds),
            "outcomes": asked.outcomes,
            "outcomes_per_second": round(asked.outcomes / late),
            "outcomes_met": int(rows["early"][: len(rows), 0].sum()),
            "rss_mb_at_millions": {n: round(mb) for n, mb in memory.items()},
            "rss_mb_at_the_end": round(resident_mb()),
            "store_mb": int(kilobytes) // 1024,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
