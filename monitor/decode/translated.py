"""How records of any other format become columns: as native events first, then by the decoder of those."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.decode.twin import Rejected
from monitor.events.columns import EventBatch, Reason, joined
from monitor.events.raw import Headers

CASES_MAX: Final = 10_000
"""More cases in one record make it a dead letter: what one record may cost is bounded."""
_CHUNK_BYTES: Final = 32 << 20
"""Native events that are decoded in one piece: far below what the native decoder takes."""
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def _plain(value: Any) -> Any:
    """What JSON has no word for: times are seconds since the epoch, and bytes a list, which no value may be."""
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return float((value.toordinal() - _EPOCH_DAY) * 86400)
    if isinstance(value, time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, UUID) else []


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode


class Record(NamedTuple):
    """One record as its topic holds it; ``headers`` is ``None`` where it has none."""

    value: bytes | None
    key: bytes | None
    headers: Headers | None


Translate = Callable[[Record], Sequence[Mapping[str, Any]]]
"""The native events that a record tells of; raises :class:`~monitor.decode.twin.Rejected`, and nothing else."""


@dataclass(slots=True)
class _Chunk:
    """Native events, and the record that each is of."""

    values: list[bytes] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)
    size: int = 0


class TranslatedDecoder:
    """Decodes what ``translate`` makes native events of; all rules of native events hold for them.

    One record may tell of several cases. It is read whole or not at all: where one of its events is rejected, the
    record is a dead letter and none of its events counts. The native events of a record may come to
    ``limits.record_bytes`` at most, and to :data:`CASES_MAX` in number.
    """

    def __init__(self, translate: Translate, limits: DecodeLimits, seed: int = 0) -> None:
        self._translate = translate
        self._limits = limits
        self._native = NativeDecoder(limits, seed)

    def decode(
        self,
        values: Sequence[bytes | None],
        timestamps: NDArray[np.float64],
        future_limit: float = math.inf,
        keys: Sequence[bytes | None] = (),
        headers: Sequence[Headers | None] = (),
    ) -> EventBatch:
        """See :meth:`monitor.decode.decoder.Decoder.decode`."""
        if timestamps.shape != (len(values),):
            raise ValueError(f"{len(values)} records have timestamps of shape {timestamps.shape}")
        rejected: dict[int, int] = {}
        chunks = [_Chunk()]
        for i, value in enumerate(values):
            try:
                events = self.native(Record(value, keys[i] if keys else None, headers[i] if headers else None))
            except Rejected as refusal:
                rejected[i] = refusal.reason
                continue
            if chunks[-1].size > _CHUNK_BYTES:
                chunks.append(_Chunk())
            chunks[-1].values += events
            chunks[-1].origin += [i] * len(events)
            chunks[-1].size += sum(map(len, events))
        batch = joined([self._decoded(chunk, timestamps, future_limit, rejected) for chunk in chunks])
        order = sorted(rejected)
        batch.rejected = np.array(order, np.int32)
        batch.reasons = np.array([rejected[i] for i in order], np.uint8)
        return batch

    def native(self, record: Record) -> list[bytes]:
        """The native events of a record, as bytes; raises :class:`Rejected`."""
        if record.value is not None and len(record.value) > self._limits.record_bytes:
            raise Rejected(Reason.TOO_LARGE)
        events = self._translate(record)
        if not events:
            raise Rejected(Reason.NOTHING)
        if len(events) > CASES_MAX:
            raise Rejected(Reason.TOO_MANY_VALUES)
        try:
            encoded = [_encode(event).encode() for event in events]
        except UnicodeEncodeError:
            raise Rejected(Reason.UTF8) from None
        if sum(map(len, encoded)) > self._limits.record_bytes:
            raise Rejected(Reason.TOO_LARGE)
        return encoded

    def _decoded(
        self, chunk: _Chunk, timestamps: NDArray[np.float64], future_limit: float, rejected: dict[int, int]
    ) -> EventBatch:
        """The events of ``chunk``; records of which one is rejected are added to ``rejected`` and leave none."""
        origin = np.array(chunk.origin, np.int32)
        batch = self._native.decode(chunk.values, timestamps[origin], future_limit)
        if len(batch.rejected):
            for at, reason in zip(batch.rejected.tolist(), batch.reasons.tolist(), strict=True):
                rejected.setdefault(int(origin[at]), int(reason))
            kept = [i for i, record in enumerate(chunk.origin) if record not in rejected]
            origin = origin[kept]
            batch = self._native.decode([chunk.values[i] for i in kept], timestamps[origin], future_limit)
        batch.record = origin[batch.record]
        return batch
