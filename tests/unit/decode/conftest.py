"""Decoding as tests see it: the same promises for the compiled decoder and for its twin."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.events.columns import EventBatch, Reason, Space, Strings, ValueType
from monitor.kernels.decoding import decode_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1_772_000_000.0


@dataclass
class Decoding:
    """Decodes with one of the two implementations and shows columns as plain Python."""

    compiled: bool

    def batch(
        self,
        values: Sequence[bytes | None],
        limits: DecodeLimits | None = None,
        future: float = math.inf,
        timestamp: float = NOW,
    ) -> EventBatch:
        decoder = NativeDecoder(limits or DecodeLimits(), compiled=self.compiled)
        return decoder.decode(values, np.full(len(values), timestamp), future)

    def one(self, **fields: Any) -> EventBatch:
        """The batch of one event of model ``m``, which must be read."""
        return self.good(json.dumps({"model": "m", **fields}).encode())

    def good(self, record: bytes) -> EventBatch:
        batch = self.batch([record])
        assert (len(batch), [Reason(reason) for reason in batch.reasons]) == (1, [])
        return batch

    def reason(self, record: bytes | None, **arguments: Any) -> Reason:
        batch = self.batch([record], **arguments)
        assert (len(batch), batch.rejected.tolist()) == (0, [0])
        return Reason(batch.reasons[0])


def texts(batch: EventBatch, strings: Strings) -> list[str]:
    return [batch.string(strings, i) for i in range(len(strings.start))]


@pytest.fixture(params=["compiled", "twin"])
def decoding(request: pytest.FixtureRequest) -> Decoding:
    if request.param == "compiled" and decode_kernel() is None:
        pytest.skip("the kernels are not built: python -m monitor.kernels.build")
    return Decoding(compiled=request.param == "compiled")


@pytest.fixture
def entries() -> Any:
    """Entries as ``(space, type, name, text, number or None)``."""

    def show(batch: EventBatch) -> list[tuple[str, str, str, str, float | None]]:
        names, values = texts(batch, batch.name), texts(batch, batch.text)
        numbers = [None if math.isnan(number) else number for number in batch.number.tolist()]
        spaces = [Space(space).name for space in batch.space.tolist()]
        types = [ValueType(kind).name for kind in batch.type.tolist()]
        return list(zip(spaces, types, names, values, numbers, strict=True))

    return show
