"""Run inside river's own environment: events until each of its detectors sees a fault, as lists on stdout.

The file holds ``reference`` (streams, n), which is seen first, ``events`` (streams, m), and where the fault ``begins``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from river.drift import ADWIN, KSWIN

STREAMS_OF_KSWIN = 20
"""It takes a tenth of a millisecond an event."""


def made(rule: str, level: float) -> Any:
    """A detector that is asked to err with ``level`` at each event."""
    return ADWIN(delta=level) if rule == "adwin" else KSWIN(alpha=level, seed=1)


def delay(rule: str, level: float, reference: np.ndarray, events: np.ndarray, begins: int) -> float | None:
    """Events from where the fault ``begins`` to the first alarm; ``None`` without one, NaN for one before it."""
    detector = made(rule, level)
    for x in reference.tolist():
        detector.update(x)
    for i, x in enumerate(events.tolist()):
        detector.update(x)
        if detector.drift_detected:
            return i + 1.0 - begins if i >= begins else float("nan")
    return None


def main() -> None:
    path, rule, level = sys.argv[1], sys.argv[2], float(sys.argv[3])
    held = np.load(path)
    n = STREAMS_OF_KSWIN if rule == "kswin" else len(held["begins"])
    streams = zip(held["reference"][:n], held["events"][:n], held["begins"][:n].tolist(), strict=True)
    print(json.dumps([delay(rule, level, *stream) for stream in streams]))


if __name__ == "__main__":
    main()
