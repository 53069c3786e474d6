"""Do kernel and twin agree on what the fuzzer found worth keeping?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.kernels.decoding import decode_kernel

CORPUS = sorted((Path(__file__).parents[1] / "fuzz" / "corpus").iterdir())
LIMITS = DecodeLimits(record_bytes=1024, values_per_event=24, depth=8, name_bytes=64)
COLUMNS = ("record", "time", "parts", "value", "lifecycle", "event", "space", "type", "number", "rejected", "reasons")


@pytest.mark.skipif(decode_kernel() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree() -> None:
    """Each kept input, cut into its records, gives the same columns both ways, and each record has one outcome."""
    assert len(CORPUS) >= 20
    outcomes = set()
    for file in CORPUS:
        records = file.read_bytes().split(b"\x1e")
        times = np.full(len(records), 1_700_000_000.0)
        a, b = (NativeDecoder(LIMITS, 7, compiled=way).decode(records, times, 1.9e9) for way in (True, False))
        for name in COLUMNS:
            mine, other = getattr(a, name), getattr(b, name)
            assert np.array_equal(mine, other, equal_nan=mine.dtype.kind == "f"), (file.name, name)
        for name in ("model", "version", "id", "entity", "name", "text"):
            assert np.array_equal(getattr(a, name).hash, getattr(b, name).hash), (file.name, name)
        assert sorted([*a.record.tolist(), *a.rejected.tolist()]) == list(range(len(records)))
        outcomes |= {"event"} if len(a) else set()
        outcomes |= set(a.reasons.tolist())
    assert len(outcomes) >= 10
