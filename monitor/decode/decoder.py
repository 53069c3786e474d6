"""What a decoder promises, and which formats there are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from monitor.decode.native import NativeDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from monitor.decode.limits import DecodeLimits
    from monitor.events.columns import EventBatch


class Decoder(Protocol):
    """Turns records into columns; total: each record becomes an event or a rejection, and none raises."""

    def decode(
        self, values: Sequence[bytes | None], timestamps: NDArray[np.float64], future_limit: float = math.inf
    ) -> EventBatch:
        """Decode a batch.

        ``values`` are the records, ``timestamps`` (float64, shape ``(len(values),)``) their own times in seconds since
        the epoch, NaN where there is none. An event later than ``future_limit`` is rejected. Events and rejections
        come in the order of the records. Raises ``ValueError`` if the shapes disagree, or if the records that are not
        too large on their own come to more than 256 MiB.
        """
        ...


DECODERS: Final[dict[str, Callable[[DecodeLimits, int], Decoder]]] = {
    "native": NativeDecoder,
}
"""By the name that a topic's ``format`` has in the configuration; made from limits and the seed of the hashes."""
