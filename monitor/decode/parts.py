"""Which records of a batch does each decoder read, and how many at a time?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.events.raw import RawBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from monitor.decode.decoder import Decoder

_JOINED_BYTES: Final = 64 << 20
"""Bytes of values beyond which a batch is decoded in parts."""


def by_decoder(raw: RawBatch, decoder_of: Callable[[str], Decoder]) -> Iterator[tuple[RawBatch, Decoder]]:
    """The batch by the format of its topics; almost always that is one."""
    decoders = [decoder_of(partition.topic) for partition in raw.partitions]
    distinct = list(dict.fromkeys(decoders))
    for decoder in distinct:
        if len(distinct) == 1:
            own = raw
        else:
            own = _chosen(raw, np.flatnonzero(np.array([d is decoder for d in decoders])[raw.source]))
        for part in _by_size(own):
            yield part, decoder


def _by_size(raw: RawBatch) -> Iterator[RawBatch]:
    """The batch in parts that a decoder can join; almost always that is one."""
    if raw.size <= _JOINED_BYTES:
        if len(raw):
            yield raw
        return
    sizes = np.array([len(value or b"") for value in raw.values])
    part = np.cumsum(sizes) // _JOINED_BYTES
    for number in np.unique(part).tolist():
        yield _chosen(raw, np.flatnonzero(part == number))


def _chosen(raw: RawBatch, at: NDArray[np.int64]) -> RawBatch:
    """Some records of a batch, in their order."""
    rows = at.tolist()
    keys, headers = ([column[i] for i in rows] if column else () for column in (raw.keys, raw.headers))
    values = [raw.values[i] for i in rows]
    reached = None if raw.reached is None else raw.reached[at]
    return RawBatch(values, raw.timestamps[at], raw.partitions, raw.source[at], raw.offsets[at], keys, headers, reached)
