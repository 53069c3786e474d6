"""How fast do events become columns? Nanoseconds an event on one core, beside msgspec's untyped decoding of the same.

Events of about 419 bytes: model, id, time, 16 numbers, 4 categories, a label and a score; 1,000 models. Everything that
decoding takes is in the time: joining the records, the arrays, the kernel, the batch.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

CATEGORIES = ("mobile", "desktop", "tablet", "unknown")


def event(rng: random.Random, i: int, digits: int | None) -> bytes:
    """One event; features are rounded to ``digits``, or as long as a float64 is."""

    def number(value: float) -> float:
        return value if digits is None else round(value, digits)

    features: dict[str, object] = {f"num_{j:02d}": number(rng.gauss(0, 1)) for j in range(16)}
    features |= {f"cat_{j}": rng.choice(CATEGORIES) for j in range(4)}
    return json.dumps(
        {
            "model": f"model-{rng.randrange(1000):04d}",
            "id": f"req-{i:08d}",
            "time": "2026-03-01T09:30:00.250Z",
            "features": features,
            "prediction": {"label": "approve", "score": number(rng.random())},
        },
        separators=(",", ":"),
    ).encode()


def fastest(work: Callable[[], object], events: int, seconds: float = 1.0) -> float:
    """Nanoseconds an event in the best of the runs that ``seconds`` allow: others share this machine."""
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best / events * 1e9


def measure(digits: int | None, batch: int) -> dict[str, float]:
    """What each way takes for the same ``batch`` events."""
    rng = random.Random(1)
    values = [event(rng, i, digits) for i in range(batch)]
    times = np.zeros(batch)
    compiled = NativeDecoder(DecodeLimits(), compiled=True)
    twin = NativeDecoder(DecodeLimits(), compiled=False)
    assert len(compiled.decode(values, times)) == batch
    decode = msgspec.json.decode
    found = {
        "bytes_per_event": sum(map(len, values)) / batch,
        "decode_ns": fastest(lambda: compiled.decode(values, times), batch),
        "twin_ns": fastest(lambda: twin.decode(values, times), batch),
        "msgspec_ns": fastest(lambda: [decode(value) for value in values], batch),
    }
    return found | {"ratio": found["msgspec_ns"] / found["decode_ns"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="one object a line")
    arguments = parser.parse_args()
    for digits in (4, None):
        found = measure(digits, arguments.batch)
        if arguments.json:
            print(json.dumps({"digits": digits, **{name: round(value, 2) for name, value in found.items()}}))
        else:
            size, ours, twin = found["bytes_per_event"], found["decode_ns"], found["twin_ns"]
            print(
                f"{size:.0f} bytes, {digits or 'all'} digits: {ours:.0f} ns an event, by the twin {twin:.0f};", end=" "
            )
            print(f"msgspec.json.decode {found['msgspec_ns']:.0f}, ratio {found['ratio']:.1f}")


if __name__ == "__main__":
    main()
