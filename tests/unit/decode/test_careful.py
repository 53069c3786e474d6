"""Does one record that a decoder fails at cost that record, and no other?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from monitor.decode.careful import CarefulDecoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.events.columns import EventBatch, Reason

POISON = b'{"model":"m","id":"poison","prediction":1}'


class Fails:
    """A decoder with a bug: it raises where a batch holds ``POISON``."""

    def __init__(self) -> None:
        self._native = NativeDecoder(DecodeLimits(), 7)
        self.calls = 0

    def decode(self, values: Any, *rest: Any) -> EventBatch:
        self.calls += 1
        if POISON in values:
            raise ZeroDivisionError("what the record holds")
        return self._native.decode(values, *rest)


def records(n: int, poison: set[int]) -> list[bytes]:
    good = [json.dumps({"model": "m", "id": f"{i}", "prediction": i}).encode() for i in range(n)]
    return [POISON if i in poison else b"{broken" if i % 10 == 9 else good[i] for i in range(n)]


@pytest.mark.parametrize("poison", [{0}, {63}, {3, 4, 40}, set(range(8))])
def test_the_rest_is_read(poison: set[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Each poisoned record is rejected as ``decoder_failed``; all others are what they are without them."""
    values, failing = records(64, poison), Fails()
    batch = CarefulDecoder(failing).decode(values, np.full(64, 1.7e9))
    told = dict(zip(batch.rejected.tolist(), batch.reasons.tolist(), strict=True))
    broken = {i for i in range(64) if i % 10 == 9} - poison
    assert told == dict.fromkeys(poison, Reason.DECODER_FAILED) | dict.fromkeys(broken, Reason.JSON)
    assert batch.record.tolist() == sorted(set(range(64)) - poison - broken)
    assert failing.calls <= 2 + len(poison) * 14
    assert "what the record holds" not in capsys.readouterr().err


def test_no_record_is_at_fault() -> None:
    """A decoder that fails at every batch of more than one record is not healed by halving."""

    class Fussy(Fails):
        def decode(self, values: Any, *rest: Any) -> EventBatch:
            if len(values) > 1:
                raise ZeroDivisionError
            return super().decode(values, *rest)

    with pytest.raises(ZeroDivisionError):
        CarefulDecoder(Fussy()).decode(records(4, set()), np.full(4, 1.7e9))
