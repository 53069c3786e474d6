"""How records of the native format become columns: the compiled kernel, and the twin for what it leaves."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.decode import twin
from monitor.decode.arrays import EventArrays, Memory
from monitor.events.columns import Reason
from monitor.events.records import Records
from monitor.kernels.decoding import DONE, FULL, decode_kernel
from monitor.kernels.hashing import hash64
from monitor.kernels.library import needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.decode.limits import DecodeLimits
    from monitor.events.columns import EventBatch
    from monitor.events.raw import Headers

_BATCH_BYTES: Final = 1 << 28
"""Beyond that a span of the batch could outgrow 31 bits, with all that decoding may add."""
_CACHED_KEYS: Final = 1 << 14


class NativeDecoder:
    """Decodes the native format; see ``docs/events.md``.

    ``seed`` in [0, 2**64) is that of all hashes. ``compiled`` false leaves every record to the twin, true insists on
    the kernel and raises ``RuntimeError`` where it is not built; ``None`` takes what there is.
    """

    def __init__(self, limits: DecodeLimits, seed: int = 0, compiled: bool | None = None) -> None:
        self._limits = limits
        self._seed = seed
        self._kernel = None if compiled is False else decode_kernel()
        if compiled:
            needed(self._kernel)
        self._memory = Memory()
        self._key = lru_cache(_CACHED_KEYS)(partial(hash64, seed=seed))

    def decode(
        self,
        values: Sequence[bytes | None],
        timestamps: NDArray[np.float64],
        future_limit: float = math.inf,
        keys: Sequence[bytes | None] = (),
        headers: Sequence[Headers | None] = (),
    ) -> EventBatch:
        """See :meth:`monitor.decode.decoder.Decoder.decode`; a native event stands whole in its value."""
        records = self._readable(values)
        lengths = np.maximum(records.lengths, 0)
        times = np.ascontiguousarray(timestamps, np.float64)
        if times.shape != lengths.shape:
            raise ValueError(f"{len(lengths)} records have timestamps of shape {times.shape}")
        arrays = EventArrays(records.body, lengths, times, self._limits, self._memory)
        call = arrays.call
        call.seed, call.future_limit = self._seed, future_limit
        while call.next < call.records:
            status = self._kernel(call) if self._kernel else None
            if status == FULL:
                arrays.grow()
            elif status != DONE:
                self._read_odd(arrays, values[call.next], float(times[call.next]))
                call.offset += int(lengths[call.next])
                call.next += 1
        return arrays.batch()

    def _readable(self, values: Sequence[bytes | None]) -> Records:
        """All that the kernel may read; what is too large is empty there."""
        records, limit = Records.of(values), self._limits.record_bytes
        if records.lengths.max(initial=0) > limit:
            records = Records.of([None if value is None or len(value) > limit else value for value in values])
        if records.size > _BATCH_BYTES:
            raise ValueError(f"a batch of more than {_BATCH_BYTES} bytes: decode it in parts")
        return records

    def _read_odd(self, arrays: EventArrays, value: bytes | None, timestamp: float) -> None:
        record = arrays.call.next
        row = twin.read(value, timestamp, arrays.call.future_limit, self._limits)
        if isinstance(row, Reason):
            arrays.reject(record, row)
        else:
            arrays.add(record, row, self._key)
