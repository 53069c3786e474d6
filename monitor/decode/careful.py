"""What if a decoder fails? The records that it fails at become dead letters, and the stream goes on."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.events.columns import Reason
from monitor.telemetry.logs import get_logger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from monitor.decode.decoder import Decoder
    from monitor.events.columns import EventBatch
    from monitor.events.raw import Headers

_log = get_logger("monitor.decode")


class CarefulDecoder:
    """Decodes as ``decoder`` does, which has promised not to raise.

    Should it raise all the same, which is a bug, a batch would be read again after each restart and end the daemon each
    time. So the records that it raises at, each found by halving, are rejected as ``decoder_failed``.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

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

        try:
            return self.decoder.decode(values, timestamps, future_limit, keys, headers)
        except Exception:
            asked = _Asked(self.decoder, values, timestamps, future_limit, keys, headers)
            poison = asked.failing(0, len(values))
            if not poison:  # no single record is at fault
                raise
        batch = asked.part(0, len(values), frozenset(poison))
        for i, record in enumerate(batch.rejected.tolist()):
            if record in poison:
                batch.reasons[i] = Reason.DECODER_FAILED
        return batch


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a decoder failed at. No closure: one that calls itself keeps its batch until cycles are collected."""

    decoder: Decoder
    values: Sequence[bytes | None]
    timestamps: NDArray[np.float64]
    future_limit: float
    keys: Sequence[bytes | None]
    headers: Sequence[Headers | None]

    def part(self, first: int, last: int, without: frozenset[int] = frozenset()) -> EventBatch:
        """Records ``[first, last)`` decoded, those ``without`` as empty ones."""
        own = [b"" if i in without else self.values[i] for i in range(first, last)]
        at = slice(first, last)
        return self.decoder.decode(own, self.timestamps[at], self.future_limit, self.keys[at], self.headers[at])

    def failing(self, first: int, last: int) -> list[int]:
        """The records of ``[first, last)`` at which the decoder raises by themselves."""
        try:
            self.part(first, last)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest must be read
            if last - first == 1:
                _tell(error)
                return [first]
            middle = (first + last) // 2
            return [*self.failing(first, middle), *self.failing(middle, last)]
        return []


def _tell(error: Exception) -> None:
    """Say where in the code it was, and nothing of what the record holds."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    _log.error("decoder_failed", error=type(error).__name__, place=place, detail="a bug: please report it")
