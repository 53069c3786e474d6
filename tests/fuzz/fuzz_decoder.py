"""Throws mutated records at the decoder, guided by the coverage of its twin; ends where kernel and twin disagree.

``make fuzz`` runs it, in an environment of its own with atheris (``requirements/fuzz.txt``). What reaches new code goes
into ``.cache/fuzzed``; libFuzzer's ``-merge=1 NEW tests/fuzz/corpus .cache/fuzzed`` puts into NEW what is needed of it
(it starts this file by itself, which must then be executable and begin with a line that names the interpreter).
A record that crashes it is written to ``.cache/fuzzed/crash-*``.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["monitor.decode"]):
    from monitor.decode.limits import DecodeLimits
    from monitor.decode.native import NativeDecoder

import numpy as np

LIMITS = DecodeLimits(record_bytes=1024, values_per_event=24, depth=8, name_bytes=64)
FUTURE = 1_900_000_000.0
COMPILED = NativeDecoder(LIMITS, 7, compiled=True)
TWIN = NativeDecoder(LIMITS, 7, compiled=False)
STRINGS = ("model", "version", "id", "entity", "name", "text")
NUMBERS = ("record", "time", "parts", "value", "lifecycle", "event", "space", "type", "number", "rejected", "reasons")


def one_input(data: bytes) -> None:
    """One record, or several with 0x1e between them: every record is an event or rejected, by both alike."""
    records = data.split(b"\x1e")
    times = np.full(len(records), 1_700_000_000.0)
    a, b = (decoder.decode(records, times, FUTURE) for decoder in (COMPILED, TWIN))
    seen = np.sort(np.concatenate([a.record, a.rejected]))
    assert np.array_equal(seen, np.arange(len(records))), "a record is neither event nor rejected"
    for name in NUMBERS:
        mine, other = getattr(a, name), getattr(b, name)
        assert np.array_equal(mine, other, equal_nan=mine.dtype.kind == "f"), name
    for name in STRINGS:
        mine, other = getattr(a, name), getattr(b, name)
        assert np.array_equal(mine.hash, other.hash), name
        texts = [[one.string(of, i) for i in range(len(of.hash))] for one, of in ((a, mine), (b, other))]
        assert texts[0] == texts[1], name
    assert a.unknown_fields == b.unknown_fields


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
